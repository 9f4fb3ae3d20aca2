"""Picks a server from what is known of all, and learns from the outcome; without clock or Redis."""

from __future__ import annotations

import random as randomness
import threading
from collections import Counter
from collections.abc import Callable, Container, Iterable
from typing import NamedTuple

from perftui.pool.config import ScalingConfig
from perftui.pool.errors import PoolError
from perftui.pool.exclusion import Admission, OutlierEjection, admit
from perftui.pool.load_view import LoadLimits, LoadView
from perftui.pool.policies import make_policy
from perftui.pool.readings import Reading, Server
from perftui.pool.slow_start import slow_start_share
from perftui.pool.track import Track

FAILURE_SECONDS = 1.0
"""A failure counts as an answer that took this long at least, lest a server that fails quickly
look like a fast one and draw everybody."""
SILENT_PERIOD = 30.0
"""Seconds; a pick whose end nobody tells counts as at work for one to two of these."""
ANY_SILENCE = 30.0
"""Seconds of silence up to which a server is used when no other is left."""
LONG_AGO = 1e9


class NoAvailableServersError(PoolError):
    """There is no server that may get the request; the message says what the servers are."""


class SelectionCounts(NamedTuple):
    """What happened to one server since it was last told; see PoolRegistry.counts."""

    picks: int
    in_flight: int
    done: int
    fails: int
    seconds: float


NOTHING = SelectionCounts(0, 0, 0, 0, 0.0)


