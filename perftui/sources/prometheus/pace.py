"""How often each question is asked: as set, and less often while its answer is slow."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar, cast

from perftui.snapshot import Absent, Maybe, State
from perftui.sources.prometheus.api import RefusedError
from perftui.sources.source import SourceError

T = TypeVar("T")

SLOWEST = 16
"""How many times its period a slow question is put off at most."""
MOST_TROUBLES = 2
"""Questions of one round that may go without an answer before the rest is not asked."""
LEAST_PATIENCE = 60.0
"""Seconds for which an answer can be shown at least."""
NOT_ASKED = Absent(State.NOT_COLLECTED, "the server was too slow to be asked for this yet")


@dataclasses.dataclass
class Pace:
    """The rhythm of one question, in seconds of a monotonic clock.

    A question that takes longer than half the interval of the source is asked half as often, down
    to a sixteenth; one that is quick again is asked more often again.
    """

    period: float
    due: float = -math.inf
    factor: int = 1
    took: float = 0.0

    def done(self, begin: float, took: float, interval: float) -> None:
        """Note that the question was asked at `begin` and `took` seconds."""
        self.took = took
        if took > interval / 2:
            self.factor = min(SLOWEST, 2 * self.factor)
        elif took < interval / 8 and self.factor > 1:
            self.factor //= 2
        self.due = begin + self.period * self.factor


class _Question:
    """What is known about one question between two rounds."""

    def __init__(self, name: str, period: float) -> None:
        self.name = name
        self.pace = Pace(period)
        self.answer: Any = NOT_ASKED
        self.answered = -math.inf

    def newest(self, now: float) -> Any:
        """Return the newest answer, or that it is too old to be shown."""
        age = now - self.answered
        if isinstance(self.answer, Absent) or age <= self.patience:
            return self.answer
        return Absent(State.STALE, f"the newest answer about {self.name} is {age:.0f} s old")

    @property
    def patience(self) -> float:
        """Seconds for which an answer can be shown."""
        return max(LEAST_PATIENCE, 3 * self.pace.period * self.pace.factor)


class Schedule:
    """Asks what is due, one question after the other, in rounds of `interval` seconds.

    A round ends early when it has taken as long as the interval, or when the server leaves two
    questions without any answer; what was not asked then comes in a later round. Until then, and
    until it is due, the answer of an earlier round is returned.
    """

    def __init__(self, interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.interval = interval
        self._clock = clock
        self._questions: dict[Hashable, _Question] = {}
        self._touched: set[Hashable] = set()
        self._begin = 0.0
        self._troubles = 0

    def begin(self) -> None:
        """Begin a round."""
        self._touched.clear()
        self._begin = self._clock()
        self._troubles = 0

    def end(self) -> None:
        """End a round; questions that nobody had in it are forgotten."""
        for key in self._questions.keys() - self._touched:
            del self._questions[key]

    def ask(self, key: Hashable, name: str, period: float, question: Callable[[], T]) -> Maybe[T]:
        """Return the newest answer, asking when it is time, or why there is none.

        `name` is what the question is called in notes.
        """
        self._touched.add(key)
        known = self._questions.setdefault(key, _Question(name, period))
        pace = known.pace
        pace.period = period
        begin = self._clock()
        # Rounds jitter; a question that comes a little early must not wait for a whole round.
        due = begin >= pace.due - self.interval / 4
        if not due or self._troubles >= MOST_TROUBLES or begin - self._begin > self.interval:
            return cast("Maybe[T]", known.newest(begin))
        answer: Maybe[T]
        try:
            answer = question()
        except RefusedError as error:
            answer = error.absent
        except SourceError as error:
            self._troubles += 1
            answer = error.absent
        end = self._clock()
        pace.done(begin, end - begin, self.interval)
        known.answer, known.answered = answer, end
        return answer

    def soon(self, key: Hashable) -> None:
        """Have a question asked in the next round."""
        if key in self._questions:
            self._questions[key].pace.due = -math.inf

    def notes(self) -> Iterator[str]:
        """Yield which questions are slow or without an answer."""
        slow: dict[str, Pace] = {}
        for known in self._questions.values():
            answer = known.answer
            if isinstance(answer, Absent) and answer is not NOT_ASKED:
                yield f"no {known.name}: {answer.reason}"
            pace, name = known.pace, known.name
            if pace.factor > 1 and (name not in slow or pace.took > slow[name].took):
                slow[name] = pace
        for name, pace in slow.items():
            yield (
                f"the server takes {pace.took:.1f} s for {name}, "
                f"so it is asked every {pace.period * pace.factor:.0f} s only"
            )
