"""Advice on API queries for a service: what it observes, and what that says of a query."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from perftui.queries.advice import WEEK, Adviser
from perftui.queries.catalogue import Catalogue
from perftui.queries.catalogue_file import catalogue_of
from perftui.queries.evidence import QueryEvidence
from perftui.queries.json_lines import read_log
from perftui.queries.log import ObservationLog
from perftui.queries.observed import observed
from perftui.queries.query_parse import parse_query
from perftui.queries.result import result_of

_EVIDENCE_KEPT = 5.0
"""Seconds for which a model is used again before new observations are taken into it."""


class QueryOptimizer:
    """Tells what a query asks for in vain and what a change of it would save.

    `log` is an `ObservationLog`, the path of a JSON Lines file of observations, or None for an
    empty log. `catalogue` has what cannot be observed (indexes, greatest page sizes, fields to
    keep): a `Catalogue`, a mapping, or the path of a TOML or JSON file. A field is called unused
    after `window` seconds of tracked reads, a week unless told otherwise. Safe to use from any
    thread. Raises ValueError for a log or a catalogue that is wrong, naming the part.
    """

    def __init__(
        self,
        log: ObservationLog | str | Path | None = None,
        catalogue: Catalogue | Mapping[str, Any] | str | Path | None = None,
        *,
        window: float = WEEK,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not window >= 0:
            raise ValueError(f"window: {window!r} is not a time in seconds from 0")
        self._clock = clock
        self._window = window
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
        self.log.add(
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

    def evidence(self) -> QueryEvidence:
        """Return everything observed so far, without values."""
        return self.log.evidence()

    def _judge(self) -> Adviser:
        now = time.monotonic()
        if self._adviser is None or now - self._adviser[0] > _EVIDENCE_KEPT:
            self._adviser = (
                time.monotonic(),
                Adviser(self.log.evidence(), self.catalogue, self._window),
            )
        return self._adviser[1]
