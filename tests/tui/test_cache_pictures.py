"""Pictures of the cache pane that were looked at and accepted; `--snapshot-update` renews them."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from dashboard_app import make_app
from sample_caches import (
    HOSTILE,
    LOST,
    OFF,
    SYNCING,
    cached,
    cached_history,
    namespace,
    prefix_samples,
    shop_caches,
)
from sample_services import shop
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.image import SVGImageSnapshotExtension
from test_pictures import SIZES, picture

from perftui.snapshot import Absent, Snapshot, State
from perftui.tui.app import PerftuiApp
from perftui.tui.cache_view import CACHE_VIEWS, CacheBy, PrefixLook

GONE = Absent(
    State.UNAVAILABLE,
    "Redis at localhost:6379 refused the connection",
    "start it (systemctl start redis), or correct the address in the Redis URL",
)


def app_of(shown: Snapshot, *, ascii_only: bool = False, colour: bool = True) -> PerftuiApp:
    """Return an app with courses, and prefixes that were sampled 12 s ago."""
    app = make_app(shown, ascii_only=ascii_only, colour=colour)
    app.history = cached_history()
    look = PrefixLook(None, prefix_samples(), shown.monotonic - 12)
    app.cache_view = replace(app.cache_view, prefixes=look)
    return app


def keys_to(by: CacheBy) -> tuple[str, ...]:
    """Return the keys that lead to a view."""
    return ("4", "enter", *["b"] * list(CACHE_VIEWS).index(by))


@pytest.mark.parametrize("size", SIZES)
async def test_small(size: tuple[int, int], snapshot: SnapshotAssertion) -> None:
    svg = await picture(app_of(cached()), size, ("4",))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


@pytest.mark.parametrize("size", SIZES)
async def test_small_lost(size: tuple[int, int], snapshot: SnapshotAssertion) -> None:
    svg = await picture(app_of(cached(shop_caches(LOST, 3.0))), size, ("4",))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


@pytest.mark.parametrize("size", SIZES)
async def test_zoomed(size: tuple[int, int], snapshot: SnapshotAssertion) -> None:
    svg = await picture(app_of(cached()), size, ("4", "enter"))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


@pytest.mark.parametrize("size", SIZES)
async def test_zoomed_lost(size: tuple[int, int], snapshot: SnapshotAssertion) -> None:
    svg = await picture(app_of(cached(shop_caches(LOST, 3.0))), size, ("4", "enter"))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("by", ["processes", "commands", "slow", "errors", "prefixes"])
async def test_views(by: CacheBy, size: tuple[int, int], snapshot: SnapshotAssertion) -> None:
    svg = await picture(app_of(cached(shop_caches(SYNCING))), size, keys_to(by))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


async def test_the_server_selected(snapshot: SnapshotAssertion) -> None:
    svg = await picture(app_of(cached()), (80, 24), ("4", "enter", "end"))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


async def test_refused_tracking(snapshot: SnapshotAssertion) -> None:
    svg = await picture(app_of(cached(shop_caches(OFF))), (120, 40), ("4", "enter"))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


@pytest.mark.parametrize("size", SIZES)
async def test_no_redis(size: tuple[int, int], snapshot: SnapshotAssertion) -> None:
    shown = cached(shop_caches(OFF), redis=GONE, detail=GONE)
    svg = await picture(app_of(shown), size, ("4", "enter"))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


@pytest.mark.parametrize("keys", [("4",), ("4", "enter")])
async def test_no_services(keys: tuple[str, ...], snapshot: SnapshotAssertion) -> None:
    shown = msgspec.structs.replace(cached(), services=())
    svg = await picture(app_of(shown), (80, 24), keys)
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


async def test_nothing_at_all(snapshot: SnapshotAssertion) -> None:
    shown = cached((), redis=GONE)
    svg = await picture(app_of(shown), (80, 24), ("4", "enter"))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


@pytest.mark.parametrize("colour", [True, False])
async def test_ascii(colour: bool, snapshot: SnapshotAssertion) -> None:
    app = app_of(cached(shop_caches(LOST, 3.0)), ascii_only=True, colour=colour)
    svg = await picture(app, (120, 40), keys_to("processes"))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


async def test_hostile_names_of_two_services(snapshot: SnapshotAssertion) -> None:
    one = msgspec.structs.replace(shop(), name=HOSTILE, caches=(namespace(HOSTILE, 0.3, 9.0),))
    two = msgspec.structs.replace(shop(), caches=shop_caches()[:2])
    shown = msgspec.structs.replace(cached(), services=(one, two))
    svg = await picture(app_of(shown), (120, 40), ("4", "enter"))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)
