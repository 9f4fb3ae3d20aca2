"""Clients of the list API that read only some of what they ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from query_api import COLUMNS, Answer, Api

from perftui.queries.optimizer import QueryOptimizer

FACTS = {
    "GET /items": {
        "indexes": [["id"], ["city"], ["kind"]],
        "index_names": {"by_city": ["city"], "by_kind": ["kind"]},
        "fields": list(COLUMNS),
        "masks": True,
        "cursors": True,
        "max_page_size": 1_000,
    }
}


Use = Callable[[list[Any]], None]


class Watched:
    """The API with an optimizer that is told every answer; its clock goes on by `step` seconds."""

    def __init__(self, api: Api, facts: Mapping[str, Any] = FACTS) -> None:
        self.api = api
        self.now = 1_700_000_000.0
        self.optimizer = QueryOptimizer(
            catalogue=facts,
            window=0,
            clock=lambda: self.now,
            track_share=1,
            trusted=("orjson", "msgspec", "pydantic_core", "ujson", "cbor2"),
        )

    def ask(
        self,
        query: Mapping[str, Any],
        *,
        reads: Sequence[str] | None = None,
        consumed: int | None = None,
        use: Use | None = None,
        client: str = "web",
        session: str = "s",
        step: float = 1.0,
        **more: Any,
    ) -> Answer:
        """Ask, and let the optimizer know the answer and what the client read of it."""
        self.now += step
        answer = self.api.ask(query)
        self.optimizer.observe(
            {"endpoint": "GET /items", **query},
            answer.latency,
            len(answer.rows),
            rows_examined=answer.rows_examined,
            bytes=answer.bytes,
            client=client,
            session=session,
            index_used=answer.index_used,
            sorted_in_memory=answer.sorted_in_memory,
            count_latency=answer.count_latency,
            **more,
        )
        if use is None and reads is not None:
            use = _reader(reads, consumed)
        if use is not None:
            asked = {"endpoint": "GET /items", **query}
            use(self.optimizer.track(asked, answer.rows, client, session))
        return answer

    def fetch(self, number: int, *, client: str = "web", session: str = "s") -> None:
        """Fetch one item by its id."""
        self.now += 0.05
        answer = self.api.ask({"filters": [{"field": "id", "value": number}]})
        self.optimizer.observe(
            {"endpoint": "GET /items/{id}"},
            answer.latency,
            1,
            client=client,
            session=session,
            id_hash=number,
        )

    def analyze(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is advised for a query."""
        self.optimizer.log.end_sessions()
        return self.optimizer.analyze_query({"endpoint": "GET /items", **query})

    def rules(self, query: Mapping[str, Any]) -> set[str]:
        """Return the rules that advise something for a query."""
        return {each["rule"] for each in self.analyze(query)["suggestions"]}


def _reader(fields: Sequence[str], most: int | None) -> Use:
    def read(rows: list[Any]) -> None:
        for row in rows if most is None else rows[:most]:
            for name in fields:
                row[name]

    return read
