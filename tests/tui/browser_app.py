"""A key browser over the dashboard on a real Redis with fixed keys, for tests."""

from __future__ import annotations

from pathlib import Path

from dashboard_app import make_app
from dump_app import eventually
from redis_fixture import RedisProcess
from sample import NOW
from textual.pilot import Pilot

from perftui.cache.codecs import encode
from perftui.tui.app import PerftuiApp
from perftui.tui.key_browsing import KeyBrowsing
from perftui.tui.screens.key_browser import KeyBrowserScreen

HOSTILE = b"evil:\x1b[2J\x1b]0;title\x07\n\xff\xe2\x80\xae\\x41"


def fill(server: RedisProcess) -> None:
    """Put some keys of every sort there; none of them expires while a test looks."""
    client = server.client
    client.set("user:1", encode({"id": 1, "name": "Ann", "roles": ["admin", "dev"]}, "json"))
    client.set("user:2", b'{"id": 2, "name": "\xe5\x90\x8d\xe5\x89\x8d"}')
    client.set("page:home", "<html>\n  <body>hello</body>\n</html>\n")
    client.set(b"blob:\xe9", bytes(range(256)))
    client.set(HOSTILE, b"\x1b[31mred\x1b[0m")
    client.rpush("queue:mail", *(f"job {n}" for n in range(300)))
    client.hset("cart:7", mapping={"sku-1": 2, "sku-2": "a\x1b[2Jb"})
    client.zadd("top", {"bread": 3, "milk": 7.5})
    client.sadd("tags", "a")
    client.xadd("events", {"who": "ann"}, id="1700000000000-0")
    client.set("名前:1", "x")


def browsing(server: RedisProcess, journals: Path, allowed: bool = True) -> KeyBrowsing:
    """Return what asks the server."""
    return KeyBrowsing(server.url, allowed, journals)


async def open_browser(
    app: PerftuiApp, pilot: Pilot[int], asked: KeyBrowsing, pattern: str = "*"
) -> KeyBrowserScreen:
    """Show the newest snapshot and the browser over it."""
    await pilot.pause()
    snapshot = app.monitor.mailbox.latest()
    assert snapshot is not None
    app.show(snapshot)
    screen = KeyBrowserScreen(asked, app.glyphs, pattern, app.settings.keys, lambda: NOW)
    await app.push_screen(screen)
    await settle(pilot, screen)
    return screen


async def settle(pilot: Pilot[int], screen: KeyBrowserScreen) -> None:
    """Wait until nothing more comes from Redis by itself."""
    await eventually(pilot, lambda: is_still(screen))
    # What came last may not be drawn yet.
    screen._poll()
    await pilot.pause()


def is_still(screen: KeyBrowserScreen) -> bool:
    search = screen._search
    if screen._browsing.absent is not None:
        return True
    if search is None or search.running or search._fresh or screen._typed_at is not None:
        return False
    types = screen._types
    unread = types.problem is None and screen._list.unknown(1)
    return types._job is None and not types._asked and not unread and screen._deleting is None


def browser_app(*, ascii_only: bool = False, colour: bool = True, allow: bool = True) -> PerftuiApp:
    """Return the dashboard."""
    return make_app(ascii_only=ascii_only, colour=colour, allow=allow)
