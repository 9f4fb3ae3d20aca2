"""Queries of APIs, and what is advised for them."""

from __future__ import annotations

from perftui.snapshot.part import Maybe, Part


class QuerySaving(Part, frozen=True):
    """What a change saves of one call: seconds with their 10th and 90th percentile.

    `percent` is the share of the mean latency; `confidence` is measured or modelled.
    """

    seconds: float
    low: float
    high: float
    percent: float
    confidence: str


class QueryStep(Part, frozen=True):
    """One rule's advice; `action` is JSON, `confidence` is measured, modelled or heuristic.

    Savings are of one call: seconds, bytes, rows, requests.
    """

    rule: str
    title: str
    evidence: str
    risk: str
    verify: str
    confidence: str
    action: str
    saving: Maybe[QuerySaving]
    bytes: Maybe[float]
    rows: Maybe[float]
    requests: Maybe[float]


class QueryPoint(Part, frozen=True):
    """One sampled answer: rows returned, seconds, rows skipped before them."""

    rows: int
    latency: float
    depth: Maybe[int]


class QueryLine(Part, frozen=True):
    """Seconds of an answer by its rows: `base` + `per_row` x rows, by Theil-Sen."""

    base: float
    per_row: float


class QueryChange(Part, frozen=True):
    """A change that was seen to be made, at a Unix time: what was foretold and what came of it.

    Shares of the latency before in percent; `calls` answers since were measured. `hit`: the actual
    saving lies inside the interval that was foretold.
    """

    time: float
    rules: tuple[str, ...]
    title: str
    predicted: float
    low: float
    high: float
    actual: float
    calls: int
    hit: bool


class QueryShape(Part, frozen=True):
    """Queries that differ in values only, in order of what a change of them would save.

    `score` is calls a minute x saved milliseconds, 0 without a number. Latencies in seconds.
    `conditions` and `sort` are in words. `query` and `suggested` are JSON without any value of a
    filter. `reads` says what is known of the fields that clients read, or why it is not.
    """

    id: str
    service: str
    endpoint: str
    conditions: str
    sort: str
    paging: str
    calls: int
    errors: int
    calls_per_minute: float
    latency: float
    latency_p95: Maybe[float]
    rows: float
    bytes: Maybe[float]
    examined_per_row: Maybe[float]
    clients: tuple[str, ...]
    score: float
    saving: Maybe[QuerySaving]
    unquantified: int
    steps: tuple[QueryStep, ...]
    query: str
    suggested: str
    reads: str
    points: tuple[QueryPoint, ...]
    line: Maybe[QueryLine]
    changes: tuple[QueryChange, ...] = ()


class RuleRecord(Part, frozen=True):
    """How a rule's predictions have fared: changes verified, inside the interval, mean error.

    `error_percent` is the mean of actual less predicted, in percent of the latency.
    """

    rule: str
    verified: int
    hits: int
    error_percent: float


class Queries(Part, frozen=True):
    """What services observed of queries between two Unix times, over all their processes.

    `other` counts answers to queries of shapes that there was no room for.
    """

    shapes: tuple[QueryShape, ...]
    since: float
    until: float
    observations: int
    other: int
    services: tuple[str, ...]
    processes: int
    records: tuple[RuleRecord, ...] = ()
    notes: tuple[str, ...] = ()
