"""From evidence to advice: every rule asked, what they say put into one estimate, and ranked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from perftui.queries.catalogue import Catalogue
from perftui.queries.estimate import Estimate, Fitted, nothing
from perftui.queries.evidence import Point, QueryEvidence, ShapeEvidence
from perftui.queries.query import Query
from perftui.queries.rules import ALL_RULES
from perftui.queries.rules.field_evidence import field_reads
from perftui.queries.shape import shape_of
from perftui.queries.suggestion import Confidence, Counterfactual, Saving, Subject, Suggestion

WEEK: Final = 7 * 86_400.0
NO_OBSERVATIONS: Final = "no observations: only the text of the query was looked at"
_LOWER_WINS: Final = ("P7", "P5", "P4", "P6")
"""Of several page sizes that are advised, the first of these rules decides."""


class QueryAdvice(msgspec.Struct, frozen=True):
    """What is advised for the queries of one shape.

    `score` is calls a minute x saved milliseconds, by which advice is ranked; 0 where no saving
    can be told. Latency in seconds.
    """

    id: str
    shape: ShapeEvidence
    calls_per_minute: float
    latency: float | None
    estimate: Estimate
    suggestions: tuple[Suggestion, ...]
    score: float


class Adviser:
    """Judges queries by one body of evidence; models are fitted once for each endpoint."""

    def __init__(
        self,
        evidence: QueryEvidence,
        catalogue: Catalogue | None = None,
        window: float = WEEK,
    ) -> None:
        self.evidence = evidence
        self._catalogue = catalogue or Catalogue()
        self._window = window
        self._models: dict[str, Fitted] = {}
        self._shapes = {each.shape: each for each in evidence.shapes}

    def suggestions(
        self, query: Query, shape: ShapeEvidence | None, *, of_all: bool = False
    ) -> tuple[tuple[Suggestion, ...], Estimate]:
        """Return what the rules advise for a query, and what all of it together saves.

        The saving is that of queries asked like this one, or, `of_all`, of the whole shape.
        """
        subject = Subject(
            query, shape, self.evidence, self._catalogue.of(query.endpoint), self._window
        )
        found = [
            suggestion
            for rule in ALL_RULES
            if (shape is not None or rule.static)
            and (suggestion := rule.judge(subject)) is not None
        ]
        found = _one_of_each(found)
        if shape is None:
            return tuple(found), nothing(NO_OBSERVATIONS)
        model = self._model(query.endpoint)
        shares = field_reads(subject).share
        points = shape.points if of_all else _points_like(query, shape)
        judged = tuple(self._with_saving(each, model, points, shares, shape) for each in found)
        changes = [each.change for each in judged if each.change is not None]
        if not changes:
            return judged, nothing(_why_nothing(judged), len(shape.points))
        estimate = model.estimate(points, changes, shares)
        return judged, _kept_to_measured(estimate, changes, shape)

    def of_shape(self, shape: ShapeEvidence) -> QueryAdvice:
        """Return the advice for the queries of a shape, judged by its newest query."""
        suggestions, estimate = self.suggestions(shape.query, shape, of_all=True)
        rate = calls_per_minute(shape, self.evidence)
        # Requests that need not be made save time, though no query gets faster by it.
        alone = (each.saving.latency or 0.0 for each in suggestions if each.change is None)
        saved = max(0.0, estimate.seconds, *alone)
        return QueryAdvice(
            id=shape.shape.fingerprint,
            shape=shape,
            calls_per_minute=rate,
            latency=shape.mean_latency,
            estimate=estimate,
            suggestions=suggestions,
            score=rate * saved * 1e3,
        )

    def all(self) -> tuple[QueryAdvice, ...]:
        """Return the advice for every shape, the one that saves most first.

        Those without a number follow by the time that their queries take together.
        """
        advice = [self.of_shape(shape) for shape in self.evidence.shapes]
        return tuple(
            sorted(
                advice,
                key=lambda each: (
                    -each.score,
                    not each.suggestions,
                    -each.calls_per_minute * (each.latency or 0.0),
                    each.id,
                ),
            )
        )

    def find(self, query: Query) -> ShapeEvidence | None:
        """Return the evidence on the shape of a query, None where there is none."""
        return self._shapes.get(shape_of(query))

    def model(self, endpoint: str) -> Fitted:
        """Return the model of an endpoint, fitted to a sample of all its queries."""
        return self._model(endpoint)

    def _model(self, endpoint: str) -> Fitted:
        model = self._models.get(endpoint)
        if model is None:
            model = self._models[endpoint] = Fitted(self.evidence.points_of(endpoint))
        return model

    @staticmethod
    def _with_saving(
        suggestion: Suggestion,
        model: Fitted,
        points: Sequence[Point],
        shares: dict[str, float],
        shape: ShapeEvidence,
    ) -> Suggestion:
        """Return the suggestion with what it alone would save, or without a number."""
        if suggestion.change is None:
            return suggestion
        estimate = _kept_to_measured(
            model.estimate(points, [suggestion.change], shares), [suggestion.change], shape
        )
        if estimate.confidence == "none":
            return msgspec.structs.replace(
                suggestion,
                confidence="heuristic",
                saving=msgspec.structs.replace(suggestion.saving, latency=None),
                facts={**suggestion.facts, "no_number": estimate.reason},
            )
        saving = Saving(
            latency=estimate.seconds,
            low=estimate.seconds_low,
            high=estimate.seconds_high,
            bytes=suggestion.saving.bytes,
            rows=suggestion.saving.rows,
            requests=suggestion.saving.requests,
        )
        best: Confidence = "measured" if suggestion.confidence == "measured" else "modelled"
        return msgspec.structs.replace(suggestion, saving=saving, confidence=best)


def advise(
    evidence: QueryEvidence, catalogue: Catalogue | None = None, window: float = WEEK
) -> tuple[QueryAdvice, ...]:
    """Return the advice for all that was observed; see `Adviser.all`."""
    return Adviser(evidence, catalogue, window).all()


def calls_per_minute(shape: ShapeEvidence, evidence: QueryEvidence) -> float:
    """Return how often queries of a shape are asked, over the time that was observed."""
    span = max(60.0, evidence.until - evidence.since)
    return max(shape.calls, shape.asked) * 60 / span


def _one_of_each(found: Sequence[Suggestion]) -> list[Suggestion]:
    """Leave out advice that another one includes: of page sizes, masks and indexes one each."""
    rules = {each.rule for each in found}
    dropped: set[str] = set()
    if "P3" in rules:
        dropped.add("P1")
    sizes = [rule for rule in _LOWER_WINS if rule in rules]
    dropped.update(sizes[1:])
    kept: list[Suggestion] = []
    indexes: set[tuple[str, ...]] = set()
    for each in found:
        if each.rule in dropped:
            continue
        if each.action.get("type") == "add_index":
            columns = tuple(each.action["columns"])
            if columns in indexes:
                continue
            indexes.add(columns)
        kept.append(each)
    return kept


def _points_like(query: Query, shape: ShapeEvidence) -> Sequence[Point]:
    """Return the points of the shape asked in the same way; all of the shape if they are few."""
    alike = [
        point
        for point in shape.points
        if point.page_size == query.page_size
        and (query.depth is None or point.depth is None or _near(point.depth, query.depth))
    ]
    return alike if len(alike) >= 5 else shape.points


def _near(one: int, other: int) -> bool:
    return abs(one - other) <= 0.25 * max(one, other)


def _kept_to_measured(
    estimate: Estimate, changes: Sequence[Counterfactual], shape: ShapeEvidence
) -> Estimate:
    """Return the estimate, or where no model can be had what was measured itself."""
    if estimate.confidence != "none":
        return estimate
    only = [each for each in changes if each != Counterfactual()]
    mean = shape.mean_latency
    measured = all(
        each == Counterfactual(seconds_less=each.seconds_less, requests_factor=each.requests_factor)
        for each in only
    )
    if not only or not mean or not measured:
        return estimate
    left = 1.0
    for each in only:
        left = max(0.0, left - each.seconds_less / mean) * each.requests_factor
    share = 1 - left
    return Estimate(
        share=share,
        low=share,
        high=share,
        seconds=share * mean,
        seconds_low=share * mean,
        seconds_high=share * mean,
        confidence="measured",
        n=shape.calls,
        model="measured shares of the latency and of the requests",
    )


def _why_nothing(found: Sequence[Suggestion]) -> str:
    if not found:
        return "no rule found anything to change"
    return "the rules that apply give no number: their evidence does not measure time"
