"""A piece of advice: what to change, on what evidence, what it would save and what it risks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from perftui.queries.catalogue import EndpointFacts
from perftui.queries.evidence import QueryEvidence, ShapeEvidence
from perftui.queries.query import Query

Confidence: TypeAlias = Literal["measured", "modelled", "heuristic", "none"]
"""From before and after; from a fitted model; from a rule without a number; nothing known."""


class Counterfactual(msgspec.Struct, frozen=True):
    """What a query would be if advice were followed; several are put into one, never added up.

    `page_size` replaces the size asked for. `indexed`: no more rows are examined than returned
    (and, without `depth`, skipped). `no_depth`: nothing is skipped. `rows_factor` multiplies rows
    returned, `seconds_less` is time that is saved whatever the rest, `requests_factor` multiplies
    the number of requests.
    """

    fields_removed: tuple[str, ...] = ()
    page_size: int | None = None
    indexed: bool = False
    no_depth: bool = False
    rows_factor: float = 1.0
    seconds_less: float = 0.0
    requests_factor: float = 1.0


class Saving(msgspec.Struct, frozen=True):
    """What one call saves: seconds, bytes, rows, requests; None where that is not known.

    `low` and `high` are the 10th and 90th percentile of the seconds.
    """

    latency: float | None = None
    low: float | None = None
    high: float | None = None
    bytes: float | None = None
    rows: float | None = None
    requests: float | None = None


class Suggestion(msgspec.Struct, frozen=True):
    """One rule's advice for one query.

    `action` is what a program may apply: it has a `type` and what belongs to it. `evidence` is one
    sentence with the numbers in it, `facts` are these numbers by name. `confidence` is the best
    that the rule's evidence allows; the model may lower it, never raise it.
    """

    rule: str
    action: Mapping[str, Any]
    title: str
    evidence: str
    risk: str
    verify: str
    confidence: Confidence
    facts: Mapping[str, float | int | str] = {}
    change: Counterfactual | None = None
    saving: Saving = Saving()


class Subject(msgspec.Struct, frozen=True):
    """What a rule judges: a query, the evidence on its shape (None without any), and the rest.

    `window` is the shortest time in seconds over which reads must have been tracked before a
    field is called unused.
    """

    query: Query
    shape: ShapeEvidence | None
    all: QueryEvidence
    facts: EndpointFacts
    window: float = 7 * 86_400.0
