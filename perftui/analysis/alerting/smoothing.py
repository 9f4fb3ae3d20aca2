"""Time-weighted means over the last seconds, of very many subjects at little cost."""

from __future__ import annotations

from array import array
from collections.abc import Set as AbstractSet

SLICES = 12
"""Parts a window is kept in: the mean is of 11/12 to all of the window, never of more."""


class Smoothing:
    """The mean of each subject's values over the last `seconds`.

    A value counts for the time since the value before it. Nobody knows what was in a gap longer
    than `gap`, so the value that ends it counts for one `interval`, as the first one does.
    """

    def __init__(self, seconds: float) -> None:
        self._slice = seconds / SLICES
        self._means: dict[str, _Mean] = {}
        self._now = 0.0
        self._number = 0
        self._interval = 1.0
        self._gap = 1.0

    def __len__(self) -> int:
        return len(self._means)

    def begin(self, now: float, interval: float, gap: float) -> None:
        """Begin an evaluation at monotonic time `now` of values that come every `interval`."""
        self._now = now
        self._number = int(now // self._slice)
        self._interval = interval
        self._gap = gap

    def add(self, subject: str, value: float) -> float:
        """Take a finite value and return the mean up to now."""
        mean = self._means.get(subject)
        now = self._now
        if mean is None:
            mean = self._means[subject] = _Mean(now - self._interval, self._number)
        seconds = now - mean.time
        if seconds > self._gap:
            seconds = self._interval
        if mean.number != self._number:
            mean.turn(self._number)
        mean.time = now
        mean.sum += value * seconds
        mean.seconds += seconds
        weight = mean.past_seconds + mean.seconds
        return (mean.past_sum + mean.sum) / weight if weight else value

    def covered(self, subject: str) -> float:
        """Return how many seconds the mean of a subject is made of."""
        mean = self._means.get(subject)
        return 0.0 if mean is None else mean.past_seconds + mean.seconds

    def keep(self, subjects: AbstractSet[str]) -> None:
        """Forget the subjects that are not among these."""
        if len(self._means) > len(subjects) or not self._means.keys() <= subjects:
            self._means = {name: mean for name, mean in self._means.items() if name in subjects}


class _Mean:
    """Sums of the slice that fills up now and, added up, of those before it."""

    __slots__ = ("_slices", "number", "past_seconds", "past_sum", "seconds", "sum", "time")

    def __init__(self, time: float, number: int) -> None:
        self.time = time
        self.number = number
        self.sum = 0.0
        self.seconds = 0.0
        self.past_sum = 0.0
        self.past_seconds = 0.0
        self._slices: array[float] | None = None

    def turn(self, number: int) -> None:
        """Begin the slice with that number; those a whole window before it fall out."""
        slices = self._slices
        if slices is None:
            slices = self._slices = array("d", bytes(16 * SLICES))
        place = 2 * (self.number % SLICES)
        slices[place] = self.sum
        slices[place + 1] = self.seconds
        for fallen in range(self.number + 1, min(number, self.number + SLICES) + 1):
            place = 2 * (fallen % SLICES)
            slices[place] = slices[place + 1] = 0.0
        # Added up anew each time: a running sum would gather the errors of rounding for ever.
        self.past_sum = sum(slices[0::2])
        self.past_seconds = sum(slices[1::2])
        self.number = number
        self.sum = 0.0
        self.seconds = 0.0
