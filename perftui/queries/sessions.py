"""What a client does from one query to the next: pages read, questions repeated, items fetched."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, TypeAlias

from perftui.queries.client_tally import ClientTally
from perftui.queries.observation import Observation
from perftui.queries.shape import Condition, shape_of

IDLE: Final = 300.0
"""Seconds after which a reader that asks for no further page has stopped."""

WITHIN: Final = 60.0
"""Seconds in which an equal question of the same client is a repetition."""

LEAST_SINGLES: Final = 10
_MOST_QUESTIONS: Final = 32
_MOST_IDS: Final = 500

ListKey: TypeAlias = tuple[str, tuple[Condition, ...], object]


class _Reading:
    """A list that is being read page by page."""

    __slots__ = ("censored", "last", "pages", "rows", "tally")

    def __init__(self, tally: ClientTally) -> None:
        self.tally = tally
        self.pages = 0
        self.rows = 0
        self.censored = False
        self.last = 0.0

    def close(self) -> None:
        """Count what was read."""
        self.tally.session_pages.add(self.pages)
        self.tally.session_rows.add(self.rows, self.censored)


class _Listed:
    """The ids that a list gave, to be compared with those asked for one by one."""

    __slots__ = ("endpoint", "fetched", "ids", "seconds", "shape", "tally", "time")

    def __init__(self, tally: ClientTally, ids: tuple[int, ...], time: float) -> None:
        self.tally = tally
        self.ids = set(ids[:_MOST_IDS])
        self.time = time
        self.fetched = 0
        self.seconds = 0.0
        self.endpoint = ""
        self.shape = ""

    def close(self) -> None:
        """Count what was fetched one by one, if that was enough to be N+1."""
        if self.fetched < LEAST_SINGLES:
            return
        self.tally.lists += 1
        self.tally.singles += self.fetched
        self.tally.single_seconds += self.seconds
        self.tally.single_endpoint = self.endpoint
        self.tally.single_shape = self.shape


class _Session:
    __slots__ = ("last", "listed", "questions", "readings")

    def __init__(self) -> None:
        self.last = 0.0
        self.readings: dict[ListKey, _Reading] = {}
        self.questions: OrderedDict[int, tuple[float, int | None]] = OrderedDict()
        self.listed: _Listed | None = None

    def close(self) -> None:
        for reading in self.readings.values():
            reading.close()
        if self.listed is not None:
            self.listed.close()


class Sessions:
    """The sessions that go on, at most `most` of them; not thread-safe."""

    def __init__(self, most: int = 2_000) -> None:
        self._most = most
        self._sessions: OrderedDict[tuple[str, str], _Session] = OrderedDict()

    def add(self, seen: Observation, tally: ClientTally) -> None:
        """Take an observation into the session of its client; `tally` is that of its shape.

        Sessions that were idle for five minutes before it are counted and forgotten.
        """
        self.close_idle(seen.time)
        key = (seen.client, seen.session)
        session = self._sessions.get(key)
        if session is None:
            if len(self._sessions) >= self._most:
                self._sessions.popitem(last=False)[1].close()
            session = self._sessions[key] = _Session()
        session.last = seen.time
        self._sessions.move_to_end(key)
        self._add_question(session, seen, tally)
        if seen.id_hash is not None:
            self._add_single(session, seen)
        elif seen.query.paging != "none":
            self._add_page(session, seen, tally)
        if seen.ids_returned:
            if session.listed is not None:
                session.listed.close()
            tally.listed += 1
            session.listed = _Listed(tally, seen.ids_returned, seen.time)

    def close_idle(self, now: float) -> None:
        """Count the sessions that ended."""
        while self._sessions:
            key, session = next(iter(self._sessions.items()))
            if now - session.last <= IDLE:
                break
            session.close()
            del self._sessions[key]

    def close(self) -> None:
        """Count all sessions as ended."""
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()

    def _add_question(self, session: _Session, seen: Observation, tally: ClientTally) -> None:
        if not seen.query.values_hash:
            return
        question = hash((seen.query.endpoint, seen.query.values_hash, seen.id_hash))
        before = session.questions.pop(question, None)
        tally.asked += 1
        if before is not None:
            tally.repeated += seen.time - before[0] <= WITHIN
            if before[1] is not None and seen.body_hash is not None:
                tally.polls += 1
                tally.unchanged += before[1] == seen.body_hash
        elif len(session.questions) >= _MOST_QUESTIONS:
            session.questions.popitem(last=False)
        session.questions[question] = (seen.time, seen.body_hash)

    def _add_single(self, session: _Session, seen: Observation) -> None:
        listed = session.listed
        if listed is None or seen.time - listed.time > WITHIN or seen.id_hash not in listed.ids:
            return
        listed.ids.discard(seen.id_hash)
        listed.fetched += 1
        listed.seconds += seen.latency
        listed.endpoint = seen.query.endpoint
        listed.shape = shape_of(seen.query).fingerprint

    def _add_page(self, session: _Session, seen: Observation, tally: ClientTally) -> None:
        shape = shape_of(seen.query)
        key: ListKey = (shape.endpoint, shape.conditions, shape.sort)
        reading = session.readings.get(key)
        if reading is not None and (not seen.query.later_page or seen.time - reading.last > IDLE):
            reading.close()
            reading = None
        if reading is None:
            if len(session.readings) >= _MOST_QUESTIONS:
                session.readings.pop(next(iter(session.readings))).close()
            reading = session.readings[key] = _Reading(tally)
        reading.last = seen.time
        reading.pages += 1
        size = seen.query.page_size or seen.rows_returned
        read = seen.rows_returned if seen.rows_consumed is None else seen.rows_consumed
        reading.rows += read
        # Who stopped just at the end of a full page may have wanted more, or no more at all.
        reading.censored = 0 < size <= read
