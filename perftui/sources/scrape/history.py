"""What a page of metrics said before, and whether one process or several took turns to write it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from perftui.sources.metric_mapping import MetricMapping
from perftui.sources.scrape.growth import Before, Growth, Growths, names_only
from perftui.sources.scrape.page import MOST_NOTES, START, Page

CLOCK = 2.0
"""Seconds by which ages are off that are told by the Date of an answer, which has whole seconds."""
JITTER = (0.9, 1.1)
"""Seconds by which the start of one process may seem to move: kernels tell it by a clock of whole
seconds, so it moves by one of them or not at all."""
MIXED_FOR = 20
"""Pages in a row that must fit together before several processes are taken for one again."""
RECENT = 10
"""Pages within which a second decrease of counts tells that several processes take turns."""


class Moment(NamedTuple):
    """When a page was read.

    `now` and `tried_since`, when the page was asked for first, are monotonic. `server_time` is
    the server's Unix time, if it can be told; `created` finds out since which Unix time the page
    counts, at some cost.
    """

    now: float
    tried_since: float
    server_time: float | None
    created: Callable[[], float | None]


class _Verdict(NamedTuple):
    """Whether a page can be compared with the one before, and since when it counts from zero."""

    known: bool
    zero_at: float | None = None


GOES_ON = _Verdict(True)
BEGINS_ANEW = _Verdict(False)


class PageHistory:
    """The counts of one page as they were last.

    `uptime` tells how many seconds ago the process began, None where it cannot be told.
    """

    def __init__(self, mappings: Sequence[MetricMapping]) -> None:
        self._growths = Growths(mappings)
        self._before = Before({}, {}, frozenset())
        self._time: float | None = None
        self._start: float | None = None
        self._mixed = 0
        self._pages = 0
        self._decreases: list[int] = []
        self._spoiled = False
        self.uptime: float | None = None

    @property
    def mixed(self) -> bool:
        """Whether the pages come from several processes that count apart."""
        return self._mixed > 0

    @property
    def settled(self) -> bool:
        """Whether enough pages fitted together that the connection may be kept for a while."""
        return not self._mixed and self._pages >= RECENT

    def take(self, page: Page, moment: Moment) -> Growth:
        """Return how much has been counted since the page before."""
        self._pages += 1
        self._spoiled = False
        verdict = self._judge(page, moment)
        begin = moment.now if self._time is None else self._time
        before = self._before
        if verdict.zero_at is not None:
            before = Before({}, {}, frozenset())
            begin = verdict.zero_at if self._time is None else max(verdict.zero_at, self._time)
        known = verdict.known and not self._mixed
        services, notes = self._growths.of(page, before) if known else (names_only(page), [])
        self._remember(page, moment.now, verdict)
        begin = min(begin, moment.now)
        return Growth(begin, moment.now, known, services, self._spoiled, tuple(notes[:MOST_NOTES]))

    def _judge(self, page: Page, moment: Moment) -> _Verdict:
        start = _only(page.resources.get(START))
        age = self.uptime = _age(start, moment)
        if self._time is None:
            if start is None:
                age = _age(moment.created(), moment)
            # Only what began well after the first attempt has been watched from its begin.
            if age is not None and age + CLOCK < moment.now - moment.tried_since:
                return _Verdict(True, moment.now - age)
            return BEGINS_ANEW
        moved = 0.0 if start is None or self._start is None else start - self._start
        fewer = self._before.is_more_than(page)
        if moved < -JITTER[1] or 0 < abs(moved) < JITTER[0]:
            return self._several()
        if abs(moved) <= JITTER[1]:
            if not fewer or (start is not None and not moved):
                self._mixed = max(0, self._mixed - 1)
                return GOES_ON
            if moved:
                return self._several(spoiled=True)
            age = _age(moment.created(), moment)
        if age is not None and age <= moment.now - self._time + CLOCK:
            return _Verdict(True, moment.now - age)
        if age is not None:
            # It ran already when the page before was read, which another process wrote.
            return self._several()
        self._decreases = [at for at in self._decreases if self._pages - at < RECENT]
        self._decreases.append(self._pages)
        return self._several(spoiled=True) if len(self._decreases) > 1 else BEGINS_ANEW

    def _several(self, spoiled: bool = False) -> _Verdict:
        self._spoiled = spoiled and not self._mixed
        self._mixed = MIXED_FOR
        return BEGINS_ANEW

    def _remember(self, page: Page, now: float, verdict: _Verdict) -> None:
        anew = not verdict.known or verdict.zero_at is not None
        self._before = self._before.followed_by(page, anew)
        self._time, self._start = now, _only(page.resources.get(START))


def _only(values: dict[str, float] | None) -> float | None:
    return next(iter(values.values())) if values and len(values) == 1 else None


def _age(began: float | None, moment: Moment) -> float | None:
    if began is None or moment.server_time is None:
        return None
    return max(0.0, moment.server_time - began)
