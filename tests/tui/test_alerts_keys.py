"""Alerts driven by keys: acknowledge, silence, follow, filter, zoom, bell."""

from __future__ import annotations

import msgspec
import pytest
from dashboard_app import make_app, screen_text, show
from sample import HOSTILE, NOW, StillMonitor, full_snapshot
from sample_alerts import alarmed, alert, all_alerts, slow_checkout

from perftui.config import Settings
from perftui.snapshot import Alert, Snapshot
from perftui.tui.alarm import Alarm
from perftui.tui.app import PerftuiApp
from perftui.tui.screens.end_silence import EndSilenceScreen
from perftui.tui.screens.silence import SilenceScreen

replace = msgspec.structs.replace


def with_alerts(*alerts: Alert) -> Snapshot:
    return replace(full_snapshot(), alerts=alerts)


async def ready(app: PerftuiApp, pilot: object) -> None:
    snapshot = app.monitor.mailbox.latest()
    assert snapshot is not None
    await pilot.pause()  # type: ignore[attr-defined]
    app.show(snapshot)
    await pilot.pause()  # type: ignore[attr-defined]


@pytest.mark.parametrize("allow", [True, False])
async def test_a_acknowledges_the_selected_alert_without_any_permission(allow: bool) -> None:
    app = make_app(alarmed(), allow=allow)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("2", "down", "a")
        assert app.monitor.acknowledged == ["high_cpu"]  # type: ignore[attr-defined]
        assert "acknowledged: high cpu host" in screen_text(app)


async def test_a_takes_an_acknowledgement_back() -> None:
    app = make_app(with_alerts(replace(slow_checkout(), acknowledged_by="ann")))
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("2", "a")
        assert app.monitor.acknowledged == ["slow_operation"]  # type: ignore[attr-defined]
        assert "asks again" in screen_text(app)


async def test_an_alert_that_has_ended_meanwhile_is_not_called_acknowledged() -> None:
    app = make_app(with_alerts(replace(slow_checkout(), fingerprint="gone")))
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("2", "a")
        assert "it has ended: slow operation" in screen_text(app)


async def test_nothing_is_acknowledged_while_no_alert_is_selected() -> None:
    app = make_app(alarmed())
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("1", "a", "x", "f")
        assert app.monitor.acknowledged == []  # type: ignore[attr-defined]
        assert not isinstance(app.screen, SilenceScreen)
        assert "select an alert in 2 Alerts first" in screen_text(app)


async def test_the_past_cannot_be_acknowledged() -> None:
    app = make_app(alarmed())
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("2", "end", "a")
        assert app.monitor.acknowledged == []  # type: ignore[attr-defined]
        assert "this is over" in screen_text(app)


async def test_an_alert_of_a_server_is_silenced_there() -> None:
    foreign = alert("Down", "api", origin="prometheus", fingerprint="")
    app = make_app(with_alerts(foreign))
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("2", "a", "x")
        assert app.monitor.acknowledged == []  # type: ignore[attr-defined]
        assert not isinstance(app.screen, SilenceScreen)
        assert "prometheus" in screen_text(app)


async def test_the_cursor_stays_on_its_alert_when_a_worse_one_comes() -> None:
    app = make_app(with_alerts(alert("a", "first"), alert("b", "second")))
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("2")
        show(app, with_alerts(slow_checkout(), alert("a", "first"), alert("b", "second")))
        await pilot.press("a", "down", "a")
        assert app.monitor.acknowledged == ["a", "b"]  # type: ignore[attr-defined]


