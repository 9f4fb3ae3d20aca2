"""What a value usually is: the median of its past, without the part that is in question."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Callable
from statistics import median

SPAN = 3600.0
"""Seconds of the past that count."""
GAP = 300.0
"""Newest seconds that do not count: a trouble that is just growing must not become usual."""
EVERY = 20.0
YOUNG_EVERY = 10.0
YOUNG = 30
"""Values that are taken at shorter distances, so that there is soon something to compare with."""
LEAST = 3
MOST_SUBJECTS = 2000
"""Subjects that are remembered; 1.5 kB each."""
TRUST = 60.0
"""Seconds of past that are believed against as long a time of something worse. Twice the past is
believed for four times as long: the first half minute of a service, or of the watch over it, may
have been the exception; eight minutes stand against an hour."""
UNSEEN = 30.0
"""Seconds without a value after which nobody knows what was meanwhile."""
FORGOTTEN_AFTER = 900.0
"""Seconds without a value after which a subject makes room for another one."""


class Baselines:
    """The usual value of each subject, in whatever unit; times are of a monotonic clock.

    A value that is `worse(value, usual)` is not taken for usual until that has lasted for
    `patience` seconds, fewer while the past is short: then things are as they are, and the subject
    is learnt anew. The median stands even when a part of the past was bad, which a quantile over
    all of it would not.
    """

    def __init__(
        self,
        worse: Callable[[float, float], bool],
        *,
        gap: float = GAP,
        patience: float = SPAN,
        most_subjects: int = MOST_SUBJECTS,
    ) -> None:
        self._worse = worse
        self._gap = gap
        self._patience = patience
        self._most = most_subjects
        self._courses: dict[str, _Course] = {}
        self._looked = -math.inf

    def usual(
        self, subject: str, now: float, value: float, least_span: float = 0.0
    ) -> float | None:
        """Return what the value of a subject usually is and take `value` in; None: not known yet.

        The past has to span `least_span` seconds: values of few calls need more of them. None as
        well for further subjects than can be remembered.
        """
        course = self._courses.get(subject)
        if course is None:
            if len(self._courses) >= self._most and not self._make_room(now):
                return None
            course = self._courses[subject] = _Course(now)
        if now - course.seen > UNSEEN:
            course.worse_since += now - course.seen
        course.seen = now
        usual = course.usual(now, self._gap, least_span)
        if usual is not None and self._worse(value, usual):
            if math.isinf(course.worse_since):
                course.worse_since = now
            if now - course.worse_since <= min(self._patience, course.trusted):
                return usual
            course = self._courses[subject] = _Course(now)
            usual = None
        course.worse_since = math.inf
        course.take(now, value)
        return usual

    def _make_room(self, now: float) -> bool:
        # Thousands that find no room would each look through all of those that have some.
        if now - self._looked < EVERY:
            return False
        self._looked = now
        for subject in [
            subject
            for subject, course in self._courses.items()
            if now - course.seen > FORGOTTEN_AFTER
        ]:
            del self._courses[subject]
        return len(self._courses) < self._most


class _Course:
    """Some values of one subject; times since `begin`, in single precision, which is enough."""

    __slots__ = ("_answer", "_asked", "_dropped", "begin", "seen", "times", "values", "worse_since")

    def __init__(self, now: float) -> None:
        self.begin = self.seen = now
        self.worse_since = math.inf
        self.times = array("f")
        self.values = array("f")
        self._dropped = 0
        self._asked = (-1, -1)
        self._answer: float | None = None

    @property
    def trusted(self) -> float:
        """For how many seconds the past is believed while everything is worse."""
        known = self.times[-1] - self.times[0]
        return known * known / TRUST

    def take(self, now: float, value: float) -> None:
        age = now - self.begin
        times = self.times
        every = YOUNG_EVERY if len(times) < YOUNG else EVERY
        if times and age - times[-1] < every:
            return
        times.append(age)
        self.values.append(value)
        old = bisect_right(times, age - SPAN)
        if old:
            del times[:old], self.values[:old]
            self._dropped += old

    def usual(self, now: float, gap: float, least_span: float) -> float | None:
        age = now - self.begin
        # While little is known, the older half of it is the past.
        count = bisect_right(self.times, age - min(gap, age / 2))
        asked = count, self._dropped
        if asked != self._asked:
            self._asked = asked
            self._answer = median(self.values[:count]) if count >= LEAST else None
        if self._answer is None or self.times[count - 1] - self.times[0] < least_span:
            return None
        return self._answer
