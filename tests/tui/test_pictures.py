"""Pictures of the dashboard that were looked at and accepted; `--snapshot-update` renews them."""

from __future__ import annotations

import re

import msgspec
import pytest
from dashboard_app import make_app
from sample import full_snapshot, statuses
from sample_alerts import alarmed, all_alerts
from sample_services import fleet, scraped
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.image import SVGImageSnapshotExtension

from perftui.assembly import NO_REDIS
from perftui.snapshot import Absent, Snapshot, SourceStatus, State
from perftui.tui.app import PerftuiApp
from perftui.tui.screenshot import without_fonts

SIZES = [(80, 24), (120, 40), (200, 50)]
_UNIQUE = re.compile(r"\bterminal-\d+-([\w-]+)")


async def picture(app: PerftuiApp, size: tuple[int, int], keys: tuple[str, ...] = ()) -> str:
    """Return the SVG of an app after some keys, without what differs from run to run."""
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        snapshot = app.monitor.mailbox.latest()
        assert snapshot is not None
        app.show(snapshot)
        await pilot.pause()
        if keys:
            await pilot.press(*keys)
        await pilot.pause()
        svg = app.export_screenshot(title="perftui", simplify=True)
    return _UNIQUE.sub(r"terminal-\1", without_fonts(svg))


@pytest.mark.parametrize("size", SIZES)
async def test_dashboard(size: tuple[int, int], snapshot: SnapshotAssertion) -> None:
    assert await picture(make_app(), size) == snapshot(extension_class=SVGImageSnapshotExtension)


@pytest.mark.parametrize("theme", ["day", "contrast", "terminal"])
async def test_themes(theme: str, snapshot: SnapshotAssertion) -> None:
    svg = await picture(make_app(theme=theme), (120, 40))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


@pytest.mark.parametrize("pane", ["1", "2", "3", "4", "6", "8"])
async def test_zoomed_panes(pane: str, snapshot: SnapshotAssertion) -> None:
    svg = await picture(make_app(), (120, 40), (pane, "enter"))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


async def test_ascii(snapshot: SnapshotAssertion) -> None:
    svg = await picture(make_app(ascii_only=True), (120, 40))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


async def test_nothing_measured(snapshot: SnapshotAssertion) -> None:
    svg = await picture(make_app(Snapshot(0, 0.0, 0.0)), (120, 40))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


async def test_help(snapshot: SnapshotAssertion) -> None:
    svg = await picture(make_app(), (120, 40), ("question_mark",))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


async def test_paused(snapshot: SnapshotAssertion) -> None:
    svg = await picture(make_app(), (80, 24), ("space",))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


def answering(name: str) -> SourceStatus:
    return SourceStatus(name, State.OK, "", "", 0.4, 0.002, 2.0, 0, 10)


def many_sources() -> Snapshot:
    """Return services of all origins, two pages that are not read and a target that is down."""
    return msgspec.structs.replace(
        full_snapshot(),
        scrape=scraped(),
        prometheus=fleet(),
        sources=statuses(scrape=answering("scrape"), prometheus=answering("prometheus")),
    )


@pytest.mark.parametrize("size", SIZES)
async def test_operation_zoomed(size: tuple[int, int], snapshot: SnapshotAssertion) -> None:
    svg = await picture(make_app(), size, ("5", "enter"))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_resources_zoomed(size: tuple[int, int], snapshot: SnapshotAssertion) -> None:
    svg = await picture(make_app(), size, ("1", "enter", "down"))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


@pytest.mark.parametrize("size", SIZES)
async def test_alerts(size: tuple[int, int], snapshot: SnapshotAssertion) -> None:
    svg = await picture(make_app(alarmed()), size, ("2", "down", "down"))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


@pytest.mark.parametrize("size", SIZES)
async def test_alert_zoomed(size: tuple[int, int], snapshot: SnapshotAssertion) -> None:
    svg = await picture(make_app(alarmed()), size, ("2", "enter"))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


@pytest.mark.parametrize("size", SIZES)
async def test_silence(size: tuple[int, int], snapshot: SnapshotAssertion) -> None:
    keys = ("2", "x", "left", "tab", *"2h30m", "tab", "right", "tab", *"deploy")
    svg = await picture(make_app(alarmed()), size, keys)
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


async def test_silence_ended(snapshot: SnapshotAssertion) -> None:
    silenced = msgspec.structs.replace(full_snapshot(), alerts=all_alerts()[:1])
    svg = await picture(make_app(silenced), (80, 24), ("2", "x"))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


async def test_alerts_in_ascii_without_colour(snapshot: SnapshotAssertion) -> None:
    svg = await picture(
        make_app(alarmed(), ascii_only=True, colour=False), (120, 40), ("2", "enter")
    )
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


@pytest.mark.parametrize("size", SIZES)
async def test_operations_of_many_sources(
    size: tuple[int, int], snapshot: SnapshotAssertion
) -> None:
    svg = await picture(make_app(many_sources()), size)
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


@pytest.mark.parametrize("size", SIZES)
async def test_picker(size: tuple[int, int], snapshot: SnapshotAssertion) -> None:
    svg = await picture(make_app(many_sources()), size, ("c", "tab", "down", "space"))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


@pytest.mark.parametrize("size", SIZES)
async def test_no_source_of_operations(size: tuple[int, int], snapshot: SnapshotAssertion) -> None:
    nothing = msgspec.structs.replace(full_snapshot(), services=NO_REDIS, sources=())
    svg = await picture(make_app(nothing, redis=""), size, ("5",))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


@pytest.mark.parametrize("size", SIZES)
async def test_failing_sources(size: tuple[int, int], snapshot: SnapshotAssertion) -> None:
    gone = Absent(
        State.UNAVAILABLE,
        "Redis at localhost:6379 refused the connection",
        "start it (systemctl start redis), or correct the address in the Redis URL",
    )
    failing = msgspec.structs.replace(many_sources(), services=gone, redis=gone)
    svg = await picture(make_app(failing), size, ("5", "enter"))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)
