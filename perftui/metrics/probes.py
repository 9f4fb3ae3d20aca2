"""What Python itself holds up in a service: late event loops and garbage collection.

Both are opt-in and cost next to nothing: a timer ten times a second in each loop that is watched,
and two clock readings per garbage collection (`gc.callbacks` of the gc module).
"""

from __future__ import annotations

import asyncio
import gc
import math
import time
from collections import deque

import msgspec

from perftui.metrics.probe_readings import ProbeReadings

TICK = 0.1
"""Seconds between two ticks of the timer in an event loop."""
SPAN = 10.0
"""Seconds that a reading is about; a lost report or two loses nothing."""
MOST_LAGS = 1000
"""Ticks that are remembered for a reading, and those that one long block stands for."""


class LoopProbe:
    """How late the timer of one event loop runs; `take` may come from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._lags: list[float] = []
        self._due = math.inf
        self._stopped = False

    def start(self) -> None:
        """Begin to tick, from whatever thread; raises RuntimeError for a loop that is closed."""
        self.loop.call_soon_threadsafe(self._begin)

    def stop(self) -> None:
        """Do not tick any more from the next tick on."""
        self._stopped = True

    @property
    def over(self) -> bool:
        """Whether there will be no more ticks."""
        return self._stopped or self.loop.is_closed()

    def take(self) -> list[float]:
        """Return the lags since the last call, and what the loop is late at this moment."""
        lags, self._lags = self._lags, []
        now_late = time.monotonic() - self._due
        # A loop that was stopped and not closed ticks as little as one that is blocked.
        if now_late > TICK and self.loop.is_running():
            lags = [*lags, *_missed(now_late)]
        return lags

    def _begin(self) -> None:
        self._due = time.monotonic() + TICK
        self.loop.call_later(TICK, self._tick)

    def _tick(self) -> None:
        if self._stopped:
            return
        now = time.monotonic()
        lags = self._lags
        late = max(0.0, now - self._due)
        if len(lags) < MOST_LAGS:
            lags.append(late)
            if late > TICK:
                lags.extend(_missed(late)[1:])
        self._due = now + TICK
        self.loop.call_later(TICK, self._tick)


def _missed(late: float) -> list[float]:
    """Return how late each tick was that a block of `late` seconds made impossible."""
    count = min(MOST_LAGS, 1 + int(late / TICK))
    return [late - TICK * place for place in range(count)]


class GcProbe:
    """Pauses of the garbage collector in this process; the callback takes no lock.

    It runs wherever memory is allocated, also where its own thread reads.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.collections = 0
        self._longest = 0.0
        self._begun: float | None = None

    def start(self) -> None:
        """Begin to listen, unless it does."""
        if self._heard not in gc.callbacks:
            gc.callbacks.append(self._heard)

    def stop(self) -> None:
        """Listen no more."""
        if self._heard in gc.callbacks:
            gc.callbacks.remove(self._heard)

    def take_longest(self) -> float:
        """Return the longest pause since the last call."""
        longest, self._longest = self._longest, 0.0
        return longest

    def _heard(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._begun = time.perf_counter()
        elif self._begun is not None:
            pause = time.perf_counter() - self._begun
            self._begun = None
            self.seconds += pause
            self.collections += 1
            if pause > self._longest:
                self._longest = pause


class _Part(msgspec.Struct, frozen=True, gc=False):
    """What one reading found; `gc_seconds` and `gc_collections` count from the start."""

    time: float
    lags: tuple[float, ...]
    gc_seconds: float
    gc_collections: int
    gc_longest: float


class Probes:
    """The probes of one process; `read` belongs to one thread, the others may come from any."""

    def __init__(self) -> None:
        self._gc = GcProbe()
        self._loops: list[LoopProbe] = []
        self._parts: deque[_Part] = deque()
        self._running = False

    def start(self) -> None:
        """Listen to the garbage collector, and watch the loop that runs in this thread, if any."""
        self._running = True
        self._gc.start()
        self._parts.clear()
        self._parts.append(self._part(time.monotonic()))
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self.watch(loop)

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch a loop until it is closed; once, however often it is told. A closed one is not."""
        self._loops = [probe for probe in self._loops if not probe.over]
        if loop.is_closed() or any(probe.loop is loop for probe in self._loops):
            return
        probe = LoopProbe(loop)
        probe.start()
        self._loops = [*self._loops, probe]

    def stop(self) -> None:
        """End all probes."""
        self._running = False
        self._gc.stop()
        for probe in self._loops:
            probe.stop()
        self._loops = []

    def after_fork(self) -> None:
        """Begin anew in a forked process: the parent's loops do not run in it."""
        self._loops = []
        if self._running:
            self._gc.stop()
            self._gc = GcProbe()
            self._gc.start()
            self._parts.clear()
            self._parts.append(self._part(time.monotonic()))

    def read(self) -> ProbeReadings | None:
        """Return what the last seconds were like, None before there is anything to tell."""
        now = time.monotonic()
        parts = self._parts
        if not self._running or not parts:
            return None
        newest = self._part(now)
        parts.append(newest)
        # The first part is the begin: its lags and its longest pause are of the time before.
        while len(parts) > 2 and now - parts[1].time >= SPAN:
            parts.popleft()
        begin, inside = parts[0], [*parts][1:]
        window = newest.time - begin.time
        if window <= 0:
            return None
        lags = sorted(lag for part in inside for lag in part.lags)
        return ProbeReadings(
            window=window,
            lag_p95=lags[math.ceil(0.95 * len(lags)) - 1] if lags else 0.0,
            lag_longest=lags[-1] if lags else 0.0,
            lag_ticks=len(lags),
            gc_seconds=newest.gc_seconds - begin.gc_seconds,
            gc_longest=max(part.gc_longest for part in inside),
            gc_collections=newest.gc_collections - begin.gc_collections,
        )

    def _part(self, now: float) -> _Part:
        loops = [probe for probe in self._loops if not probe.over]
        lags = tuple(lag for probe in loops for lag in probe.take())
        collector = self._gc
        return _Part(
            now,
            lags,
            collector.seconds,
            collector.collections,
            collector.take_longest(),
        )
