"""Which of the eligible servers is next: the rules a balancer can follow, by name.

All are pure: they know neither a clock nor Redis, and their randomness is given to them, so that a
simulation drives the same code as a service. None is safe between threads; their user has a lock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from perftui.pool.track import Track

POLICIES = ("round_robin", "weighted", "p2c", "p2c_ewma")

HEAP_ABOVE = 50
"""Servers above which a weighted pick by a heap is the faster one; see weighted.py."""


class Policy(Protocol):
    """Picks one of the servers it was last given."""

    def rebuild(self, tracks: Sequence[Track]) -> None:
        """Take these servers from now on, one at least; what it knows of them stays."""

    def pick(self, now: float) -> Track:
        """Return whose turn it is, at a time in seconds."""


class RoundRobin:
    """Each server in turn, also across changes of the servers.

    A server in its slow start is passed over in most rounds: it has a turn when the shares of the
    rounds add up to one. It starts at a place drawn by `random`, lest many short programs all ask
    the first server.
    """

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._tracks: tuple[Track, ...] = ()
        self._next = 0
        self._starting = False

    def rebuild(self, tracks: Sequence[Track]) -> None:
        old = self._tracks
        if old:
            waiting = old[self._next :] + old[: self._next]
            place = {track.server: index for index, track in enumerate(tracks)}
            self._next = next((place[t.server] for t in waiting if t.server in place), 0)
        else:
            self._next = int(self._random() * len(tracks))
        self._tracks = tuple(tracks)
        self._starting = any(track.share < 1.0 for track in tracks)

    def pick(self, now: float) -> Track:
        tracks = self._tracks
        while True:
            index = self._next
            track = tracks[index]
            index += 1
            self._next = index if index < len(tracks) else 0
            if not self._starting:
                return track
            track.credit += track.share
            # Sums of a share such as 0.1 come out a little below one.
            if track.credit >= 0.999999:
                track.credit = max(0.0, track.credit - 1.0)
                return track


def make_policy(name: str, random: Callable[[], float]) -> Policy:
    """Return a policy by its name; raises ValueError that lists them."""
    from perftui.pool.two_choices import PeakEwmaChoices, TwoChoices
    from perftui.pool.weighted import Weighted

    if name == "round_robin":
        return RoundRobin(random)
    if name == "weighted":
        return Weighted(HEAP_ABOVE, random)
    if name == "p2c":
        return TwoChoices(random)
    if name == "p2c_ewma":
        return PeakEwmaChoices(random)
    raise ValueError(f"policy is {name!a}, it must be one of {', '.join(POLICIES)}")
