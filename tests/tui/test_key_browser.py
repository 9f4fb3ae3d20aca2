"""The key browser on a real Redis: paging, patterns, values, deleting, and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from browser_app import HOSTILE, browser_app, browsing, fill, open_browser, settle
from dashboard_app import screen_text
from dump_app import eventually
from redis_fixture import RedisProcess
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.image import SVGImageSnapshotExtension
from test_pictures import _UNIQUE
from textual.pilot import Pilot

from perftui.cache.audit import read_audit
from perftui.cache.undo_journal import journals
from perftui.sources.redis.own_lookups import own_lookups
from perftui.sources.redis.target import RedisTarget
from perftui.tui import key_browsing
from perftui.tui.app import PerftuiApp
from perftui.tui.key_browsing import KeyBrowsing
from perftui.tui.screens.delete_key import DeleteKeyScreen
from perftui.tui.screens.invalidate import InvalidateScreen
from perftui.tui.screens.key_browser import KeyBrowserScreen
from perftui.tui.screens.key_preview import KeyPreviewScreen
from perftui.tui.screens.undo import UndoScreen
from perftui.tui.screenshot import without_fonts

SIZE = (80, 24)
SIZES = [(80, 24), (120, 40), (200, 50)]
PLACE = "localhost:6379"


class AtOnePlace(KeyBrowsing):
    """Looks the same wherever the server of the test is."""

    @property
    def address(self) -> str:
        return PLACE


def sees(app: PerftuiApp, text: str) -> Callable[[], bool]:
    return lambda: text in screen_text(app)


async def press(pilot: Pilot[int], screen: KeyBrowserScreen, *keys: str) -> None:
    """Press keys and wait for what comes of it."""
    for key in keys:
        await pilot.press(key)
        await pilot.pause()
    if pilot.app.screen is screen:
        await settle(pilot, screen)


def still_svg(app: PerftuiApp) -> str:
    svg = app.export_screenshot(title="perftui", simplify=True)
    return _UNIQUE.sub(r"terminal-\1", without_fonts(svg))


async def picture(
    server: RedisProcess, size: tuple[int, int], keys: tuple[str, ...], **how: bool
) -> str:
    fill(server)
    app = browser_app(**how)
    async with app.run_test(size=size) as pilot:
        asked = AtOnePlace(server.url, True)
        screen = await open_browser(app, pilot, asked)
        await press(pilot, screen, "s", "home", *keys)
        if isinstance(app.screen, KeyPreviewScreen):
            await eventually(pilot, sees(app, "never expires"))
        return still_svg(app)


@pytest.fixture(autouse=True)
def _no_sizes_of_an_allocator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the pictures show the same sizes and idle times whatever server there is."""
    monkeypatch.setattr("perftui.tui.widgets.key_list.size", lambda _: "  96 B")
    monkeypatch.setattr("perftui.tui.screens.key_browser_lines.size", lambda _: "96 B")
    monkeypatch.setattr("perftui.preview_facts.size", lambda _: "96 B")
    monkeypatch.setattr("perftui.preview_facts.age", lambda _: "3 s")


@pytest.mark.parametrize("size", SIZES)
async def test_pictures(
    size: tuple[int, int], redis_server: RedisProcess, snapshot: SnapshotAssertion
) -> None:
    svg = await picture(redis_server, size, ("down", "down", "down", "down"))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


@pytest.mark.parametrize("size", SIZES)
async def test_pictures_of_a_value(
    size: tuple[int, int], redis_server: RedisProcess, snapshot: SnapshotAssertion
) -> None:
    svg = await picture(redis_server, size, ("end", "up", "up", "enter"))
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


@pytest.mark.parametrize("keys", [("x",), ("slash", *"user")], ids=["delete", "pattern"])
async def test_small_pictures(
    keys: tuple[str, ...], redis_server: RedisProcess, snapshot: SnapshotAssertion
) -> None:
    svg = await picture(redis_server, SIZE, keys)
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


async def test_picture_in_ascii_without_colour(
    redis_server: RedisProcess, snapshot: SnapshotAssertion
) -> None:
    svg = await picture(redis_server, SIZE, (), ascii_only=True, colour=False)
    assert svg == snapshot(extension_class=SVGImageSnapshotExtension)


