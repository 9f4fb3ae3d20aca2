"""Made dumps of threads and a screen over the dashboard that shows them, for tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from dashboard_app import make_app
from sample import NOW
from textual.pilot import Pilot

from perftui.profiling.thread_dump import (
    DumpedFrame,
    DumpedThread,
    LocalVariable,
    ThreadDump,
)
from perftui.snapshot import Maybe
from perftui.tui.app import PerftuiApp
from perftui.tui.jobs import Job
from perftui.tui.screens.stack_dump import StackDumpScreen

LIB = "/usr/lib/python3.11"
SITE = "/srv/venv/lib/python3.11/site-packages"
THREAD = (
    DumpedFrame("Thread.run", f"{LIB}/threading.py", 982),
    DumpedFrame("Thread._bootstrap_inner", f"{LIB}/threading.py", 1045),
    DumpedFrame("Thread._bootstrap", f"{LIB}/threading.py", 1002),
)
POOL = (
    DumpedFrame("_worker", f"{LIB}/concurrent/futures/thread.py", 81),
    *THREAD,
)
HOSTILE = "\x1b[31m[bold]\n名前"


def main_thread(variables: bool = False) -> DumpedThread:
    """Return the thread that holds the GIL, deep in the shop."""
    found = (
        LocalVariable("basket", "{'id': 4711, 'token': 'secret-token', 'lines': [...]}", True),
        LocalVariable("rate", "0.19", False),
    )
    return DumpedThread(
        101,
        140_000,
        "MainThread",
        True,
        True,
        (
            DumpedFrame("price_for", "/srv/app/shop/price.py", 88, found if variables else ()),
            DumpedFrame("checkout", "/srv/app/shop/views.py", 212),
            DumpedFrame("Flask.dispatch_request", f"{SITE}/flask/app.py", 1823),
            DumpedFrame("Flask.wsgi_app", f"{SITE}/flask/app.py", 2552),
            DumpedFrame("SyncWorker.handle_request", f"{SITE}/gunicorn/workers/sync.py", 184),
            DumpedFrame("SyncWorker.run", f"{SITE}/gunicorn/workers/sync.py", 125),
            DumpedFrame("<module>", "/srv/venv/bin/gunicorn", 8),
        ),
    )


def shop_dump(exact: bool = False, variables: bool = False) -> ThreadDump:
    """Return sixteen threads: one with the GIL, one that reads, a pool, and single ones."""
    return ThreadDump(
        101,
        "gunicorn: worker [shop]",
        NOW,
        exact,
        variables,
        1,
        (
            *(DumpedThread(300 + n, n, f"ThreadPoolExecutor-0_{n}", False, False, POOL)
              for n in range(12)),
            DumpedThread(212, 7, "metrics", False, False, (
                DumpedFrame("Condition.wait", f"{LIB}/threading.py", 327),
                DumpedFrame("Event.wait", f"{LIB}/threading.py", 629),
                DumpedFrame("Reporter._loop", f"{SITE}/perftui/metrics/reporter.py", 201),
                *THREAD,
            )),
            main_thread(variables),
            DumpedThread(150, 3, "redis-listener", True, False, (
                DumpedFrame("SocketBuffer._read_from_socket", f"{SITE}/redis/_parsers/socket.py",
                            65),
                DumpedFrame("PubSub.listen", f"{SITE}/redis/client.py", 1029),
                *THREAD,
            )),
            DumpedThread(0, 99, HOSTILE, False, False, (
                DumpedFrame(HOSTILE, f"/srv/{HOSTILE}.py", 3),
            )),
            DumpedThread(402, 98, "", False, False, ()),
        ),
    )  # fmt: skip


class MadeDumps:
    """Gives the dumps it was made with; a test may hold the next one back."""

    def __init__(self, make: Callable[[bool, bool], Maybe[ThreadDump]] = shop_dump) -> None:
        self._make = make
        self.asked: list[tuple[bool, bool]] = []
        self.free = threading.Event()
        self.free.set()
        self.closed = False

    def take(self, exact: bool = False, variables: bool = False) -> Job[Maybe[ThreadDump]]:
        """Make a dump once that is permitted."""
        self.asked.append((exact, variables))

        def work() -> Maybe[ThreadDump]:
            self.free.wait(10)
            return self._make(exact, variables)

        return Job(work)

    def close(self) -> None:
        """Note that nobody waits any more."""
        self.closed = True
        self.free.set()


def dump_app(*, ascii_only: bool = False, colour: bool = True) -> PerftuiApp:
    """Return the dashboard."""
    return make_app(ascii_only=ascii_only, colour=colour)


async def open_dump(
    app: PerftuiApp, pilot: Pilot[int], dumps: MadeDumps | None = None
) -> StackDumpScreen:
    """Show the newest snapshot and the dump over it."""
    await pilot.pause()
    snapshot = app.monitor.mailbox.latest()
    assert snapshot is not None
    app.show(snapshot)
    screen = StackDumpScreen(101, app.glyphs, app.settings.keys, dumps or MadeDumps())
    await app.push_screen(screen)
    await settle(pilot)
    return screen


async def settle(pilot: Pilot[int]) -> None:
    """Wait until a dump that was asked for, and is not held back, is on the screen."""
    await eventually(pilot, lambda: not _is_reading(pilot))


async def eventually(pilot: Pilot[int], condition: Callable[[], bool]) -> None:
    """Wait for something that takes as long as the machine is busy."""
    end = time.monotonic() + 20
    while True:
        await pilot.pause(0.02)
        await pilot.pause()
        if condition():
            return
        assert time.monotonic() < end


def _is_reading(pilot: Pilot[int]) -> bool:
    screen = pilot.app.screen
    if not isinstance(screen, StackDumpScreen) or screen._job is None:
        return False
    return not isinstance(screen._dumps, MadeDumps) or screen._dumps.free.is_set()
