"""The better of two servers drawn at random, by requests at work or by expected latency.

Two choices keep the longest queue near log log n (Mitzenmacher, "The Power of Two Choices in
Randomized Load Balancing", IEEE TPDS 2001), and unlike the least loaded of all they do not send
everybody to the same server when what they go by is old.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Sequence
from itertools import accumulate

from perftui.pool.track import Track


class TwoChoices:
    """Of two servers drawn by weight, the one with fewer requests at work for its weight."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._tracks: tuple[Track, ...] = ()
        self._sums: list[float] | None = None

    def rebuild(self, tracks: Sequence[Track]) -> None:
        self._tracks = tuple(tracks)
        weights = [track.weight for track in tracks]
        self._sums = None if min(weights) == max(weights) else list(accumulate(weights))

    def pick(self, now: float) -> Track:
        if self._sums is None:
            tracks = self._tracks
            many = len(tracks)
            if many == 1:
                return tracks[0]
            random = self._random
            first = int(random() * many)
            second = int(random() * (many - 1))
            if second >= first:
                second += 1
            one, other = tracks[first], tracks[second]
            # Equal weights are all 1.
            return one if one.pending <= other.pending else other
        one, other = self._two()
        return one if one.pending / one.weight <= other.pending / other.weight else other

    def _two(self) -> tuple[Track, Track]:
        """Return two different servers, or one twice when there is no other."""
        tracks = self._tracks
        many = len(tracks)
        random = self._random
        sums = self._sums
        if many == 1:
            return tracks[0], tracks[0]
        if sums is None:
            first = int(random() * many)
            second = int(random() * (many - 1))
            return tracks[first], tracks[second + 1 if second >= first else second]
        total = sums[-1]
        first = min(many - 1, bisect(sums, random() * total))
        below = sums[first - 1] if first else 0.0
        # The second is drawn from what the first leaves, as if it were not there.
        point = random() * (total - (sums[first] - below))
        second = bisect(sums, point if point < below else point + sums[first] - below)
        second = min(many - 1, second)
        if second == first:
            second = first - 1 if first else first + 1
        return tracks[first], tracks[second]


class PeakEwmaChoices(TwoChoices):
    """Of two servers drawn by weight, the one whose answer is expected sooner (peak EWMA)."""

    def pick(self, now: float) -> Track:
        one, other = self._two()
        return one if one.score(now) <= other.score(now) else other