async def test_x_silences_what_was_chosen() -> None:
    app = make_app(alarmed(), allow=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("2", "x")
        assert isinstance(app.screen, SilenceScreen)
        await pilot.press("right", "tab", "right", "tab", *"deploy", "enter")
        assert app.screen is app.dashboard
        [(found, seconds, comment, scope)] = app.monitor.silenced  # type: ignore[attr-defined]
        assert (found.fingerprint, seconds, comment, scope) == (
            "slow_operation", 3600.0, "deploy", "rule",
        )  # fmt: skip
        assert "silenced for 1h 0m" in screen_text(app)


async def test_a_silence_that_could_not_be_saved_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(StillMonitor, "silences_problem", "the disk is full")
    app = make_app(alarmed())
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("2", "x", "enter")
        assert "until perftui ends: the disk is full" in screen_text(app)


async def test_a_span_is_typed_and_wrong_ones_are_explained() -> None:
    app = make_app(alarmed())
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("2", "x", "left", "tab", *"2 parsecs", "enter")
        assert isinstance(app.screen, SilenceScreen)
        await pilot.pause()
        assert "2h30m" in screen_text(app)
        assert app.monitor.silenced == []  # type: ignore[attr-defined]
        await pilot.press(*["backspace"] * 9, *"2h30m", "enter")
        [(_, seconds, comment, scope)] = app.monitor.silenced  # type: ignore[attr-defined]
        assert (seconds, comment, scope) == (9000.0, "", "alert")


async def test_the_line_for_a_typed_span_has_its_label_from_the_first_moment_on() -> None:
    app = make_app(alarmed())
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot)
        await pilot.press("2", "x", "left")
        await pilot.pause()
        assert "│ Until    2h30m, 1d or 17:30" in screen_text(app)
        assert "enter silences, escape leaves" in screen_text(app)


async def test_escape_leaves_the_dialog_without_a_change() -> None:
    app = make_app(alarmed())
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot)
        await pilot.press("2", "x", "tab", "tab", *"qx", "escape")
        assert app.screen is app.dashboard
        assert app.monitor.silenced == []  # type: ignore[attr-defined]


async def test_the_dialog_shows_what_it_would_hide_and_follows_the_snapshots() -> None:
    twin = replace(slow_checkout(), subject="shop/refund", fingerprint="twin")
    app = make_app(with_alerts(slow_checkout(), alert("high_cpu", "host")))
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot)
        await pilot.press("2", "x", "tab", "right")
        await pilot.pause()
        assert "rule slow operation: 1 now" in screen_text(app)
        show(app, with_alerts(slow_checkout(), twin, alert("high_cpu", "host")))
        await pilot.pause()
        text = screen_text(app)
        assert "rule slow operation: 2 now" in text
        assert "shop/refund" in text
        await pilot.press("right")
        await pilot.pause()
        assert "alerts of shop/checkout: 1 now" in screen_text(app)


async def test_x_on_a_silenced_alert_offers_to_end_it() -> None:
    silenced = all_alerts()[0]
    app = make_app(with_alerts(silenced))
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot)
        await pilot.press("2", "x")
        await pilot.pause()
        assert isinstance(app.screen, EndSilenceScreen)
        assert "1h 0m more" in screen_text(app)
        await pilot.press("escape")
        assert app.monitor.unsilenced == []  # type: ignore[attr-defined]
        await pilot.press("x", "enter")
        assert app.monitor.unsilenced == [silenced.fingerprint]  # type: ignore[attr-defined]
        assert app.screen is app.dashboard


async def test_hostile_names_are_harmless_in_dialogs_and_detail() -> None:
    nasty = alert("evil", HOSTILE, title=HOSTILE, message=HOSTILE, rule=HOSTILE)
    for found in (nasty, replace(nasty, silenced_until=NOW + 60, comment=HOSTILE)):
        app = make_app(with_alerts(found))
        async with app.run_test(size=(120, 40)) as pilot:
            await ready(app, pilot)
            for keys in (("2", "x"), ("escape", "enter")):
                await pilot.press(*keys)
                await pilot.pause()
                text = screen_text(app)
                assert "\\x1b[31m" in text
                assert "[/x]" in text
                assert "\x1b" not in text


async def test_f_goes_to_the_pane_that_explains_it_and_to_its_operation() -> None:
    snapshot = replace(alarmed(), alerts=(replace(slow_checkout(), subject="shop/search"),))
    app = make_app(snapshot)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot)
        await pilot.press("5", "slash", *"checkout", "enter", "2", "f")
        await pilot.pause()
        pane = app.dashboard.panes["operations"]
        assert app.dashboard.active == "operations"
        assert pane.has_focus
        assert pane.selected.operation.name == "search"


@pytest.mark.parametrize(
    ("pane", "subject", "row"),
    [("servers", "web/api-2", "api-2"), ("processes", "svc-5 (205)", "svc-5")],
)
async def test_f_goes_to_the_row_of_a_server_and_of_a_process(
    pane: str, subject: str, row: str
) -> None:
    app = make_app(with_alerts(alert("a", subject, pane=pane)))
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("2", "f")
        await pilot.pause()
        widget = app.dashboard.panes[pane]
        assert widget.has_focus
        assert row in widget.selected_text