class Selection:
    """The state of one balancer; safe between threads.

    All times are seconds of one clock of the caller that goes forward. `strict` is the literal
    rule: the loads as they are, nobody above a threshold, and the others in turn. `random` draws
    from [0, 1).
    """

    def __init__(
        self,
        config: ScalingConfig,
        policy: str = "round_robin",
        *,
        strict: bool = False,
        random: Callable[[], float] = randomness.random,
    ) -> None:
        if strict and policy != "round_robin":
            raise ValueError(f"strict is round robin, it cannot be combined with {policy!a}")
        balancing = config.balancing
        self._policy = make_policy(policy, (lambda: 0.0) if strict else random)
        limits = LoadLimits(config.cpu_threshold, config.memory_threshold, config.request_threshold)
        self._view = LoadView(
            limits,
            0.0 if strict else float(balancing["smoothing"]),
            1.0 if strict else float(balancing["return_ratio"]),
        )
        self._ejection = OutlierEjection(
            int(balancing["ejection_failures"]), float(balancing["ejection_time"])
        )
        self._strict = strict
        self._share = float(balancing["max_excluded"])
        self._panic_below = float(balancing["panic_threshold"])
        self._slow_start = 0.0 if strict else float(balancing["slow_start"])
        self._stale_after = float(balancing["stale_after"])
        self._lock = threading.Lock()
        self._tracks: dict[str, Track] = {}
        self._gone: list[Track] = []
        self._ages: dict[str, float] = {}
        self._joined: dict[str, float] = {}
        self._ejected: frozenset[str] = frozenset()
        self._live: tuple[str, ...] = ()
        self._excess: dict[str, float] = {}
        self._desperate = False
        self._admission = Admission((), frozenset(), panic=False)
        self._plan: tuple[tuple[Track, int, float], ...] = ()
        self._why = "the pool has not been read yet"
        self._period_began = -LONG_AGO
        self._first = True

    @property
    def eligible(self) -> tuple[str, ...]:
        """Ids of the servers that get requests."""
        return self._admission.eligible

    @property
    def excluded(self) -> frozenset[str]:
        """Ids of the live servers that get none, for their load or their failures."""
        return self._admission.excluded

    @property
    def live(self) -> tuple[str, ...]:
        """Ids of the servers that are ready and send heartbeats."""
        return self._live

    @property
    def panic(self) -> bool:
        """Whether so few servers are well that those above a threshold get requests too."""
        return self._admission.panic

    def server(self, server: str) -> Server | None:
        """Return a server by its id."""
        track = self._tracks.get(server)
        return None if track is None else track.server

    def update(self, readings: Iterable[Reading], now: float, grace: float = 0.0) -> None:
        """Take in the state of all servers.

        `grace` seconds of silence are forgiven besides: nobody could be heard while Redis was away.
        """
        with self._lock:
            self._take_in(list(readings), now, self._stale_after + grace)
            self._admit(now)

    def explain(self, why: str) -> None:
        """Say why nobody can be picked, for as long as no state of the servers is known."""
        with self._lock:
            if not self._tracks:
                self._why = why

    def tick(self, now: float) -> None:
        """Let time pass without news: ejected servers come back, starting ones get more."""
        with self._lock:
            self._admit(now)

    def pick(self, now: float, avoid: Container[str] = (), *, followed: bool = False) -> Server:
        """Return whose turn it is; counts the pick.

        `avoid`: those the request has failed on before, passed over while there are others.
        `followed`: the caller will surely tell the end, by `finish` with the same word. Raises
        NoAvailableServersError.
        """
        with self._lock:
            if not self._plan:
                raise NoAvailableServersError(self._why)
            track = self._policy.pick(now)
            if avoid and track.server.id in avoid:
                track = self._another(track, avoid, now)
            track.picks += 1
            track.pending += 1
            if followed:
                track.flight += 1
            else:
                track.silent += 1
            return track.server

    def picked_elsewhere(self, server: str, *, followed: bool = False) -> Server | None:
        """Note a pick that the registry made and counted; None for a server not known here."""
        with self._lock:
            track = self._tracks.get(server)
            if track is None:
                return None
            track.pending += 1
            if not followed:
                track.silent += 1
            return track.server

    def finish(
        self,
        server: str,
        seconds: float | None,
        ok: bool,
        now: float,
        *,
        unreachable: bool = False,
        followed: bool = False,
        at_work_elsewhere: bool = False,
    ) -> bool:
        """Note the end of a picked request; return whether it ejects the server.

        `seconds` is None when it says nothing about the server's speed. `unreachable`: no
        connection could be made. `at_work_elsewhere`: the registry made the pick.
        """
        with self._lock:
            track = self._tracks.get(server)
            if track is None:
                return False
            if followed:
                track.pending -= 1
            else:
                track.end_silent()
            if followed or at_work_elsewhere:
                track.flight -= 1
            track.done += 1
            if seconds is not None:
                track.seconds += seconds
            if not ok:
                track.fails += 1
                track.observe(max(seconds or 0.0, track.cost, FAILURE_SECONDS), now)
            elif seconds is not None:
                track.observe(seconds, now)
            if self._strict or not self._ejection.report(server, ok, now, certain=unreachable):
                return False
            self._admit(now)
            return server in self._admission.excluded

    def abandon(self, server: str) -> None:
        """Note that a followed request ended without saying anything about its server."""
        with self._lock:
            track = self._tracks.get(server)
            if track is not None:
                track.pending -= 1
                track.flight -= 1

    def take_counts(self) -> dict[str, SelectionCounts]:
        """Return what happened since the last time, by server, and begin anew."""
        with self._lock:
            taken: dict[str, SelectionCounts] = {}
            for track in (*self._gone, *self._tracks.values()):
                counts = SelectionCounts(
                    track.picks, track.flight, track.done, track.fails, track.seconds
                )
                if counts != NOTHING:
                    taken[track.server.id] = counts
                    track.picks = track.flight = track.done = track.fails = 0
                    track.seconds = 0.0
            self._gone.clear()
            return taken

    def give_back(self, counts: dict[str, SelectionCounts]) -> None:
        """Take back counts that could not be told."""
        with self._lock:
            for server, count in counts.items():
                track = self._tracks.get(server)
                if track is not None:
                    track.picks += count.picks
                    track.flight += count.in_flight
                    track.done += count.done
                    track.fails += count.fails
                    track.seconds += count.seconds

    def after_fork(self) -> None:
        """Begin anew in a child process, whose parent tells what it counted by itself."""
        self._lock = threading.Lock()
        for track in self._tracks.values():
            track.picks = track.flight = track.done = track.fails = 0
            track.pending = track.silent = track.silent_before = 0
            track.seconds = 0.0

    def _another(self, first: Track, avoid: Container[str], now: float) -> Track:
        for _ in self._plan:
            track = self._policy.pick(now)
            if track.server.id not in avoid:
                return track
        others = [track for track, _, _ in self._plan if track.server.id not in avoid]
        return min(others, key=lambda track: track.pending, default=first)

    def _take_in(self, readings: list[Reading], now: float, stale_after: float) -> None:
        for reading in readings:
            server = reading.server
            track = self._tracks.get(server.id)
            if track is None:
                self._tracks[server.id] = Track(server, now)
            else:
                track.server = server
            self._note_restart(reading)
        known = {reading.server.id for reading in readings}
        for gone in [server for server in self._tracks if server not in known]:
            self._gone.append(self._tracks.pop(gone))
            self._ages.pop(gone, None)
        self._view.keep_only(known)
        self._ejection.keep_only(known)
        ready = [
            reading
            for reading in readings
            if reading.admin == "ready" and not reading.leaving and reading.server.weight > 0
        ]
        live = [r for r in ready if r.silence is not None and r.silence <= stale_after]
        self._desperate = False
        if not live and not self._strict:
            # All at once are rarely dead; more often Redis itself was away or slow.
            live = [r for r in ready if r.silence is not None and r.silence <= ANY_SILENCE]
            self._desperate = bool(live)
        self._excess = {}
        for reading in live:
            judged = self._view.judge(reading.server.id, reading.load, now, reading.smoothed)
            if judged.overloaded:
                self._excess[reading.server.id] = judged.excess
        self._note_joined(live, now)
        self._live = tuple(sorted(reading.server.id for reading in live))
        self._why = _why(readings, len(live))
        if now - self._period_began >= SILENT_PERIOD:
            self._period_began = now
            for track in self._tracks.values():
                track.forget_silent()

    def _note_restart(self, reading: Reading) -> None:
        server, age = reading.server.id, reading.age
        if age is None:
            return
        if age + 0.5 < self._ages.get(server, 0.0):
            self._ejection.forget(server)
            self._joined.pop(server, None)
        self._ages[server] = age

    def _note_joined(self, live: list[Reading], now: float) -> None:
        joined = {}
        for reading in live:
            age = reading.age if self._first else 0.0
            since = now - (LONG_AGO if age is None else age)
            joined[reading.server.id] = self._joined.get(reading.server.id, since)
        self._joined = joined
        self._first = False

    def _admit(self, now: float) -> None:
        if self._strict:
            eligible = tuple(server for server in self._live if server not in self._excess)
            excluded = frozenset(self._live) - frozenset(eligible)
            self._admission = Admission(eligible, excluded, panic=False)
        else:
            ejected = self._ejection.ejected(now)
            for server in self._ejected.difference(ejected):
                if server in self._joined:
                    self._joined[server] = now
            self._ejected = frozenset(ejected)
            admission = admit(self._live, self._excess, ejected, self._share, self._panic_below)
            self._admission = admission._replace(panic=admission.panic or self._desperate)
        self._lay_plan(now)

    def _lay_plan(self, now: float) -> None:
        tracks = [self._tracks[server] for server in self._admission.eligible]
        shares = [
            slow_start_share(now - self._joined[track.server.id], self._slow_start)
            for track in tracks
        ]
        most = max(shares, default=1.0)
        plan = tuple(
            (track, track.server.weight, share / most)
            for track, share in zip(tracks, shares, strict=True)
        )
        if plan == self._plan:
            return
        self._plan = plan
        if not plan:
            return
        mean = sum(weight * share for _, weight, share in plan) / len(plan)
        for track, weight, share in plan:
            track.share = share
            track.weight = weight * share / mean
        self._policy.rebuild(tracks)


def _why(readings: list[Reading], live: int) -> str:
    """Return in words why none can be picked, should it come to that."""
    if not readings:
        return "no server is registered in the pool"
    if live:
        return f"each of the {live} live servers is above a threshold"
    kinds: Counter[str] = Counter()
    for reading in readings:
        if reading.admin == "drain" or reading.leaving:
            kinds["draining"] += 1
        elif reading.admin != "ready":
            kinds["in maintenance"] += 1
        elif reading.server.weight <= 0:
            kinds["of weight 0"] += 1
        else:
            kinds["without a heartbeat"] += 1
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return f"no server of the pool can be used: {told}"
