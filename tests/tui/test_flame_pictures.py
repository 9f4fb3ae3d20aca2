"""Pictures of the flame graph that were looked at and accepted; `--snapshot-update` renews them."""

from __future__ import annotations

import pytest
from flame_app import flame_app, open_flame
from sample_flames import deep_profile, hostile_profile, shop_profile
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.image import SVGImageSnapshotExtension
from test_pictures import _UNIQUE

from perftui.snapshot import NOT_LOOKED_AT, Absent, State, TopCalls
from perftui.tui.app import PerftuiApp
from perftui.tui.screenshot import without_fonts

SIZES = [(80, 24), (120, 40), (200, 50)]


async def picture(app: PerftuiApp, size: tuple[int, int], keys: tuple[str, ...] = ()) -> str:
    """Return the SVG of the screen after some keys, without what differs from run to run."""
    async with app.run_test(size=size) as pilot:
        await open_flame(app, pilot)
        if keys:
            await pilot.press(*keys)
        await pilot.pause()
        svg = app.export_screenshot(title="perftui", simplify=True)
    return _UNIQUE.sub(r"terminal-\1", without_fonts(svg))


@pytest.mark.parametrize("size", SIZES)
async def test_flame_graph(size: tuple[int, int], snapshot: SnapshotAssertion) -> None:
    svg = await picture(flame_app(shop_profile()), size, ("down",) * 8)
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


@pytest.mark.parametrize("size", SIZES)
async def test_call_tree(size: tuple[int, int], snapshot: SnapshotAssertion) -> None:
    svg = await picture(flame_app(shop_profile()), size, ("tab", *("down",) * 7))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


@pytest.mark.parametrize(
    ("calls", "keys"),
    [
        (shop_profile(), (*("down",) * 8, "enter", "slash", *"redis", "enter", "n")),
        (shop_profile(), ("slash", *"json")),
        (shop_profile(), ("H", "z", "down")),
        (deep_profile(), ("end",)),
        (deep_profile(), ("tab", "end", "up")),
        (hostile_profile(), ("down", "down", "right")),
    ],
    ids=["zoomed", "searching", "threads", "deep", "deep_tree", "hostile"],
)
async def test_small(calls: TopCalls, keys: tuple[str, ...], snapshot: SnapshotAssertion) -> None:
    svg = await picture(flame_app(calls), (80, 24), keys)
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


@pytest.mark.parametrize("theme", ["day", "contrast", "terminal"])
async def test_themes(theme: str, snapshot: SnapshotAssertion) -> None:
    svg = await picture(flame_app(shop_profile(), theme=theme), (80, 24), ("down",) * 8)
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


async def test_ascii_without_colour(snapshot: SnapshotAssertion) -> None:
    app = flame_app(shop_profile(), ascii_only=True, colour=False)
    svg = await picture(app, (120, 40), ("down",) * 8)
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


@pytest.mark.parametrize("state", ["gathering", "denied"])
async def test_nothing_to_draw(state: str, snapshot: SnapshotAssertion) -> None:
    from msgspec.structs import replace

    denied = Absent(State.DENIED, "py-spy may not attach to 4711", "sudo perftui --pid 4711")
    calls = denied if state == "denied" else replace(shop_profile(), stacks=NOT_LOOKED_AT)
    svg = await picture(flame_app(calls), (80, 24))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)
