"""Operations and the picker of services driven by keys."""

from __future__ import annotations

import msgspec
import pytest
from dashboard_app import make_app, screen_text, show
from sample import full_snapshot
from sample_services import many, scraped, shop_operations, windows

from perftui.assembly import NO_REDIS
from perftui.config import Settings
from perftui.snapshot import Absent, Instance, Operation, Selection, Service, Snapshot, State
from perftui.tui.app import PerftuiApp
from perftui.tui.screens.services import ServicesScreen
from perftui.tui.view import Choice

replace = msgspec.structs.replace


def shop_of(snapshot: Snapshot) -> Service:
    assert not isinstance(snapshot.services, Absent)
    return snapshot.services[0]


def selections(app: PerftuiApp) -> list[Selection]:
    return app.monitor.selections  # type: ignore[attr-defined, no-any-return]


def demands(app: PerftuiApp) -> list[frozenset[str]]:
    return app.monitor.demands  # type: ignore[attr-defined, no-any-return]


def names(app: PerftuiApp) -> list[str]:
    return [row.name for row in app.dashboard.panes["operations"]._arranged.records]


async def test_keys_5_and_8_share_a_place_and_both_are_seen_on_a_tall_terminal() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, full_snapshot())
        await pilot.pause()
        assert "operations" in app.dashboard.visible_panes()
        place = app.dashboard.panes["operations"].region
        await pilot.press("8")
        await pilot.pause()
        assert "operations" not in app.dashboard.visible_panes()
        assert app.dashboard.panes["processes"].region == place
        assert "8 Processes" in screen_text(app)
        assert "processes" in demands(app)[-1]
        assert "scrape" not in demands(app)[-1]
        await pilot.press("4")
        assert "processes" in app.dashboard.visible_panes()
        await pilot.press("5")
        await pilot.pause()
        assert app.dashboard.panes["operations"].region == place
        assert "5 Operations" in screen_text(app)
        for size in ((120, 45), (250, 40)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            assert {"operations", "processes"} <= set(app.dashboard.visible_panes())
            text = screen_text(app)
            assert "5 Operations" in text
            assert "8 Processes" in text


async def test_without_any_source_of_operations_the_place_begins_with_processes() -> None:
    snapshot = replace(full_snapshot(), services=NO_REDIS, sources=())
    app = make_app(snapshot, redis="")
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, snapshot)
        await pilot.pause()
        assert "8 Processes" in screen_text(app)
        assert app.dashboard.active == "processes"
        await pilot.press("5")
        await pilot.pause()
        text = screen_text(app)
        for way in ("Reporter(", "--redis", "--scrape http", "--prometheus http"):
            assert way in text


async def test_the_window_changes_by_key() -> None:
    app = make_app()
    snapshot = full_snapshot()
    service = replace(shop_of(snapshot), windows=windows(shop_operations(), covered=40.0))
    snapshot = replace(snapshot, services=(service,))
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, snapshot)
        await pilot.pause()
        seen = []
        for _ in range(4):
            text = screen_text(app)
            seen.append(next(line for line in text.splitlines() if "5 Operations" in line))
            await pilot.press("W")
            await pilot.pause()
    for line, window in zip(seen, ("· 10 s", "40 s of 1 min", "40 s of 5 min", "· 10 s"),
                            strict=True):  # fmt: skip
        assert window in line


async def test_the_first_window_comes_from_the_settings() -> None:
    app = make_app()
    assert app.choice.window == 10.0
    settings = msgspec.convert({"operations": {"window": "5min"}}, Settings)
    app = PerftuiApp(settings, app.monitor, app.glyphs, app.theme_spec)
    assert app.choice.window == 300.0


async def test_rows_are_sorted_by_any_column_and_filtered() -> None:
    app = make_app()
    async with app.run_test(size=(200, 50)) as pilot:
        show(app, full_snapshot())
        await pilot.pause()
        assert names(app)[0] == "checkout"
        assert names(app)[-1] == "refund"
        await pilot.press("5", "enter")
        await pilot.pause()
        pane = app.dashboard.panes["operations"]
        tried = set()
        for _ in range(9):
            await pilot.press("s")
            await pilot.pause()
            tried.add(pane.state.sort)
        assert tried == {
            "name", "rate", "p50", "p95", "p99", "mean", "errors", "share", "count",
        }  # fmt: skip
        while pane.state.sort != "p99":
            await pilot.press("s")
        # Beyond all bounds is longer than whatever was measured.
        assert names(app)[:2] == ["report", "checkout"]
        await pilot.press("S")
        assert names(app)[-2:] == ["checkout", "report"]
        await pilot.press("slash", *"heck", "enter")
        await pilot.pause()
        assert names(app) == ["checkout"]


