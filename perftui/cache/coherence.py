"""Whether the memory tier may be read: the states of coherence, and what the links say together."""

from __future__ import annotations

import enum
import math
import threading
import time
from collections.abc import Callable

import msgspec

from perftui.cache.coherent_memory import CoherentMemory


class CoherenceState(enum.Enum):
    """OFF: nothing tells of changes, so memory keeps values for a short time at most, or there is
    no Redis to differ from. SYNCING: about to be LIVE. LIVE: every change is told, memory is read.
    LOST: a connection is down; memory is neither read nor filled until it is LIVE again."""

    OFF = "off"
    SYNCING = "syncing"
    LIVE = "live"
    LOST = "lost"


class Coherence(msgspec.Struct, frozen=True):
    """How the memory tier keeps up with Redis.

    `lag` is the newest round trip of a PING on the tracking connection, behind which no change is
    still on its way, in seconds; None before the first. `since` is Unix time of the newest change
    of `state`, `age` how many seconds ago that was, `lost` how often it was lost. `bound` is how
    old a value from memory can be, in seconds, None for no bound. `changes` counts keys the server
    named, `flushes` how often all was dropped, `patterns` the pattern messages heard.
    """

    state: CoherenceState
    reason: str
    fix: str
    lag: float | None
    since: float
    lost: int
    bound: float | None
    changes: int
    patterns: int
    flushes: int
    links: int
    age: float | None = None


class LinkReport(msgspec.Struct, frozen=True):
    """What one link knows: its proof holds until this moment of the monotonic clock, or why not.

    `refused` is why the server will never tell, with the remedy in `fix`.
    """

    state: CoherenceState
    until: float = -math.inf
    reason: str = ""
    fix: str = ""
    lag: float | None = None


class Board:
    """Puts what all links report together and opens and closes the memory tier; thread-safe.

    `bound`: seconds that a proof holds; memory is closed by itself when it is not renewed, even
    when the whole process was stopped meanwhile. `fallback`: longest life of a value in seconds
    where the server refuses to tell of changes. `max_stale`: the same while coherence is lost, 0 to
    bypass memory then.
    """

    def __init__(
        self,
        memory: CoherentMemory,
        bound: float,
        fallback: float,
        max_stale: float,
        on_live: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._memory = memory
        self._bound = bound
        self._fallback = fallback
        self._max_stale = max_stale
        self._on_live = on_live
        self._clock = clock
        self._lock = threading.Lock()
        self._reports: dict[str, LinkReport] = {}
        self._state = CoherenceState.SYNCING
        self._reason = "not connected yet"
        self._fix = ""
        self._changed_at = clock()
        self._lost = 0
        self._changed = threading.Condition(self._lock)
        self.changes = 0
        self.patterns = 0
        self.flushes = 0

    @property
    def state(self) -> CoherenceState:
        return self._state

    def plan(self, links: set[str]) -> None:
        """Set which links there must be; new ones have to report before anything is LIVE."""
        with self._lock:
            for gone in self._reports.keys() - links:
                del self._reports[gone]
            for new in links - self._reports.keys():
                self._reports[new] = LinkReport(CoherenceState.SYNCING, reason="not connected yet")
            self._settle()

    def report(self, link: str, report: LinkReport) -> None:
        """Take note of the state of a link."""
        with self._lock:
            if link not in self._reports:
                return
            before = self._reports[link].state
            self._reports[link] = report
            if report.state is not before:
                self._settle()
            elif report.state is CoherenceState.LOST:
                self._reason, self._fix = report.reason, report.fix

    def renew(self, link: str, proven_at: float, lag: float) -> None:
        """Everything that changed on this link before `proven_at` is known here."""
        with self._lock:
            report = self._reports.get(link)
            if report is None or report.state is not CoherenceState.LIVE:
                return
            until = proven_at + self._bound
            self._reports[link] = msgspec.structs.replace(report, until=until, lag=lag)
            if self._state is CoherenceState.LIVE:
                self._memory.readable_until = min(r.until for r in self._reports.values())

    def wait_settled(self, seconds: float) -> None:
        """Wait until it is known whether changes are told, so many seconds at most."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._state is not CoherenceState.SYNCING, timeout=seconds
            )

    def _settle(self) -> None:
        reports = self._reports.values()
        if not reports:
            self._enter(CoherenceState.SYNCING, "no server is known yet", "")
            return
        for state in (CoherenceState.LOST, CoherenceState.SYNCING, CoherenceState.OFF):
            first = next((report for report in reports if report.state is state), None)
            if first is not None:
                self._enter(state, first.reason, first.fix)
                return
        # Also when it was LIVE before: with the links, the slots they speak for have changed.
        self._memory.restart(min(report.until for report in reports))
        self.flushes += 1
        unheard = next((report.reason for report in reports if report.reason), "")
        self._enter(CoherenceState.LIVE, unheard, "")

    def _enter(self, state: CoherenceState, reason: str, fix: str) -> None:
        before = self._state
        if state is CoherenceState.OFF and before is not state:
            self._memory.restart(math.inf, self._fallback)
            self.flushes += 1
        elif state is CoherenceState.LOST and before is not state:
            self.flushes += 1
            if self._max_stale > 0:
                self._memory.restart(math.inf, self._max_stale)
            else:
                self._memory.close()
        elif state is CoherenceState.SYNCING and before in (
            CoherenceState.LIVE,
            CoherenceState.OFF,
        ):
            self._memory.close()
        self._reason, self._fix = reason, fix
        if state is before:
            return
        self._state = state
        self._changed_at = self._clock()
        self._lost += state is CoherenceState.LOST
        self._changed.notify_all()
        if state is CoherenceState.LIVE:
            self._on_live()

    def snapshot(self) -> Coherence:
        """Return how things stand; LIVE without a proof that is still good is LOST."""
        with self._lock:
            state, reason, fix = self._state, self._reason, self._fix
            age = self._clock() - self._changed_at
            lags = [r.lag for r in self._reports.values() if r.lag is not None]
            if (
                state is CoherenceState.LIVE
                and self._reports
                and self._clock() >= self._memory.readable_until
            ):
                silent = self._clock() - self._memory.readable_until + self._bound
                state = CoherenceState.LOST
                reason = f"no answer to PING for {silent:.1f} s"
                age = silent - self._bound
            return Coherence(
                state=state,
                reason=reason,
                fix=fix,
                lag=max(lags, default=None),
                since=time.time() - age,
                lost=self._lost,
                bound={
                    CoherenceState.LIVE: self._bound,
                    CoherenceState.OFF: self._fallback,
                    CoherenceState.LOST: self._max_stale,
                    CoherenceState.SYNCING: 0.0,
                }[state],
                changes=self.changes,
                patterns=self.patterns,
                flushes=self.flushes,
                links=len(self._reports),
                age=age,
            )

    def after_fork(self) -> None:
        """Begin anew in a forked process, where no link lives any more."""
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._reports = {}
        self._state = CoherenceState.SYNCING
        self._reason = "not connected yet"
        self._fix = ""
        self._lost = 0
        self._changed_at = self._clock()


MEMORY_ALONE = Coherence(
    CoherenceState.OFF, "there is no Redis tier to differ from", "", None, 0.0, 0, None, 0, 0, 0, 0
)