@pytest.mark.parametrize("zoomed", [True, False])
async def test_f_goes_to_the_file_system_that_is_full(zoomed: bool) -> None:
    app = make_app(with_alerts(alert("full", "/srv/media", rule="R17")))
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot)
        await pilot.press("2", *(["enter"] if zoomed else []), "f")
        await pilot.pause()
        assert app.dashboard.zoomed == "resources"
        widget = app.dashboard.panes["resources"]
        assert widget.has_focus
        assert "/srv/media" in widget.selected_text
        assert "/srv/media" in screen_text(app)


async def test_f_shows_the_open_files_that_only_the_zoom_has() -> None:
    app = make_app(with_alerts(alert("files", "host", rule="R19b", kind="capacity")))
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("2", "f")
        await pilot.pause()
        assert app.dashboard.zoomed == "resources"
        assert "files open 11.3 k" in screen_text(app)


async def test_f_leaves_the_panes_as_they_are_for_what_is_no_file_system() -> None:
    app = make_app(with_alerts(alert("high_cpu", "host")))
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("2", "f")
        await pilot.pause()
        assert app.dashboard.zoomed is None
        assert app.dashboard.panes["resources"].has_focus


async def test_f_says_when_no_pane_tells_more() -> None:
    app = make_app(with_alerts(alert("self", "redis source", pane="sources")))
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("2", "f")
        assert app.dashboard.active == "alerts"
        assert "no other pane tells more" in screen_text(app)


async def test_the_zoom_shows_another_alert_when_the_cursor_moves() -> None:
    app = make_app(alarmed())
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("2", "enter")
        await pilot.pause()
        assert "price_for shop/price.py:88" in screen_text(app)
        await pilot.press("down")
        await pilot.pause()
        text = screen_text(app)
        assert "leads to" in text
        assert "price_for" not in text


async def test_the_zoom_keeps_its_alert_while_the_order_changes() -> None:
    app = make_app(with_alerts(alert("a", "first"), alert("b", "second")))
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("2", "enter")
        show(app, with_alerts(slow_checkout(), alert("a", "first"), alert("b", "second")))
        await pilot.pause()
        assert app.dashboard.panes["alerts"].selected.fingerprint == "a"


async def test_a_filter_keeps_only_some_alerts() -> None:
    app = make_app(alarmed())
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("2", "slash", *"pending", "enter")
        await pilot.pause()
        text = screen_text(app)
        assert "disk nearly full" in text
        assert "high cpu" not in text


async def test_a_click_selects_the_alert_whose_second_line_was_clicked() -> None:
    app = make_app(with_alerts(slow_checkout(), alert("b", "second")))
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        lines = screen_text(app).split("\n")
        row = next(y for y, line in enumerate(lines) if "press 8, then s" in line)
        pane = app.dashboard.panes["alerts"]
        await pilot.click(pane, offset=(12, row - pane.region.y))
        await pilot.pause()
        assert pane.selected.fingerprint == "b"


async def test_the_selected_alert_is_copied_as_text() -> None:
    app = make_app(with_alerts(slow_checkout()))
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("2", "y")
        assert "slow operation shop/checkout" in app.clipboard
        assert "p profiles a worker" in app.clipboard


async def test_the_keys_of_alerts_are_in_the_footer_only_there() -> None:
    app = make_app(alarmed())
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        assert "x silence" not in screen_text(app)
        await pilot.press("2")
        await pilot.pause()
        assert "a ack  x silence  f follow" in screen_text(app)


async def test_a_new_alert_rings_also_while_the_picture_is_held() -> None:
    app = make_app(with_alerts())
    sent: list[str] = []
    app.send_to_terminal = lambda text: sent.append(text) if text else None  # type: ignore
    app._alarm = Alarm(True, True, {"TERM": "xterm"})
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot)
        await pilot.press("space")
        show(app, replace(with_alerts(slow_checkout()), monotonic=2000.0))
        assert sent == [
            "\x1b]9;perftui: CRIT slow operation shop/checkout: "
            "p95 412 ms = 3.1 x its own 133 ms (n=860)\x1b\\\a"
        ]
        assert "412 ms" not in screen_text(app)


def test_bell_and_notification_are_off_unless_asked_for() -> None:
    alerts = Settings().alerts
    assert not alerts.bell
    assert not alerts.notify