async def test_keys_are_listed_without_harm_and_look_ups_taken_out(
    redis_server: RedisProcess, tmp_path: Path
) -> None:
    fill(redis_server)
    redis_server.client.config_resetstat()
    before = own_lookups(RedisTarget.parse(redis_server.url)).counts
    app = browser_app()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_browser(app, pilot, browsing(redis_server, tmp_path))
        text = screen_text(app)
        assert r"evil:\x1b[2J\x1b]0;title\x07\n\xff\u202e\\x41" in text
        assert "\x1b" not in text
        assert "11 found, all of 11 keys passed" in text
        assert "stream" in text
        await press(pilot, screen, "s", "end", "v")
        assert isinstance(app.screen, KeyPreviewScreen)
        await eventually(pilot, sees(app, "never expires"))
    stats = redis_server.client.info("stats")
    after = own_lookups(RedisTarget.parse(redis_server.url)).counts
    told = (after[0] - before[0], after[1] - before[1])
    assert told == (stats["keyspace_hits"], stats["keyspace_misses"])
    assert told[0] > 20


async def test_no_value_is_read_before_it_is_asked_for(
    redis_server: RedisProcess, tmp_path: Path
) -> None:
    fill(redis_server)
    redis_server.client.config_resetstat()
    app = browser_app()
    async with app.run_test(size=SIZE) as pilot:
        screen = await open_browser(app, pilot, browsing(redis_server, tmp_path))
        await press(pilot, screen, "down", "end", "home", "s", "S")
        used = set(redis_server.client.info("commandstats"))
    read = {"cmdstat_type", "cmdstat_pttl", "cmdstat_scan", "cmdstat_dbsize"}
    assert read <= used
    assert not used & {"cmdstat_get", "cmdstat_getrange", "cmdstat_hscan", "cmdstat_dump",
                       "cmdstat_object", "cmdstat_lrange"}  # fmt: skip


async def test_more_keys_come_with_scrolling_and_all_on_request(
    redis_server: RedisProcess, tmp_path: Path
) -> None:
    redis_server.client.mset({f"k:{n:05}": "x" for n in range(3_000)})
    app = browser_app()
    async with app.run_test(size=SIZE) as pilot:
        screen = await open_browser(app, pilot, browsing(redis_server, tmp_path))
        first = len(screen._list)
        assert 100 <= first < 1_000
        await press(pilot, screen, "end")
        assert len(screen._list) > first
        await press(pilot, screen, "a")
        assert "3,000 found, all of 3,000 keys passed" in screen_text(app)
        await press(pilot, screen, "s", "end")
        assert "k:02999" in screen_text(app)
        await press(pilot, screen, "s", "s", "t")
        assert screen._list.details_known == 3_000


async def test_no_more_keys_are_kept_than_the_limit(
    redis_server: RedisProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_browsing, "MOST_KEYS", 700)
    monkeypatch.setattr("perftui.tui.screens.key_browser_lines.MOST_KEYS", 700)
    redis_server.client.mset({f"k:{n}": "x" for n in range(2_000)})
    app = browser_app()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_browser(app, pilot, browsing(redis_server, tmp_path))
        await press(pilot, screen, "a", "end", "end")
        assert "no more than 700 are kept" in screen_text(app)
        assert 700 <= len(screen._list) < 700 + key_browsing.PAGE


async def test_the_pattern_is_typed_and_dropped(redis_server: RedisProcess, tmp_path: Path) -> None:
    fill(redis_server)
    app = browser_app()
    async with app.run_test(size=SIZE) as pilot:
        screen = await open_browser(app, pilot, browsing(redis_server, tmp_path))
        await press(pilot, screen, "slash", *"user")
        assert "no key matches user" in screen_text(app)
        assert "try user*" in screen_text(app)
        await press(pilot, screen, *":*", "enter")
        assert "2 found" in screen_text(app)
        await press(pilot, screen, "escape")
        assert "11 found" in screen_text(app)
        await press(pilot, screen, "slash", *r"evil*\xff*", "enter")
        assert "1 found" in screen_text(app)
        assert screen._list.selected is not None
        assert screen._list.selected.listed.key == HOSTILE
        await press(pilot, screen, "escape", "escape")
        assert app.screen is not screen


