"""Advice on API queries for a service: what it observes, and what that says of a query."""

from __future__ import annotations

import copy
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from perftui.queries.advice import WEEK, Adviser
from perftui.queries.catalogue import Catalogue
from perftui.queries.catalogue_file import catalogue_of
from perftui.queries.evidence import QueryEvidence
from perftui.queries.field_reads import TrackedReads
from perftui.queries.json_lines import read_log
from perftui.queries.log import ObservationLog
from perftui.queries.observation import Observation
from perftui.queries.observed import observed
from perftui.queries.query import Query
from perftui.queries.query_parse import parse_query
from perftui.queries.result import result_of
from perftui.queries.tracking import Tracker
from perftui.queries.verification import verified_changes

_EVIDENCE_KEPT = 5.0
"""Seconds for which a model is used again before new observations are taken into it."""

_MOST_PENDING = 1_000
"""Answers whose reads wait to be counted; beyond, the oldest are lost."""


class QueryOptimizer:
    """Tells what a query asks for in vain and what a change of it would save.

    `log` is an `ObservationLog`, the path of a JSON Lines file of observations, or None for an
    empty log. `catalogue` has what cannot be observed (indexes, greatest page sizes, fields to
    keep): a `Catalogue`, a mapping, or the path of a TOML or JSON file. A field is called unused
    after `window` seconds of tracked reads, a week unless told otherwise. `track_share` is the
    share of answers of which `track` watches the reads. orjson, msgspec, pydantic and others read
    rows unseen: where one is loaded, tracked answers count as opaque and no field is called unused,
    unless its name is in `trusted`, which promises that it gets no row that `track` handed out.
    With `strict`, rows are mappings that are no dicts: nothing reads them unseen, but what wants a
    dict fails; for tests, never for production. Safe to use from any thread. Raises ValueError for
    a log or a catalogue that is wrong, naming the part.
    """

    def __init__(
        self,
        log: ObservationLog | str | Path | None = None,
        catalogue: Catalogue | Mapping[str, Any] | str | Path | None = None,
        *,
        window: float = WEEK,
        clock: Callable[[], float] = time.time,
        track_share: float = 0.05,
        trusted: Collection[str] = (),
        strict: bool = False,
    ) -> None:
        if not window >= 0:
            raise ValueError(f"window: {window!r} is not a time in seconds from 0")
        if not 0 <= track_share <= 1:
            raise ValueError(f"track_share: {track_share!r} is not a share from 0 to 1")
        self._clock = clock
        self._window = window
        self._track_share = track_share
        self._tracker = Tracker(trusted, strict=strict)
        self._random = Random()
        self._pending: deque[Observation] = deque(maxlen=_MOST_PENDING)
        self.catalogue = catalogue_of(catalogue)
        if isinstance(log, ObservationLog):
            self.log = log
        else:
            self.log = ObservationLog(clock=clock)
            if log is not None:
                for observation in read_log(log):
                    self.log.add(observation)
                self.log.end_sessions()
        self._adviser: tuple[float, Adviser] | None = None

    def observe(
        self,
        query: Mapping[str, Any],
        latency: float,
        rows_returned: int,
        fields_returned: Any = None,
        fields_read: Any = None,
        rows_consumed: int | None = None,
        rows_examined: int | None = None,
        bytes: int | None = None,  # noqa: A002
        client: str | None = None,
        **more: Any,
    ) -> None:
        """Take note of an answered query; no value of its filters is kept.

        `latency` is in seconds, `bytes` in bytes. `fields_returned` are names, or a mapping of
        them to the bytes of each over all rows; `fields_read` those that the client read, None if
        nobody looked. `more` may be `session`, `read_mode`, `index_used`, `sorted_in_memory`,
        `count_latency`, `total_rows`, `status`, `statements`. Raises ValueError naming the part.
        """
        self.add(
            observed(
                parse_query(query),
                self._clock(),
                latency,
                rows_returned,
                fields_returned=fields_returned,
                fields_read=fields_read,
                rows_consumed=rows_consumed,
                rows_examined=rows_examined,
                bytes=bytes,
                client=client if client is not None else query.get("client"),
                **more,
            )
        )

    def add(self, observation: Observation) -> None:
        """Take note of an answered query that somebody else looked at, such as a middleware."""
        if self._pending:
            self._take_reads()
        self.log.add(observation)

    @property
    def window(self) -> float:
        """Seconds of tracked reads after which a field may be called unused."""
        return self._window

    def now(self) -> float:
        """Return the time of an observation that is made now, in Unix seconds."""
        return self._clock()

    def track(
        self,
        query: Mapping[str, Any],
        rows: Iterable[Any],
        client: str | None = None,
        session: str | None = None,
    ) -> list[Any]:
        """Return the rows of an answer as a list; for some answers one that notes what is read.

        Rows may be dicts, dataclasses and pydantic models; others are handed out as they are. What
        was read is known once the last row is gone, and counts for the query; time and size of
        the answer are told to `observe`. Raises ValueError naming the part of the query.
        """
        found = list(rows)
        if not found or self._random.random() >= self._track_share:
            return found
        parsed = parse_query(query)
        name = client if client is not None else query.get("client")
        moment = self._clock()
        pending = self._pending

        def done(reads: TrackedReads) -> None:
            pending.append(_reads_of(parsed, moment, count, name, session, reads))

        count = len(found)
        return self._tracker.track(found, done)

    def analyze_query(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """Return `original_query`, `optimizations` and `estimated_improvement` for a query.

        Optimisations are mappings with a `type` (`remove_fields` with `fields`,
        `adjust_page_size` with `from` and `to`, and others). `estimated_improvement` is the share
        of the latency that following all of them saves, 0 to 1, from a model of this endpoint;
        0.0 where nothing was measured, and `estimate` says why. `suggestions` has for each its
        rule, evidence, saving, confidence, risk and how to verify it. The query is not changed.
        Raises ValueError that names the part of the query which is wrong.
        """
        parsed = parse_query(query)
        adviser = self._judge()
        shape = adviser.find(parsed)
        suggestions, estimate = adviser.suggestions(parsed, shape)
        return result_of(copy.deepcopy(dict(query)), suggestions, estimate, self._window)

    def verified(self) -> list[dict[str, Any]]:
        """Return the changes that were seen to be made, with what was foretold and what came of it.

        Each has `shape`, `time` (Unix seconds), `rules`, `title`, `predicted` with `low` and
        `high`, `actual` with `margin` (shares of the latency before), `calls` and `hit`.
        """
        return [
            msgspec.structs.asdict(change) | {"hit": change.hit}
            for change in verified_changes(self.evidence())
        ]

    def evidence(self) -> QueryEvidence:
        """Return everything observed so far, without values."""
        self._take_reads()
        return self.log.evidence()

    def _take_reads(self) -> None:
        """Count what finished answers had read; their rows may go in the midst of anything."""
        pending = self._pending
        while pending:
            try:
                self.log.add_reads(pending.popleft())
            except IndexError:
                return

    def _judge(self) -> Adviser:
        now = time.monotonic()
        if self._adviser is None or now - self._adviser[0] > _EVIDENCE_KEPT:
            self._adviser = (
                time.monotonic(),
                Adviser(self.evidence(), self.catalogue, self._window),
            )
        return self._adviser[1]


def _reads_of(
    query: Query,
    moment: float,
    rows: int,
    client: object,
    session: str | None,
    reads: TrackedReads,
) -> Observation:
    return Observation(
        query=query,
        time=moment,
        latency=0.0,
        rows_returned=rows,
        client=client[:200] if isinstance(client, str) else "",
        session=session or "",
        fields_returned=reads.fields_returned,
        fields_read=None if reads.read_mode == "opaque" else reads.fields_read,
        read_mode=reads.read_mode,
        rows_consumed=reads.rows_consumed,
        glances=reads.glances,
    )
