"""Queries that services observed, with advice on them, from what they left in Redis."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from perftui.queries.catalogue import Catalogue
from perftui.queries.evidence import QueryEvidence
from perftui.queries.merge import merged
from perftui.queries.verification import VerifiedChange, records
from perftui.queries.wire import EXPIRY, INDEX_KEY, QueryReport, decode
from perftui.snapshot import Absent, Maybe, Queries, QueryShape, RuleRecord, State
from perftui.sources.query_shapes import query_shapes
from perftui.sources.redis.connection import Link
from perftui.sources.redis.own_lookups import own_lookups
from perftui.sources.redis.target import RedisTarget
from perftui.sources.source import SourceError

if TYPE_CHECKING:
    import redis

MOST_PROCESSES: Final = 64
"""Processes of a service that are read, the newest: some outlived by many deployments."""

BUDGET: Final = 0.02
"""Share of a core that advising may cost; advice that took longer is made anew later."""

_MOST_MEMBERS: Final = 2_000
_CHUNK: Final = 20

NOTHING: Final = Absent(
    State.NOT_COLLECTED,
    "no service observes its queries",
    "add perftui.queries.asgi.QueryMiddleware (or wsgi) and Reporter(queries=optimizer) to it",
)


class _Kept(NamedTuple):
    score: float
    report: QueryReport | None
    refused: str


class _Advised(NamedTuple):
    """The advice for one service, by which reports it was made, and when it may be made anew."""

    scores: tuple[tuple[bytes, float], ...]
    due: float
    shapes: tuple[QueryShape, ...]
    changes: tuple[VerifiedChange, ...]
    evidence: QueryEvidence


class QueriesSource:
    """Reads what processes observed when it has changed, and advises anew then; never writes."""

    name = "queries"

    def __init__(self, target: RedisTarget, interval: float = 5.0) -> None:
        self.interval = interval
        self.deadline = 10.0
        self._link = Link(target)
        self._own = own_lookups(target)
        self._kept: dict[bytes, _Kept] = {}
        self._advised: dict[str, _Advised] = {}

    def sample(self) -> Maybe[Queries]:
        """Return the queries of all services with advice; an absence where nobody observes any.

        Raises SourceError when Redis cannot be read, or none of what is there.
        """
        with self._link.use() as client:
            members, left_out = self._members(client)
            self._read(client, members)
        self._kept = {member: self._kept[member] for member in members if member in self._kept}
        reports = {member: kept for member, kept in self._kept.items() if kept.report is not None}
        refused = [kept.refused for kept in self._kept.values() if kept.refused]
        if not reports and refused:
            raise SourceError(
                State.UNAVAILABLE, refused[0], "run the same version of perftui here and there"
            )
        if not reports:
            return NOTHING
        by_service: dict[str, list[tuple[bytes, _Kept]]] = {}
        for member, kept in reports.items():
            assert kept.report is not None
            by_service.setdefault(kept.report.service, []).append((member, kept))
        self._advised = {
            service: self._advice(service, processes)
            for service, processes in sorted(by_service.items())
        }
        notes = [f"{len(refused)} processes could not be read: {refused[0]}"] if refused else []
        if left_out:
            notes.append(f"{left_out} older processes were left out")
        return self._found(len(reports), tuple(notes))

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def _members(self, client: redis.Redis) -> tuple[dict[bytes, float], int]:
        pipeline = client.pipeline(transaction=False)
        pipeline.execute_command("TIME")
        pipeline.execute_command("ZREVRANGE", INDEX_KEY, 0, _MOST_MEMBERS - 1, "WITHSCORES")
        (seconds, _), flat = pipeline.execute()
        self._own.add(1 if flat else 0, 0 if flat else 1)
        members: dict[bytes, float] = {}
        counts: dict[bytes, int] = {}
        left_out = 0
        for member, text in zip(flat[::2], flat[1::2], strict=True):
            score = float(text)
            service = member.rpartition(b"/")[0]
            if int(seconds) - score > EXPIRY:
                continue
            counts[service] = counts.get(service, 0) + 1
            if counts[service] > MOST_PROCESSES:
                left_out += 1
                continue
            members[member] = score
        return members, left_out

    def _read(self, client: redis.Redis, members: dict[bytes, float]) -> None:
        wanted = [
            member
            for member, score in members.items()
            if member not in self._kept or self._kept[member].score != score
        ]
        for start in range(0, len(wanted), _CHUNK):
            chunk = wanted[start : start + _CHUNK]
            payloads = client.execute_command(
                "MGET", *[b"perftui:query:" + member for member in chunk]
            )
            missing = payloads.count(None)
            self._own.add(len(payloads) - missing, missing)
            for member, payload in zip(chunk, payloads, strict=True):
                self._kept[member] = _kept(members[member], payload)

    def _advice(self, service: str, processes: list[tuple[bytes, _Kept]]) -> _Advised:
        scores = tuple(sorted((member, kept.score) for member, kept in processes))
        before = self._advised.get(service)
        if before is not None and (before.scores == scores or time.monotonic() < before.due):
            return before
        used = time.thread_time()
        reports = [kept.report for _, kept in processes if kept.report is not None]
        newest = max(reports, key=lambda report: report.time)
        evidence = merged(report.evidence for report in reports)
        catalogue = Catalogue(
            {
                endpoint: facts
                for report in sorted(reports, key=lambda report: report.time)
                for endpoint, facts in report.catalogue.endpoints.items()
            }
        )
        shapes, changes = query_shapes(service, evidence, catalogue, newest.window)
        pause = (time.thread_time() - used) / BUDGET
        return _Advised(scores, time.monotonic() + pause, shapes, changes, evidence)

    def _found(self, processes: int, notes: tuple[str, ...]) -> Queries:
        advised = list(self._advised.values())
        shapes = [shape for each in advised for shape in each.shapes]
        shapes.sort(
            key=lambda shape: (
                -shape.score,
                not shape.steps,
                -shape.calls_per_minute * shape.latency,
                shape.id,
            )
        )
        changes = [change for each in advised for change in each.changes]
        return Queries(
            shapes=tuple(shapes),
            since=min(each.evidence.since for each in advised),
            until=max(each.evidence.until for each in advised),
            observations=sum(shape.calls for each in advised for shape in each.evidence.shapes),
            other=sum(each.evidence.other for each in advised),
            services=tuple(self._advised),
            processes=processes,
            records=tuple(
                RuleRecord(each.rule, each.verified, each.hits, 100 * each.error)
                for each in records(changes)
            ),
            notes=notes,
        )


def _kept(score: float, payload: bytes | None) -> _Kept:
    if payload is None:
        return _Kept(score, None, "")
    try:
        return _Kept(score, decode(payload), "")
    except ValueError as error:
        return _Kept(score, None, str(error))