async def test_a_search_that_finds_little_is_stopped(
    redis_server: RedisProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perftui.cache.key_listing.MOST_SCANS", 1)
    monkeypatch.setattr(KeyBrowsing, "rest", lambda self, _: self._closed.wait(0.05))
    redis_server.client.mset({f"k:{n}": "x" for n in range(100_000)})
    app = browser_app()
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        snapshot = app.monitor.mailbox.latest()
        assert snapshot is not None
        app.show(snapshot)
        asked = browsing(redis_server, tmp_path)
        screen = KeyBrowserScreen(asked, app.glyphs, "absent:*")
        await app.push_screen(screen)
        await eventually(pilot, sees(app, " of 100,000 passed, looking"))
        await pilot.press("escape")
        await settle(pilot, screen)
        assert "stopped" in screen_text(app)
        assert "none found so far" in screen_text(app)
        assert app.screen is screen


async def test_one_key_is_deleted_kept_and_written_down(
    redis_server: RedisProcess, tmp_path: Path
) -> None:
    fill(redis_server)
    app = browser_app()
    async with app.run_test(size=SIZE) as pilot:
        screen = await open_browser(app, pilot, browsing(redis_server, tmp_path), "evil*")
        await press(pilot, screen, "x")
        assert isinstance(app.screen, DeleteKeyScreen)
        await pilot.press("enter", "n")
        await pilot.pause()
        assert redis_server.client.exists(HOSTILE)
        await press(pilot, screen, "x", "y")
        await settle(pilot, screen)
        assert not redis_server.client.exists(HOSTILE)
        assert redis_server.client.dbsize() == 11
        assert "deleted: u brings it back" in screen_text(app)
        assert len(screen._list) == 0
        (journal,) = journals(tmp_path)
        assert [one.key for one in journal.deleted()] == [HOSTILE]
        (entry,) = read_audit(redis_server.client, 5)
        assert (entry.action, entry.deleted) == ("delete", 1)


async def test_nothing_is_changed_unless_that_is_allowed(
    redis_server: RedisProcess, tmp_path: Path
) -> None:
    fill(redis_server)
    app = browser_app(allow=False)
    async with app.run_test(size=SIZE) as pilot:
        asked = browsing(redis_server, tmp_path, allowed=False)
        screen = await open_browser(app, pilot, asked)
        for key in ("x", "delete", "i", "u"):
            await press(pilot, screen, key)
            assert app.screen is screen
            assert "read-only: start with --allow-actions" in screen_text(app)
        assert "read-only" in screen_text(app).split("\n")[0]
        with pytest.raises(PermissionError):
            asked.delete(b"a")
    assert redis_server.client.dbsize() == 11


async def test_a_pattern_is_handed_to_the_dialogs(
    redis_server: RedisProcess, tmp_path: Path
) -> None:
    fill(redis_server)
    app = browser_app()
    async with app.run_test(size=SIZE) as pilot:
        screen = await open_browser(app, pilot, browsing(redis_server, tmp_path), "user:*")
        await pilot.press("i")
        await eventually(pilot, lambda: isinstance(app.screen, InvalidateScreen))
        assert "user:*" in screen_text(app)
        redis_server.client.delete("user:1")
        await pilot.press("escape")
        await eventually(pilot, lambda: app.screen is screen)
        await eventually(pilot, sees(app, "1 found"))
        await pilot.press("u")
        await eventually(pilot, lambda: isinstance(app.screen, UndoScreen))


async def test_no_redis(tmp_path: Path) -> None:
    for url, said in (("", "no Redis is configured"), ("http://x", "a Redis URL starts with")):
        app = browser_app()
        async with app.run_test(size=SIZE) as pilot:
            screen = await open_browser(app, pilot, KeyBrowsing(url, True, tmp_path))
            assert said in screen_text(app)
            assert "fix:" in screen_text(app)
            await press(pilot, screen, "r", "x", "i", "u", "a", "slash", "enter", "t", "s", "S")
            assert app.screen is screen
            await pilot.press("escape")
            assert app.screen is not screen


async def test_a_server_that_dies_or_freezes_and_comes_back(
    redis_server: RedisProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perftui.cache.conversation.Conversation.__init__.__defaults__", (0.5,))
    fill(redis_server)
    app = browser_app()
    async with app.run_test(size=SIZE) as pilot:
        screen = await open_browser(app, pilot, browsing(redis_server, tmp_path))
        redis_server.freeze()
        await press(pilot, screen, "r")
        assert "did not answer" in screen_text(app)
        redis_server.thaw()
        await press(pilot, screen, "r")
        assert "11 found" in screen_text(app)
        redis_server.kill()
        await pilot.press("enter")
        await eventually(pilot, sees(app, "refused the connection"))
        await pilot.press("escape")
        await press(pilot, screen, "r")
        assert "refused the connection" in screen_text(app)
        redis_server.start()
        await press(pilot, screen, "r")
        assert "no key matches *" in screen_text(app)


async def test_a_user_who_may_not_ask_for_everything(
    redis_server: RedisProcess, tmp_path: Path
) -> None:
    fill(redis_server)
    client = redis_server.client
    rules = ["on", ">pw", "~*", "+@all", "-type", "-memory", "-dbsize"]
    client.execute_command("ACL", "SETUSER", "ann", *rules)
    app = browser_app()
    async with app.run_test(size=(120, 40)) as pilot:
        url = f"{redis_server.url}?username=ann&password=pw"
        screen = await open_browser(app, pilot, KeyBrowsing(url, True, tmp_path))
        text = screen_text(app)
        assert "11 found" in text
        assert "does not allow user ann to run TYPE" in text
        assert "ACL SETUSER ann +type" in text
        client.execute_command("ACL", "SETUSER", "ann", "-scan")
        await press(pilot, screen, "r")
        assert "does not allow user ann to run SCAN" in screen_text(app)
        client.execute_command("ACL", "SETUSER", "ann", "+@all", "-unlink", "-del")
        await press(pilot, screen, "r")
        await press(pilot, screen, "x", "y")
        await settle(pilot, screen)
        assert "not deleted" in screen_text(app)
        assert client.dbsize() == 11


async def test_a_key_that_is_gone_meanwhile(redis_server: RedisProcess, tmp_path: Path) -> None:
    redis_server.client.set("short", "x")
    app = browser_app()
    async with app.run_test(size=SIZE) as pilot:
        screen = await open_browser(app, pilot, browsing(redis_server, tmp_path))
        redis_server.client.delete("short")
        await pilot.press("enter")
        await eventually(pilot, sees(app, "there is no such key"))
        await pilot.press("escape")
        await press(pilot, screen, "x", "y")
        await settle(pilot, screen)
        assert "gone already" in screen_text(app)


async def test_a_replica_is_looked_at_but_not_changed(
    start_redis: Callable[..., RedisProcess], tmp_path: Path
) -> None:
    server = start_redis()
    fill(server)
    server.client.execute_command("REPLICAOF", "127.0.0.1", "1")
    server.client.config_set("replica-serve-stale-data", "yes")
    app = browser_app()
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_browser(app, pilot, browsing(server, tmp_path))
        assert "11 found" in screen_text(app)
        await press(pilot, screen, "x", "y")
        await settle(pilot, screen)
        assert "not deleted" in screen_text(app)
        assert "replica" in screen_text(app)
    with pytest.raises(redis.RedisError):
        server.client.set("a", 1)


@pytest.mark.parametrize("size", [(40, 10), (20, 6)])
async def test_the_smallest_terminals_show_the_answer(
    size: tuple[int, int], redis_server: RedisProcess, tmp_path: Path
) -> None:
    redis_server.client.set("perftui:" + "x" * 5_000, "x")
    app = browser_app()
    async with app.run_test(size=size) as pilot:
        screen = await open_browser(app, pilot, browsing(redis_server, tmp_path))
        await press(pilot, screen, "x")
        await eventually(pilot, sees(app, "y deletes it"))
        await press(pilot, screen, "n", "enter")
        await eventually(pilot, lambda: isinstance(app.screen, KeyPreviewScreen))
        await press(pilot, screen, "end", "pageup", "r", "y", "escape")
        assert app.screen is screen
