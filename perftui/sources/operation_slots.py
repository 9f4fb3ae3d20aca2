"""Counts of operations in slots of time, and the windows that are added up from them.

A process tells from time to time what it has counted so far. Each growth between two tellings is
spread over the slots it fell into, so that neither the moment of the telling nor that of the
reading makes a rate jump, and what many processes counted can simply be added.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from perftui.analysis.quantiles import bucket_quantiles
from perftui.snapshot import Absent, Operation, OperationWindow, State
from perftui.sources.packed_counts import SCALE, Counts, Layout, layout, together

WINDOWS = (10.0, 60.0, 300.0)
"""Seconds of the windows, shortest first."""
SLOT = 2.0
"""Seconds of a slot."""
COARSE = 5
"""Slots that are put together once they have left all windows but the longest."""
SPANS = tuple(round(seconds / SLOT) for seconds in WINDOWS)
"""Slots of the windows; the longest may lack up to `COARSE` - 1 of them."""
MOST_LAYERS = 32
"""Different bounds that are kept apart; the calls of further ones go without buckets."""

QUANTILES = (0.5, 0.95, 0.99)
NOT_CALLED = Absent(State.NOT_COLLECTED, "not called in this window")
NO_BUCKETS = Absent(State.NOT_COLLECTED, "the service exposes no histogram buckets")
NO_STATUS = Absent(State.NOT_COLLECTED, "the service does not tell failed calls apart")


class OperationSlots:
    """What some processes counted during the last five minutes, by operation.

    Times are seconds of any one clock; `lag` is how late counts usually arrive. Windows end where
    all counts have come in, so they trail `now` by `lag` and up to one slot. Counts that arrive
    later than that are added to where they belong. Calls are never rounded off: the sum over all
    slots is exactly what was added.
    """

    def __init__(self, lag: float = 2.5) -> None:
        self._lag = lag
        self._layers: dict[tuple[float, ...], _Layer] = {}
        self._horizon: int | None = None
        self._begin = math.inf
        # Slots by which a clock that was set back is behind the one the slots are numbered by.
        self._behind = 0

    @property
    def empty(self) -> bool:
        """Whether no window has anything left, nor will have."""
        return all(layer.empty for layer in self._layers.values())

    def watched_since(self, time: float) -> None:
        """Say that everything after `time` has been counted, also where nothing was called."""
        self._begin = min(self._begin, time + self._behind * SLOT)

    def add_packed(
        self, place: Layout, growths: Mapping[str, int], begin: float, end: float
    ) -> None:
        """Add packed growths by operation from `begin` to `end`, evenly spread over that time."""
        self.watched_since(begin)
        if not growths:
            return
        layer = self._layers.get(place.bounds)
        if layer is None:
            layer = _Layer(place)
            if len(self._layers) < MOST_LAYERS:
                self._layers[place.bounds] = layer
            else:
                growths = {name: _without_buckets(place, growths[name]) for name in growths}
                layer = self._layers.setdefault((), _Layer(layout(())))
        for slot, weight in _spread(begin, end):
            layer.add(slot + self._behind, weight, growths, self._horizon)

    def advance(self, now: float) -> None:
        """Close the slots that have come in by `now` and drop what left the windows.

        Where `now` goes back, somebody has set the clock; the windows stay as they are. It must be
        told before counts are added with times of the clock that was set.
        """
        horizon = math.floor((now - self._lag) / SLOT) + self._behind
        previous = self._horizon
        if previous is not None and horizon < previous:
            self._behind += previous - horizon
            horizon = previous
        self._horizon = horizon
        for layer in self._layers.values():
            if previous is None or horizon - previous > SPANS[0]:
                layer.rebuild(horizon)
            else:
                for end in range(previous + 1, horizon + 1):
                    layer.close(end)
        for bounds in [bounds for bounds, layer in self._layers.items() if layer.empty]:
            del self._layers[bounds]

    def windows(self, known: Iterable[str] = ()) -> tuple[OperationWindow, ...]:
        """Return the windows, shortest first; empty before there is anything to tell.

        `known` are operations that shall be listed even where they were not called.
        """
        if self.covered(0) <= 0:
            return ()
        known = set(known)
        return tuple(
            OperationWindow(seconds, self.covered(index), self._operations(index, known))
            for index, seconds in enumerate(WINDOWS)
        )

    def called(self) -> set[str]:
        """Return the operations with counts in the longest window."""
        return set().union(*[layer.totals[-1] for layer in self._layers.values()])

    def covered(self, index: int) -> float:
        """Return how many seconds of the window of that index have been watched."""
        if self._horizon is None:
            return 0.0
        slots = SPANS[index]
        if slots == SPANS[-1]:
            slots = self._horizon - _oldest_coarse(self._horizon) * COARSE
        return max(0.0, min(slots * SLOT, self._horizon * SLOT - self._begin))

    def counts(self, index: int, operation: str) -> Counts | None:
        """Return the counts of an operation in the window of that index."""
        parts = [
            layer.place.unpack(layer.totals[index][operation])
            for layer in self._layers.values()
            if operation in layer.totals[index]
        ]
        return _sum(parts)

    def _operations(self, index: int, known: set[str]) -> tuple[Operation, ...]:
        covered = self.covered(index)
        parts: dict[str, list[Counts]] = {name: [] for name in known}
        for layer in self._layers.values():
            unpack = layer.place.unpack
            for name, packed in layer.totals[index].items():
                parts.setdefault(name, []).append(unpack(packed))
        everything = math.fsum([each.seconds for found in parts.values() for each in found])
        return tuple(
            [_operation(name, _sum(parts[name]), covered, everything) for name in sorted(parts)]
        )


class _Layer:
    """The slots of the operations whose histograms have the same bounds."""

    def __init__(self, place: Layout) -> None:
        self.place = place
        self.fine: dict[int, dict[str, int]] = {}
        self.coarse: dict[int, dict[str, int]] = {}
        self.totals: tuple[dict[str, int], ...] = tuple({} for _ in WINDOWS)

    @property
    def empty(self) -> bool:
        return not (self.fine or self.coarse)

    def add(self, slot: int, weight: int, growths: Mapping[str, int], horizon: int | None) -> None:
        slots = self.fine
        number = slot
        if horizon is not None and slot < horizon - SPANS[-2]:
            # Too late for the fine slots; a coarse one takes it while its window lasts.
            slots, number = self.coarse, slot // COARSE
            if number < _oldest_coarse(horizon):
                return
        places = [slots.setdefault(number, {})]
        if horizon is not None and slot < horizon:
            places += [
                totals
                for span, totals in zip(SPANS, self.totals, strict=True)
                if slot >= horizon - span
            ]
        for place in places:
            for name, growth in growths.items():
                place[name] = place.get(name, 0) + growth * weight

    def close(self, horizon: int) -> None:
        """Move the end of all windows on by one slot, to the begin of slot `horizon`."""
        for totals in self.totals:
            _increase(totals, self.fine.get(horizon - 1))
        for span, totals in zip(SPANS[:-1], self.totals[:-1], strict=True):
            _decrease(totals, self.fine.get(horizon - 1 - span))
        self._put_together(horizon)
        oldest = _oldest_coarse(horizon)
        for slot in [slot for slot in self.coarse if slot < oldest]:
            _decrease(self.totals[-1], self.coarse.pop(slot))

    def rebuild(self, horizon: int) -> None:
        """Move the end of all windows to the begin of slot `horizon`, however far that is."""
        self._put_together(horizon)
        oldest = _oldest_coarse(horizon)
        for slot in [slot for slot in self.coarse if slot < oldest]:
            del self.coarse[slot]
        self.totals = tuple({} for _ in WINDOWS)
        for counts in self.coarse.values():
            _increase(self.totals[-1], counts)
        for slot, counts in self.fine.items():
            for span, totals in zip(SPANS, self.totals, strict=True):
                if horizon - span <= slot < horizon:
                    _increase(totals, counts)

    def _put_together(self, horizon: int) -> None:
        past = horizon - SPANS[-2]
        for slot in [slot for slot in self.fine if slot < past]:
            _increase(self.coarse.setdefault(slot // COARSE, {}), self.fine.pop(slot))


def _oldest_coarse(horizon: int) -> int:
    return -((SPANS[-1] - horizon) // COARSE)


def _spread(begin: float, end: float) -> list[tuple[int, int]]:
    """Return the slots from `begin` to `end` with their weights, which add up to `SCALE`.

    What is older than the longest window is left out.
    """
    first, last = math.floor(begin / SLOT), math.ceil(end / SLOT) - 1
    if last <= first or end <= begin:
        return [(last, SCALE)]

    def weight_until(slot: int) -> int:
        return round(SCALE * (slot * SLOT - begin) / (end - begin))

    oldest = max(first, last - SPANS[-1])
    given = weight_until(oldest) if oldest > first else 0
    pieces = []
    for slot in range(oldest, last):
        upto = weight_until(slot + 1)
        pieces.append((slot, upto - given))
        given = upto
    pieces.append((last, SCALE - given))
    return [(slot, weight) for slot, weight in pieces if weight]


def _increase(sums: dict[str, int], counts: Mapping[str, int] | None) -> None:
    for name, value in (counts or {}).items():
        sums[name] = sums.get(name, 0) + value


def _decrease(sums: dict[str, int], counts: Mapping[str, int] | None) -> None:
    for name, value in (counts or {}).items():
        rest = sums.get(name, 0) - value
        if rest:
            sums[name] = rest
        else:
            sums.pop(name, None)


def _without_buckets(place: Layout, growth: int) -> int:
    counts = place.unpack(growth * SCALE)
    count = round(counts.calls)
    return layout(()).pack(
        count,
        round(counts.failures),
        round(counts.cancelled),
        counts.seconds,
        (count,),
        round(counts.calls - counts.told),
    )


def _sum(parts: list[Counts]) -> Counts | None:
    if len(parts) > 1:
        return together(parts)
    return parts[0] if parts else None


def _operation(name: str, counts: Counts | None, covered: float, everything: float) -> Operation:
    cancelled = 0 if counts is None else round(counts.cancelled)
    count = 0 if counts is None else round(counts.calls)
    if counts is None or not count:
        absent = NOT_CALLED
        return Operation(name, 0.0, absent, absent, absent, absent, absent, 0.0, 0, cancelled)
    p50, p95, p99 = bucket_quantiles(QUANTILES, counts.bounds, counts.buckets) or (
        NO_BUCKETS,
        NO_BUCKETS,
        NO_BUCKETS,
    )
    return Operation(
        name=name,
        rate=counts.calls / covered,
        mean=counts.seconds / counts.calls,
        p50=p50,
        p95=p95,
        p99=p99,
        error_ratio=min(1.0, counts.failures / counts.told) if counts.told else NO_STATUS,
        time_share=counts.seconds / everything if everything else 0.0,
        count=count,
        cancelled=cancelled,
    )
