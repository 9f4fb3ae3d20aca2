"""Changing servers by key: over a real Redis and a real HAProxy, from the row to the answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from dashboard_app import make_app, screen_text, show
from haproxy_fixture import Haproxy
from redis_fixture import RedisProcess
from sample import full_snapshot
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.image import SVGImageSnapshotExtension
from test_pictures import SIZES, picture
from textual.pilot import Pilot

from perftui.config.settings import Haproxy as HaproxySettings
from perftui.pool.registry import PoolRegistry
from perftui.snapshot import Pool, Snapshot
from perftui.sources.haproxy.source import HaproxySource
from perftui.sources.pools import PoolsSource
from perftui.sources.redis.target import RedisTarget
from perftui.tui.app import PerftuiApp
from perftui.tui.screens.change_servers import ChangeServersScreen

replace = msgspec.structs.replace


async def fill(url: str, count: int = 3) -> None:
    async with PoolRegistry(url, "web", timeout=5.0) as registry:
        for number in range(count):
            await registry.register(f"s{number}", f"10.0.0.1:800{number}")
            await registry.heartbeat(f"s{number}", 41.0, 30.0, 12.0)


async def states(url: str) -> dict[str, tuple[str, int]]:
    async with PoolRegistry(url, "web", timeout=5.0) as registry:
        return {each["id"]: (each["state"], each["weight"]) for each in await registry.servers()}


def snapshot_of(url: str) -> Snapshot:
    source = PoolsSource(RedisTarget.parse(url))
    try:
        return replace(full_snapshot(), pools=source.sample())
    finally:
        source.close()


def of_haproxy(*pools: Pool) -> Snapshot:
    return replace(full_snapshot(), pools=(), haproxy=pools)


class Keys:
    def __init__(self, app: PerftuiApp, pilot: Pilot[int]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def text(self) -> str:
        return " ".join(screen_text(self.app).replace("│", " ").split())

    async def until(self, true: Callable[[], bool], seconds: float = 30.0) -> None:
        for _ in range(int(seconds / 0.05)):
            if true():
                return
            await self.pilot.pause(0.05)
        pytest.fail(f"it did not happen within {seconds:g} s:\n{screen_text(self.app)}")

    async def sees(self, *words: str) -> None:
        await self.until(lambda: all(word in self.text for word in words))

    async def closed(self) -> None:
        await self.until(lambda: not isinstance(self.app.screen, ChangeServersScreen))


@contextlib.asynccontextmanager
async def servers(
    snapshot: Snapshot, size: tuple[int, int] = (120, 40), **options: Any
) -> AsyncIterator[Keys]:
    app = make_app(snapshot, **options)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        app.show(snapshot)
        await pilot.press("6")
        await pilot.pause()
        yield Keys(app, pilot)


async def test_drain_from_the_key_to_the_registry(redis_server: RedisProcess) -> None:
    await fill(redis_server.url)
    async with servers(snapshot_of(redis_server.url), redis=redis_server.url) as keys:
        await keys.pilot.press("down", "d")
        await keys.sees("Drain s1", "leaves 2 of 3 servers eligible, now 3")
        await keys.pilot.press(*"disk", "enter")
        await keys.closed()
        await keys.sees("s1: draining; e makes it ready again")
    assert await states(redis_server.url) == {
        "s0": ("ready", 1),
        "s1": ("drain", 1),
        "s2": ("ready", 1),
    }
    async with PoolRegistry(redis_server.url, "web", timeout=5.0) as registry:
        event = (await registry.events())[0]
    assert (event["kind"], event["server"], event["reason"]) == ("drain", "s1", "disk")
    assert "@" in event["by"]


async def test_escape_changes_nothing(redis_server: RedisProcess) -> None:
    await fill(redis_server.url)
    async with servers(snapshot_of(redis_server.url), redis=redis_server.url) as keys:
        await keys.pilot.press("m")
        await keys.sees("Maintenance of s0")
        await keys.pilot.press("escape")
        await keys.closed()
    assert set((await states(redis_server.url)).values()) == {("ready", 1)}


async def test_marked_servers_are_changed_together_and_unmarked(redis_server: RedisProcess) -> None:
    await fill(redis_server.url, 4)
    async with servers(snapshot_of(redis_server.url), redis=redis_server.url) as keys:
        await keys.pilot.press("v", "v")
        await keys.sees("2 servers marked")
        await keys.pilot.press("m")
        await keys.sees("Maintenance of 2 servers")
        await keys.pilot.press("enter")
        await keys.closed()
        assert keys.app.marked_servers == frozenset()
    found = await states(redis_server.url)
    assert [found[f"s{number}"][0] for number in range(4)] == ["maint", "maint", "ready", "ready"]


async def test_no_server_left_wants_the_name_of_the_pool(redis_server: RedisProcess) -> None:
    await fill(redis_server.url, 1)
    async with servers(snapshot_of(redis_server.url), redis=redis_server.url) as keys:
        await keys.pilot.press("d")
        await keys.sees("no server is left to take requests", "Confirm")
        await keys.pilot.press("enter")
        await keys.sees("type web to go on")
        assert (await states(redis_server.url))["s0"][0] == "ready"
        await keys.pilot.press(*"web", "enter")
        await keys.closed()
    assert (await states(redis_server.url))["s0"][0] == "drain"


async def test_plus_and_minus_step_the_weight(redis_server: RedisProcess) -> None:
    await fill(redis_server.url)
    async with servers(snapshot_of(redis_server.url), redis=redis_server.url) as keys:
        await keys.pilot.press("+")
        await keys.sees("Weight of s0", "weight 2", "50 % of the picks, now 33 %")
        await keys.pilot.press("+", "+", "-", "]")
        await keys.sees("weight 13")
        await keys.pilot.press("enter")
        await keys.closed()
        assert (await states(redis_server.url))["s0"] == ("ready", 13)
        show(keys.app, snapshot_of(redis_server.url))
        await keys.pilot.press("=")
        await keys.sees("its own weight")
        await keys.pilot.press("enter")
        await keys.closed()
    assert (await states(redis_server.url))["s0"] == ("ready", 1)


async def test_a_weight_that_cannot_be_is_said(redis_server: RedisProcess) -> None:
    await fill(redis_server.url)
    async with servers(snapshot_of(redis_server.url), redis=redis_server.url) as keys:
        await keys.pilot.press("+", "x")
        await keys.sees("must be a number, +N, -N, or own")
        await keys.pilot.press("enter")
        assert isinstance(keys.app.screen, ChangeServersScreen)
        assert keys.app.screen.stage.value == "ask"


async def test_read_only_says_what_to_start_with() -> None:
    async with servers(full_snapshot(), allow=False) as keys:
        await keys.pilot.press("d")
        await keys.sees("--allow-actions")
        assert not isinstance(keys.app.screen, ChangeServersScreen)


async def test_another_pane_is_not_drained() -> None:
    async with servers(full_snapshot()) as keys:
        await keys.pilot.press("2", "d")
        await keys.sees("choose a server first: press 6")


async def test_a_dead_redis_is_told_and_the_dialog_stays(redis_server: RedisProcess) -> None:
    await fill(redis_server.url)
    snapshot = snapshot_of(redis_server.url)
    redis_server.kill()
    async with servers(snapshot, redis=redis_server.url) as keys:
        await keys.pilot.press("d")
        await keys.sees("Drain s0")
        await keys.pilot.press("enter")
        await keys.sees("enter closes")
        await keys.pilot.press("enter")
        await keys.closed()


async def test_a_server_that_went_meanwhile(redis_server: RedisProcess) -> None:
    await fill(redis_server.url)
    async with servers(snapshot_of(redis_server.url), redis=redis_server.url) as keys:
        await keys.pilot.press("d")
        await keys.sees("Drain s0")
        show(keys.app, replace(full_snapshot(), pools=()))
        await keys.sees("none of these servers is there any more")


async def test_haproxys_refusal_is_shown_word_for_word(haproxy: Haproxy) -> None:
    source = HaproxySource(HaproxySettings(sockets=(haproxy.socket("operator"),), timeout=5.0))
    snapshot = of_haproxy(*await asyncio.to_thread(source.sample))
    async with servers(snapshot) as keys:
        await keys.pilot.press("d")
        await keys.sees("has level operator and will refuse", "level admin")
        await keys.pilot.press("enter")
        await keys.sees("a: Permission denied", "enter closes")


async def test_haproxy_is_drained_and_weighed_by_key(haproxy: Haproxy) -> None:
    source = HaproxySource(HaproxySettings(sockets=(haproxy.socket(),), timeout=5.0))
    snapshot = of_haproxy(*await asyncio.to_thread(source.sample))
    async with servers(snapshot) as keys:
        await keys.pilot.press("d", "enter")
        await keys.closed()
        await keys.pilot.press("down", "-", "[", "enter")
        await keys.closed()
    (pool,) = await asyncio.to_thread(source.sample)
    assert [(each.state, each.weight) for each in pool.servers][:2] == [
        ("drain", 100),
        ("ready", 89),
    ]


@pytest.mark.parametrize("size", SIZES)
async def test_picture(size: tuple[int, int], snapshot: SnapshotAssertion) -> None:
    svg = await picture(make_app(), size, ("6", "v", "d"))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)