async def test_only_columns_that_are_seen_are_sorted_by() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, full_snapshot())
        await pilot.press("5")
        tried = set()
        for _ in range(8):
            await pilot.press("s")
            tried.add(app.dashboard.panes["operations"].state.sort)
        assert tried == {"name", "rate", "p50", "p95", "errors", "share"}


async def test_noise_does_not_change_the_order_but_a_real_change_does() -> None:
    app = make_app()

    def snapshot(*shares: float) -> Snapshot:
        operations = [
            Operation(name, 1.0, 0.1, *[Absent(State.NOT_COLLECTED, "none")] * 3, 0.0, share, 10)
            for name, share in zip("abc", shares, strict=True)
        ]
        service = Service("s", 1, ("h",), 0.0, windows(operations))
        return replace(full_snapshot(), services=(service,))

    async with app.run_test(size=(120, 40)) as pilot:
        show(app, snapshot(0.400, 0.395, 0.205))
        await pilot.pause()
        assert names(app) == ["a", "b", "c"]
        show(app, snapshot(0.396, 0.399, 0.205))
        await pilot.pause()
        assert names(app) == ["a", "b", "c"]
        show(app, snapshot(0.2, 0.3, 0.5))
        await pilot.pause()
        assert names(app) == ["c", "b", "a"]


async def test_only_a_zoom_asks_for_details_of_the_selected_operation() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, full_snapshot())
        await pilot.press("5", "down")
        await pilot.pause()
        assert selections(app) == []
        await pilot.press("enter")
        await pilot.pause()
        assert selections(app)[-1].operation == ("shop", "report")
        await pilot.press("up")
        await pilot.pause()
        assert selections(app)[-1].operation == ("shop", "checkout")
        text = screen_text(app)
        for part in ("calls/s", "p95 ms", "errors %", "calls by duration", "watched for 4 s",
                     "pid 104", "failure"):  # fmt: skip
            assert part in text
        # What is shown in detail stays the same when the order changes.
        service = shop_of(full_snapshot())
        turned = windows([
            replace(operation, time_share=1 - operation.time_share)
            for operation in shop_operations()
        ])  # fmt: skip
        show(app, replace(full_snapshot(), services=(replace(service, windows=turned),)))
        await pilot.pause()
        assert selections(app)[-1].operation == ("shop", "checkout")
        await pilot.press("enter")
        await pilot.pause()
        assert selections(app)[-1].operation is None


async def test_a_tick_touches_only_rows_that_changed() -> None:
    app = make_app()
    snapshot = replace(full_snapshot(), services=(many(200),))
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, snapshot)
        await pilot.pause()
        pane = app.dashboard.panes["operations"]
        kept = [*pane._strips]
        service = many(200)
        window = service.windows[0]
        changed = replace(window.operations[3], rate=99.0)
        operations = (*window.operations[:3], changed, *window.operations[4:])
        service = replace(service, windows=(replace(window, operations=operations),))
        show(app, replace(snapshot, services=(service,)))
        await pilot.pause()
        pane.render_lines(pane.size.region)
        new = [y for y, strip in enumerate(pane._strips) if strip is not kept[y]]
        assert len(new) == 1


# The picker


def fleet_of(hosts: int) -> Snapshot:
    instances = tuple(
        Instance(f"web-{n:03}:{n}", f"web-{n:03}", n, State.OK, 1.0, 60.0, 5.0, 50_000_000)
        for n in range(hosts)
    )
    service = replace(
        shop_of(full_snapshot()), instances=instances, hosts=tuple(i.host for i in instances)
    )
    return replace(full_snapshot(), services=(service,), scrape=scraped())


async def test_services_are_chosen_in_the_picker() -> None:
    app = make_app()
    snapshot = replace(full_snapshot(), scrape=scraped())
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, snapshot)
        await pilot.pause()
        assert {name.split("/")[0] for name in names(app)} == {"shop", "stock"}
        await pilot.press("c")
        await pilot.pause()
        assert isinstance(app.screen, ServicesScreen)
        text = screen_text(app)
        assert "2, all are shown" in text
        assert "silent since 23:58:45" in text
        assert "its clock is" in text
        await pilot.press("down", "space", "escape")
        await pilot.pause()
        assert app.choice == Choice()
        await pilot.press("c", "down", "space", "enter")
        await pilot.pause()
        assert app.choice.services == {("scrape", "stock")}
        assert names(app) == ["reserve"]
        await pilot.press("c", "a", "enter")
        await pilot.pause()
        assert app.choice == Choice()


