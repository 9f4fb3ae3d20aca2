"""Turns in proportion to weights, spread evenly over the round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heapify, heapreplace

from perftui.pool.track import Track


class Weighted:
    """Smooth weighted round robin; among many servers the same shares by a heap.

    Up to `heap_above` servers it is nginx's rule: all gain their weight, the one with the most has
    the turn and loses the sum of all weights, so that 5, 1, 1 gives a a b a c a a. That looks at
    every server for each pick. Above, the server with the earliest deadline has the turn (earliest
    deadline first, as in Envoy), its deadlines being 1 / weight apart. With whole weights either
    gives each server exactly its weight in a round that is as long as the sum of the weights.
    """

    def __init__(self, heap_above: int, random: Callable[[], float]) -> None:
        self._heap_above = heap_above
        self._random = random
        self._known: tuple[tuple[Track, float], ...] = ()
        self._heap: list[tuple[float, int, Track, float, int, float]] = []
        self._credits: list[float] = []
        self._total = 0.0

    def rebuild(self, tracks: Sequence[Track]) -> None:
        known = tuple((track, track.share * max(0, track.server.weight)) for track in tracks)
        if not any(weight for _, weight in known):
            known = tuple((track, 1.0) for track in tracks)
        known = tuple(pair for pair in known if pair[1] > 0)
        if known == self._known:
            return
        before = {
            track: credit for (track, _), credit in zip(self._known, self._credits, strict=False)
        }
        self._known = known
        if len(known) > self._heap_above:
            self._rebuild_heap()
        else:
            self._heap = []
            self._total = sum(weight for _, weight in known)
            self._credits = [before.get(track, 0.0) for track, _ in known]

    def pick(self, now: float) -> Track:
        heap = self._heap
        if heap:
            _, place, track, weight, turns, first = heap[0]
            turns += 1
            # Not added up turn by turn: the rounds stay exact however many there are.
            heapreplace(heap, (first + turns / weight, place, track, weight, turns, first))
            return track
        credits_, known = self._credits, self._known
        best, most = 0, -1e300
        for index, (_, weight) in enumerate(known):
            credit = credits_[index] + weight
            credits_[index] = credit
            if credit > most:
                best, most = index, credit
        credits_[best] = most - self._total
        return known[best][0]

    def _rebuild_heap(self) -> None:
        passed = self._heap[0][0] if self._heap else 0.0
        left = {entry[2]: (entry[0] - passed) * entry[3] for entry in self._heap}
        self._credits = []
        heap = []
        for place, (track, weight) in enumerate(self._known):
            # Half an interval ahead is what spreads the turns; it is drawn for a newcomer to a
            # running round, since all balancers see it at the same moment.
            ahead = left.get(track, self._random() if left else 0.5)
            first = ahead / weight
            heap.append((first, place, track, weight, 0, first))
        heapify(heap)
        self._heap = heap
