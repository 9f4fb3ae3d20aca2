"""From a finished request to an observation, the same for ASGI and WSGI."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from random import random
from typing import TYPE_CHECKING, Any, Final

from perftui.queries.answer_body import AnswerBody, id_hash, read_body
from perftui.queries.observation import Observation
from perftui.queries.query_parse import parse_query
from perftui.queries.request_sampler import RequestSampler
from perftui.queries.statements import Statements
from perftui.queries.url_query import path_template, url_query
from perftui.queries.value_hash import hash_of_values

if TYPE_CHECKING:
    from perftui.queries.optimizer import QueryOptimizer

QUERY: Final = "perftui.query"
"""Where scope or environ may carry the query as a mapping, where its URL does not tell it."""

ROWS: Final = "perftui.rows"
"""Where scope or environ may carry the number of rows of an answer that is not JSON."""

MOST_BODY: Final = 1 << 20
"""Bytes of a body that are looked at; of a longer one the rows are not known."""

_logger = logging.getLogger("perftui")


class Request:
    """What is gathered of one request that is observed."""

    __slots__ = ("body", "bytes", "json", "started", "statements", "status", "weight")

    def __init__(self, weight: int, statements: Statements) -> None:
        self.weight = weight
        self.statements = statements
        self.status = 0
        self.body: list[bytes] | None = []
        self.bytes = 0
        self.json = False
        self.started = time.perf_counter()

    def begins(self, status: int, content_type: str, encoded: bool) -> None:
        """Take note of status and headers of the answer."""
        self.status = status
        self.json = "json" in content_type and not encoded

    def chunk(self, part: bytes) -> None:
        """Take note of a part of the body; kept only while it may be read."""
        self.bytes += len(part)
        if self.body is not None and part:
            if not self.json or self.bytes > MOST_BODY:
                self.body = None
            else:
                self.body.append(part)


class RequestObserver:
    """Chooses requests and hands what they were to the log of a `QueryOptimizer`."""

    def __init__(self, optimizer: QueryOptimizer, budget: float, explain_share: float) -> None:
        if not 0 <= explain_share <= 1:
            raise ValueError(f"explain_share: {explain_share!r} is not a share from 0 to 1")
        self._optimizer = optimizer
        self.sampler = RequestSampler(budget)
        self._explain_share = explain_share
        self._faulty = False
        self.uncounted = 0

    def explains(self) -> bool:
        """Whether the next request that is observed may have a statement explained."""
        return random() < self._explain_share

    def finished(
        self,
        request: Request,
        known: Mapping[str, Any],
        method: str,
        template: str | None,
        path: str,
        query_string: str,
        client: str,
        session: object,
    ) -> None:
        """Count a request whose answer was sent; never raises."""
        latency = time.perf_counter() - request.started
        used = time.thread_time()
        try:
            self._count(
                request, latency, known, method, template, path, query_string, client, session
            )
        except ValueError:
            # A client may send anything; what cannot be read as a query is not observed.
            self.uncounted += 1
        except Exception:
            self.uncounted += 1
            if not self._faulty:
                self._faulty = True
                _logger.exception("a query could not be observed; said once")
        self.sampler.spent(time.thread_time() - used)

    def _count(
        self,
        request: Request,
        latency: float,
        known: Mapping[str, Any],
        method: str,
        template: str | None,
        path: str,
        query_string: str,
        client: str,
        session: object,
    ) -> None:
        plain, last = path_template(path)
        endpoint = f"{method} {template or plain}"
        told = known.get(QUERY)
        query = parse_query(
            {"endpoint": endpoint, **told}
            if isinstance(told, Mapping)
            else url_query(endpoint, query_string)
        )
        answer = self._answer(request, known)
        if answer is None:
            # Without the number of its rows an answer tells nothing; a zero would be a lie.
            self.uncounted += 1
            return
        body = b"".join(request.body or ())
        done = request.statements
        self._optimizer.add(
            Observation(
                query=query,
                time=self._optimizer.now(),
                latency=latency,
                rows_returned=answer.rows,
                client=client,
                session=str(hash_of_values(session)),
                status=request.status,
                bytes=request.bytes,
                fields_returned=answer.fields,
                rows_examined=done.rows_examined,
                index_used=done.index_used,
                sorted_in_memory=done.sorted_in_memory,
                statements=done.count or None,
                count_latency=done.count_seconds,
                body_hash=hash_of_values(body) if body else None,
                id_hash=id_hash(last) if last else None,
                ids_returned=answer.ids,
                weight=request.weight,
            )
        )

    def _answer(self, request: Request, known: Mapping[str, Any]) -> AnswerBody | None:
        told = known.get(ROWS)
        if request.status >= 400 or request.status in (204, 304):
            return AnswerBody(0, {}, ())
        if request.body and request.json:
            answer = read_body(b"".join(request.body))
            if answer is not None:
                return answer
        if isinstance(told, int) and not isinstance(told, bool) and told >= 0:
            return AnswerBody(told, {}, ())
        return None


def client_of(user_agent: str) -> str:
    """Return the product that a User-Agent names first (RFC 9110, section 10.1.5)."""
    return user_agent.partition(" ")[0].partition("/")[0][:60]
