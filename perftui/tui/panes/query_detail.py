"""One shape of queries in detail: its numbers, each piece of advice, and what came of changes."""

from __future__ import annotations

from perftui.format import latency, size_short
from perftui.snapshot import Absent, QueryChange, QuerySaving, QueryShape, QueryStep
from perftui.text import printable
from perftui.tui.lines import Line, Span, wrap
from perftui.tui.panes.flowing import flowing
from perftui.tui.panes.query_columns import what
from perftui.tui.view import View


def query_detail(shape: QueryShape, view: View) -> list[Line]:
    """Return everything that is known of a shape but its chart."""
    lines = [_title(shape, view), *_numbers(shape, view), *_together(shape, view)]
    if shape.steps and shape.suggested != shape.query:
        lines += _wrapped("ask", shape.suggested, "accent", view)
    for change in shape.changes:
        lines += _change(change, view)
    lines += _wrapped("reads", shape.reads, "muted", view)
    for step in shape.steps:
        lines += _step(step, view)
    return lines


def saving_text(saving: QuerySaving) -> str:
    """Return a saving with its interval in words."""
    return (
        f"{saving.percent:.0f} % of the latency: {_ms(saving.seconds)} a call "
        f"({_ms(saving.low)} to {_ms(saving.high)}), "
        f"{saving.confidence}"
    )


def _ms(seconds: float) -> str:
    text = latency(seconds, "ms").strip()
    return text if text[-1:].isalpha() else f"{text} ms"


def _title(shape: QueryShape, view: View) -> Line:
    return (
        (f" {printable(shape.endpoint or '(no endpoint)', view.ascii_only)}", "title"),
        (f"  {printable(what(shape), view.ascii_only)}", "muted"),
        (f"  {shape.id}", "muted"),
    )


def _numbers(shape: QueryShape, view: View) -> list[Line]:
    parts: list[tuple[Span, ...]] = [
        _pair("observed ", f"{shape.calls:,}"),
        _pair("rows ", f"{shape.rows:,.1f}"),
    ]
    if not isinstance(shape.bytes, Absent):
        parts.append(_pair("size ", size_short(shape.bytes).strip()))
    if isinstance(shape.examined_per_row, Absent):
        parts.append((("rows examined ", "muted"), ("not observed", "absent")))
    else:
        parts.append(_pair("examined for each row ", f"{shape.examined_per_row:,.0f}"))
    if shape.errors:
        parts.append((("errors ", "muted"), (f"{shape.errors:,}", "warning")))
    clients = ", ".join(printable(each or "unnamed", view.ascii_only) for each in shape.clients)
    if clients:
        parts.append(_pair("clients ", clients))
    return flowing(parts, view)


def _pair(name: str, value: str) -> tuple[Span, ...]:
    return ((name, "muted"), (value, "text"))


def _together(shape: QueryShape, view: View) -> list[Line]:
    if not shape.steps:
        return [((" nothing to advise", "ok"),)]
    if isinstance(shape.saving, Absent):
        return _wrapped("all together", f"no number: {shape.saving.reason}", "absent", view)
    text = saving_text(shape.saving)
    if len(shape.steps) > 1:
        text += "; single savings do not add up"
    return _wrapped("all together", text, "ok", view)


def _step(step: QueryStep, view: View) -> list[Line]:
    title = printable(step.title, view.ascii_only)
    lines: list[Line] = [((f" {step.rule:<4}", "key"), (title, "warning"))]
    lines += _wrapped("", step.evidence, "text", view)
    if not isinstance(step.requests, Absent) and not isinstance(step.saving, Absent):
        told = f"{_ms(step.saving.seconds)} a call on average"
        lines += _wrapped("alone", f"{told}, by fewer requests, {step.confidence}", "ok", view)
    elif not isinstance(step.saving, Absent):
        style = "ok" if step.saving.percent >= 1 else "muted"
        lines += _wrapped("alone", saving_text(step.saving), style, view)
    else:
        lines += _wrapped("alone", f"no number ({step.confidence})", "absent", view)
    lines += _wrapped("risk", step.risk, "muted", view)
    lines += _wrapped("verify", step.verify, "muted", view)
    return lines


def _change(change: QueryChange, view: View) -> list[Line]:
    text = (
        f"{change.title}: predicted {change.predicted:.0f} % "
        f"({change.low:.0f} to {change.high:.0f}), got {change.actual:.0f} % over "
        f"{change.calls:,} answers"
    )
    word = ", as foretold" if change.hit else ", not as foretold"
    return _wrapped("changed", text + word, "ok" if change.hit else "warning", view)


def _wrapped(name: str, text: str, style: str, view: View) -> list[Line]:
    lead = f"      {name} " if name else "      "
    room = max(12, view.width - len(lead) - 1)
    lines: list[Line] = []
    for index, part in enumerate(wrap(printable(text, view.ascii_only), room)):
        lines.append(((lead if index == 0 else " " * len(lead), "muted"), (part, style)))
    return lines
