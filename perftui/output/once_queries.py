"""Queries of services and what is advised for them, as plain text."""

from __future__ import annotations

from collections.abc import Iterator

from perftui.output.text_writer import Lines, TextWriter
from perftui.snapshot import Absent, Queries, QuerySaving, QueryShape, QueryStep

MOST_SHAPES = 20
MOST_SHAPES_AT_ONCE = 5


def milliseconds(seconds: float) -> str:
    """Return seconds in milliseconds with three significant digits."""
    value = seconds * 1e3
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.3g} ms"


def saving_text(saving: QuerySaving) -> str:
    """Return a saving with its interval and how far it is to be trusted."""
    return (
        f"saves {saving.percent:.0f} %, {milliseconds(saving.seconds)} a call "
        f"({milliseconds(saving.low)} to {milliseconds(saving.high)}, {saving.confidence})"
    )


class QueriesWriter(TextWriter):
    """Writes the shapes that advice would save most of, each with its advice."""

    def queries(self, queries: Queries, most: int = MOST_SHAPES) -> Lines:
        """Yield the lines of all services."""
        yield (
            f"{queries.observations:,} observations of {len(queries.shapes)} shapes by "
            f"{queries.processes} processes of {', '.join(map(self.clean, queries.services))}"
        )
        if queries.other:
            yield f"{queries.other:,} more were of shapes that there was no room for"
        for note in queries.notes:
            yield self.clean(note)
        for shape in queries.shapes[:most]:
            yield ""
            yield from self.shape(shape)
        if len(queries.shapes) > most:
            yield ""
            yield f"{len(queries.shapes) - most} more shapes; --json has all of them"
        for record in queries.records:
            yield (
                f"{record.rule}: {record.hits} of {record.verified} predictions held, "
                f"off by {record.error_percent:+.0f} % of the latency on average"
            )

    def shape(self, shape: QueryShape) -> Lines:
        """Yield the lines of one shape."""
        yield f"{shape.id}  {self.clean(self._what(shape))}"
        examined = (
            ""
            if isinstance(shape.examined_per_row, Absent)
            else f", {shape.examined_per_row:,.0f} rows examined for each"
        )
        yield (
            f"  {shape.calls_per_minute:,.1f} calls/min, {milliseconds(shape.latency)} each, "
            f"{shape.rows:,.1f} rows{examined}"
        )
        if isinstance(shape.saving, Absent):
            yield f"  no number: {self.clean(shape.saving.reason)}"
        elif shape.steps:
            yield f"  all of it together {saving_text(shape.saving)}"
        yield f"  reads: {self.clean(shape.reads)}"
        for step in shape.steps:
            yield from self._step(step)
        if shape.steps and shape.suggested != shape.query:
            yield f"  ask: {self.clean(shape.suggested)}"
        for change in shape.changes:
            word = "inside" if change.hit else "outside"
            yield (
                f"  changed: {self.clean(change.title)}: predicted {change.predicted:.0f} % "
                f"({change.low:.0f} to {change.high:.0f}), got {change.actual:.0f} % over "
                f"{change.calls} answers: {word}"
            )

    def _step(self, step: QueryStep) -> Iterator[str]:
        yield f"  {step.rule:<4}{self.clean(step.title)}"
        yield f"      {self.clean(step.evidence)}"
        if not isinstance(step.requests, Absent) and not isinstance(step.saving, Absent):
            saved = milliseconds(step.saving.seconds)
            yield f"      alone it saves {saved} a call on average, by fewer requests"
        elif not isinstance(step.saving, Absent):
            yield f"      alone it {saving_text(step.saving)}"
        yield f"      risk: {self.clean(step.risk)}"
        yield f"      verify: {self.clean(step.verify)}"

    @staticmethod
    def _what(shape: QueryShape) -> str:
        parts = [shape.endpoint or "(no endpoint)"]
        if shape.conditions:
            parts.append(f"where {shape.conditions}")
        if shape.sort:
            parts.append(f"sorted by {shape.sort}")
        if shape.paging != "none":
            parts.append(f"paged by {shape.paging}")
        return " ".join(parts)