async def test_hosts_are_chosen_among_hundreds() -> None:
    app = make_app()
    snapshot = fleet_of(300)
    async with app.run_test(size=(80, 24)) as pilot:
        show(app, snapshot)
        await pilot.press("c", "tab", "end")
        await pilot.pause()
        assert "pid 299" in screen_text(app)
        await pilot.press("slash", *"web-250", "enter")
        await pilot.pause()
        await pilot.press("home", "space", "enter")
        await pilot.pause()
        assert app.choice.hosts == ("web-250",)
        assert selections(app)[-1].hosts == ("web-250",)
        await pilot.pause()
        assert "from now on" in screen_text(app)
        service = shop_of(snapshot)
        chosen = replace(
            service, chosen_hosts=("web-250",), chosen=windows(shop_operations()[:2], 6.0)
        )
        show(app, replace(snapshot, services=(chosen,)))
        await pilot.pause()
        assert names(app) == ["checkout", "product"]
        assert "on web-250 since 6 s" in screen_text(app)


async def test_the_picker_follows_the_newest_snapshot() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, full_snapshot())
        await pilot.press("c")
        await pilot.pause()
        service = replace(shop_of(full_snapshot()), name="renamed")
        show(app, replace(full_snapshot(), services=(service,)))
        await pilot.pause()
        assert "renamed" in screen_text(app)


@pytest.mark.parametrize("keys", [("5",), ("5", "enter"), ("c",)])
@pytest.mark.parametrize("size", [(20, 6), (40, 10), (80, 24), (120, 40), (200, 50)])
async def test_hostile_names_stay_text_at_every_size(
    size: tuple[int, int], keys: tuple[str, ...]
) -> None:
    hostile = "[/x]\x1b[31m 名前\n"
    operation = Operation(hostile, 1.0, 0.1, *[Absent(State.NOT_COLLECTED, hostile)] * 3, 0.0,
                          1.0, 10)  # fmt: skip
    instance = Instance(hostile, hostile, 7, State.STALE, 9.0, 1.0, 1.0, 1, hostile)
    service = Service(
        hostile, 1, (hostile,), 0.0, windows([operation]), instances=(instance,), notes=(hostile,)
    )
    snapshot = replace(full_snapshot(), services=(service,))
    for ascii_only in (False, True):
        app = make_app(snapshot, ascii_only=ascii_only)
        async with app.run_test(size=size) as pilot:
            show(app, snapshot)
            await pilot.press(*keys)
            await pilot.pause()
            show(app, snapshot)
            await pilot.pause()
            text = screen_text(app)
            assert "\x1b" not in text
            assert all(line.isprintable() for line in text.split("\n"))
            assert not ascii_only or text.isascii()
            if size[0] >= 80:
                assert r"[/x]\x1b[31m" in text


async def test_letters_that_are_keys_of_the_picker_can_be_typed_into_its_filter() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, full_snapshot())
        await pilot.press(
            "c", "slash", "a", "c", "q", "space", "backspace", "backspace", "backspace"
        )
        await pilot.pause()
        assert isinstance(app.screen, ServicesScreen)
        assert app.screen._services.state.filter == "a"
        await pilot.press("escape", "escape")
        await pilot.pause()
        assert app.screen is app.dashboard


async def test_a_foreign_alert_says_whose_it_is() -> None:
    app = make_app()
    alert = replace(
        full_snapshot().alerts[1], origin="prometheus", value=Absent(State.UNAVAILABLE, "no value")
    )
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, replace(full_snapshot(), alerts=(alert,)))
        await pilot.pause()
        (line,) = [text for text in screen_text(app).splitlines() if "WARN" in text]
        assert "prometheus 23:59:48" in line
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert " prometheus since 23:59:48" in screen_text(app)


async def test_pages_that_begin_to_fail_leave_the_table_in_its_place() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, full_snapshot())
        await pilot.press("5", "down")
        await pilot.pause()
        chosen = app.dashboard.panes["operations"].selected
        failing = replace(full_snapshot(), scrape=replace(scraped(), services=()))
        show(app, failing)
        await pilot.pause()
        text = screen_text(app)
        assert "http://stock-2:9000/metrics" in text
        assert "checkout" in text
        selected = app.dashboard.panes["operations"].selected
        assert selected is not None
        assert chosen is not None
        assert selected.key == chosen.key


async def test_details_are_asked_for_without_a_break_while_chosen_hosts_have_no_rows() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        show(app, full_snapshot())
        await pilot.press("5", "enter")
        await pilot.pause()
        await pilot.press("c", "tab", "space", "enter")
        await pilot.pause()
        assert names(app) == []
        show(app, full_snapshot())
        await pilot.pause()
    assert [(s.hosts, s.operation) for s in selections(app)] == [
        ((), ("shop", "checkout")),
        (("web-1",), ("shop", "checkout")),
    ]
