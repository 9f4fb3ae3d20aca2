"""One operation in detail: its numbers, how its calls ended, its buckets and its processes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from perftui.format import age, count, latency, percent, rate_short
from perftui.snapshot import (
    Absent,
    Instance,
    InstanceShare,
    Maybe,
    OperationDetail,
    Quantile,
    StatusCount,
)
from perftui.text import cell_width, printable
from perftui.tui.charts import bar
from perftui.tui.lines import Line, Span, fit_line, wrap
from perftui.tui.panes.flowing import flowing
from perftui.tui.panes.operation_columns import (
    bound,
    errors_span,
    interval,
    is_wide,
    latency_unit,
    quantile_text,
)
from perftui.tui.panes.operation_rows import OperationRow, real_seconds
from perftui.tui.panes.pane import missing
from perftui.tui.table import Column, TableState, fit_columns, header_line, record_line
from perftui.tui.view import View, window_label

MOST_BARS = 12
MOST_STATUSES = 12
BESIDE = 76
"""Width from which on buckets and processes stand side by side."""
GAP = 2
LEAST_GAUGE = 8


@dataclass(frozen=True)
class Bar:
    """One line of the histogram: calls between two bounds in seconds."""

    low: float
    high: float
    count: int


def find_detail(row: OperationRow) -> OperationDetail | None:
    """Return the detail of an operation in the window of its row, None before there is one."""
    return next(
        (
            detail
            for detail in row.service.details
            if detail.operation == row.operation.name and detail.seconds == row.window.seconds
        ),
        None,
    )


def detail_lines(row: OperationRow, view: View, room: int) -> list[Line]:
    """Return what is known of an operation in at most `room` lines, most important first."""
    if room < 1:
        return []
    lines = [_title(row, view), *_numbers(row, view), *_reasons(row, view)]
    detail = find_detail(row)
    if detail is None:
        text = "buckets, statuses and processes of it are read from now on: a few seconds"
        lines += [((f" {part}", "absent"),) for part in wrap(text, max(8, view.width - 2))]
        return lines[:room]
    if any(status.count for status in detail.statuses):
        lines += _statuses(detail.statuses, view)
    left = room - len(lines)
    if left >= 3:
        lines += _parts(row, detail, view, left)
    return lines[:room]


def _title(row: OperationRow, view: View) -> Line:
    service = printable(row.service.name, view.ascii_only)
    name = printable(row.operation.name, view.ascii_only)
    return (
        (f" {name}", "title"),
        (f"  {service}, {row.service.origin}, ", "muted"),
        (f"last {window_label(real_seconds(row.window))}", "muted"),
    )


def _numbers(row: OperationRow, view: View) -> list[Line]:
    operation = row.operation
    unit = latency_unit([operation])
    parts: list[tuple[Span, ...]] = [
        ((f"{rate_short(operation.rate).strip()}/s", "text"),),
        ((f"{operation.count:,}", "text"), (" calls", "muted")),
    ]
    for name, quantile in (("p50", operation.p50), ("p95", operation.p95), ("p99", operation.p99)):
        parts.append(((f"{name} ", "muted"), *_quantile(quantile, unit)))
    if isinstance(operation.mean, Absent):
        parts.append((("mean ", "muted"), missing(operation.mean)))
    else:
        mean = latency(operation.mean, unit).strip()
        parts.append((("mean ", "muted"), (_with_unit(mean, unit), "text")))
    errors, style = errors_span(operation.error_ratio)
    shown = errors.replace("!", "").strip()
    text = shown if isinstance(operation.error_ratio, Absent) else f"{shown} %"
    parts.append((("errors ", "muted"), (text, style)))
    if operation.cancelled:
        parts.append(((f"{operation.cancelled:,}", "text"), (" cancelled", "muted")))
    return flowing(parts, view)


def _quantile(quantile: Maybe[Quantile], unit: str) -> tuple[Span, ...]:
    if isinstance(quantile, Absent):
        return (missing(quantile),)
    text, style = quantile_text(quantile, unit, mark=False)
    if math.isinf(quantile.high):
        return ((text, style),)
    shown: tuple[Span, ...] = ((_with_unit(text, unit), style),)
    if is_wide(quantile):
        shown += ((f" {interval(quantile, unit)}", "muted"),)
    return shown


def _with_unit(text: str, unit: str) -> str:
    return text if " " in text else f"{text} {unit}"


def _reasons(row: OperationRow, view: View) -> list[Line]:
    """Return why numbers are missing, each reason once."""
    operation = row.operation
    reasons: dict[str, list[str]] = {}
    for name, value in (
        ("quantiles", operation.p95),
        ("mean", operation.mean),
        ("errors", operation.error_ratio),
    ):
        if isinstance(value, Absent) and value.reason:
            reasons.setdefault(value.reason, []).append(name)
    return [
        ((f" - {', '.join(names)}: {printable(reason, view.ascii_only)}", "absent"),)
        for reason, names in reasons.items()
    ]


def _statuses(statuses: Sequence[StatusCount], view: View) -> list[Line]:
    total = sum(status.count for status in statuses)
    parts: list[tuple[Span, ...]] = []
    for status in sorted(filter(lambda s: s.count, statuses), key=lambda s: -s.count):
        name = printable(status.status, view.ascii_only)
        part = percent(100 * status.count / total).strip() if total else "-"
        failed = status.status == "failure" or status.status.startswith("5")
        style = "warning" if failed else "text"
        parts.append(((f"{name} ", "muted"), (f"{status.count:,}", style), (f" {part} %", "muted")))
    return flowing(parts[:MOST_STATUSES], view, (("ended as ", "muted"),))


def _parts(row: OperationRow, detail: OperationDetail, view: View, room: int) -> list[Line]:
    """Return buckets and processes, side by side where there is room, else below each other."""
    if view.width < BESIDE:
        processes = _processes(row, detail, view, view.width, max(3, room // 2))
        return [*processes, *_histogram(row, detail, view, view.width, room - len(processes))]
    width = min(64, (view.width - GAP) * 2 // 5)
    left = _histogram(row, detail, view, width, room)
    right = _processes(row, detail, view, view.width - width - GAP, room)
    if not left:
        return _processes(row, detail, view, view.width, room)
    ellipsis = view.glyphs.ellipsis
    return [
        (
            *fit_line(left[y] if y < len(left) else (), width, ellipsis),
            (" " * GAP, "text"),
            *(right[y] if y < len(right) else ()),
        )
        for y in range(max(len(left), len(right)))
    ]


# Buckets


def merged_buckets(bounds: Sequence[float], counts: Sequence[int], most: int) -> list[Bar]:
    """Return the buckets from the first to the last that has calls, merged to at most `most` bars.

    Neighbours are merged in groups of one size, so that bars of buckets that grow by a factor grow
    by a factor too. Calls beyond the last bound stay apart: no bound says how long they took.
    """
    beyond = counts[len(bounds)] if len(counts) > len(bounds) else 0
    filled = [index for index in range(min(len(bounds), len(counts))) if counts[index]]
    bars: list[Bar] = []
    room = max(1, most - (1 if beyond else 0))
    if filled:
        first, last = filled[0], filled[-1]
        size = math.ceil((last - first + 1) / room)
        for begin in range(first, last + 1, size):
            end = min(begin + size, last + 1)
            low = bounds[begin - 1] if begin else 0.0
            bars.append(Bar(low, bounds[end - 1], sum(counts[begin:end])))
    if beyond:
        bars.append(Bar(bounds[-1] if bounds else 0.0, math.inf, beyond))
    return bars


def _histogram(
    row: OperationRow, detail: OperationDetail, view: View, width: int, room: int
) -> list[Line]:
    bars = merged_buckets(detail.bounds, detail.buckets, min(MOST_BARS, room - 1))
    if not bars or room < 2:
        return []
    total, top = sum(b.count for b in bars), max(b.count for b in bars)
    labels = [_span_label(b) for b in bars]
    label_width = max(cell_width(label) for label in labels)
    marks = [_marks(row, b) for b in bars]
    mark_width = max(map(len, marks)) + 1
    gauge = width - label_width - mark_width - 9
    with_percent = gauge >= LEAST_GAUGE + 8
    gauge = max(4, gauge - 8 if with_percent else gauge)
    lines: list[Line] = [((" calls by duration", "muted"),)]
    for one, label, mark in zip(bars, labels, marks, strict=True):
        part: Line = ((f" {percent(100 * one.count / total)} %", "muted"),)
        lines.append(
            (
                (f" {label:>{label_width}} ", "muted"),
                *_blank(bar(100 * one.count / top, gauge, view.glyphs, "bar")),
                (f" {count(one.count)}", "text"),
                *(part if with_percent else ()),
                (f" {mark}", "accent"),
            )
        )
    return lines


def _blank(spans: tuple[Span, ...]) -> tuple[Span, ...]:
    """Return a bar without the dots that show how far it could go: here it has no such end."""
    return tuple(
        (" " * len(text), "text") if style == "bar-empty" else (text, style)
        for text, style in spans
    )


def _span_label(one: Bar) -> str:
    if math.isinf(one.high):
        return f">{bound(one.low)}"
    number, unit = bound(one.high).split(" ")
    factor = {"s": 1.0, "ms": 1e3, "us": 1e6}[unit]
    low = factor * one.low
    begin = f"{low:.0f}" if low >= 100 else f"{low:.3g}"
    return f"{begin}-{number} {unit}"


def _marks(row: OperationRow, one: Bar) -> str:
    """Return which quantiles lie in a bar."""
    operation = row.operation
    found = []
    for name, quantile in (("p50", operation.p50), ("p95", operation.p95), ("p99", operation.p99)):
        if isinstance(quantile, Absent):
            continue
        beyond = math.isinf(quantile.high)
        inside = one.low < quantile.value <= one.high and not math.isinf(one.high)
        if (beyond and math.isinf(one.high)) or (inside and not beyond):
            found.append(name)
    return " ".join(found)


# Processes


@dataclass(frozen=True)
class _Process:
    """What one process contributed, and what is known of the process."""

    share: InstanceShare
    instance: Instance | None


def _processes(
    row: OperationRow, detail: OperationDetail, view: View, width: int, room: int
) -> list[Line]:
    shares = detail.instances
    if isinstance(shares, Absent):
        text = f"per process: {printable(shares.reason, view.ascii_only)}"
        parts = wrap(text, max(8, width - 2))[:room]
        return [((f" {part}", "absent"),) for part in parts]
    if detail.covered < detail.seconds:
        since = f" per process, watched for {age(detail.covered)}"
    else:
        since = f" per process, last {age(detail.covered)}"
    if not shares:
        return [((since, "muted"),), ((" none has called it since", "absent"),)]
    known = {instance.id: instance for instance in row.service.instances}
    records = [_Process(share, known.get(share.instance)) for share in shares]
    records.sort(key=lambda one: (-_busy(one.share), one.share.instance))
    columns = _process_columns(view, latency_unit([one.share.operation for one in records]), width)
    sized = fit_columns(columns, width - 1)
    glyphs = view.glyphs
    space: Span = (" ", "text")
    lines: list[Line] = [
        ((since, "muted"),),
        (space, *header_line(sized, TableState(), glyphs)),
    ]
    left = room - len(lines)
    fitting = records if len(records) <= left else records[: max(0, left - 1)]
    lines += [(space, *record_line(record, sized, glyphs)) for record in fitting]
    if len(fitting) < len(records):
        lines.append(((f"   {len(records) - len(fitting)} more processes", "muted"),))
    return lines[:room]


def _busy(share: InstanceShare) -> float:
    mean = share.operation.mean
    return 0.0 if isinstance(mean, Absent) else mean * share.operation.rate


def _process_columns(view: View, unit: str, width: int) -> tuple[Column[_Process], ...]:
    ascii_only = view.ascii_only

    def process(one: _Process) -> Span:
        instance = one.instance
        if instance is None or isinstance(instance.pid, Absent):
            return (printable(one.share.instance, ascii_only), "accent")
        return (f"pid {instance.pid}", "accent")

    def host(one: _Process) -> Span:
        return (printable(one.instance.host, ascii_only) if one.instance else "", "muted")

    def mean(one: _Process) -> Span:
        value = one.share.operation.mean
        return missing(value) if isinstance(value, Absent) else (latency(value, unit), "text")

    return (
        Column("process", "process", 11, process, None, "left", flex=True, most=28),
        Column("host", "host", max(8, min(20, width // 6)), host, None, "left", spare=1),
        Column("rate", "rate/s", 6, lambda p: (rate_short(p.share.operation.rate), "text")),
        Column("p95", f"p95 {unit}", 7,
               lambda p: quantile_text(p.share.operation.p95, unit)),
        Column("mean", f"mean {unit}", 7, mean, spare=3),
        Column("errors", "err%", 7, lambda p: errors_span(p.share.operation.error_ratio)),
        Column("count", "count", 6, lambda p: (count(p.share.operation.count), "muted"), spare=2),
    )  # fmt: skip
