"""One function of the profile in detail: who calls it, whom it calls, and its hot lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from perftui.format import measure, percent
from perftui.profiling.neighbours import Edge, neighbours
from perftui.snapshot import NOT_LOOKED_AT, NOT_STARTED, Absent, Call, TopCalls
from perftui.text import printable
from perftui.tui.lines import Line, Span, fit_line, wrap
from perftui.tui.panes.top_calls_columns import file_line
from perftui.tui.profile_view import SourceText
from perftui.tui.view import View

BESIDE = 76
"""Width from which on callers and callees stand side by side."""
GAP = 2
MOST_EDGES = 6
LEAST_SOURCE = 5
"""Lines of source below which they tell nothing."""
MOST_SOURCE = 21


def call_lines(call: Call, calls: TopCalls, view: View, room: int) -> list[Line]:
    """Return what is known of a row in at most `room` lines, most important first."""
    if room < 2:
        return []
    lines = [_title(call, view)]
    if isinstance(calls.stacks, Absent):
        return [*lines, _without_stacks(calls.stacks, view)][:room]
    by = view.profile.by
    if by in ("function", "line"):
        most = MOST_EDGES if room >= 18 else max(1, min(3, room // 4))
        lines += _neighbours(call, calls, view, most)
        left = room - len(lines)
        if left >= LEAST_SOURCE:
            lines += _source(call, calls, view, min(left, MOST_SOURCE))
    return lines[:room]


def line_seconds(calls: TopCalls, file: str) -> Mapping[int, tuple[float, float]]:
    """Return own and total seconds of each line of a file; recursion counts once a stack."""
    if isinstance(calls.stacks, Absent):
        return {}
    places = calls.stacks.places
    here = {number: place.line for number, place in enumerate(places) if place.file == file}
    spent: dict[int, tuple[float, float]] = {}
    for stack in calls.stacks.stacks:
        if here.keys().isdisjoint(stack.places):
            continue
        leaf = here.get(stack.places[-1]) if stack.places else None
        for line in {here[place] for place in stack.places if place in here}:
            own, total = spent.get(line, (0.0, 0.0))
            spent[line] = (
                own + (stack.seconds if line == leaf else 0.0),
                total + stack.seconds,
            )
    return spent


def _without_stacks(stacks: Absent, view: View) -> Line:
    if stacks == NOT_LOOKED_AT:
        return ((" callers, callees and lines are gathered from now on: a second", "absent"),)
    return (
        (f" no callers, callees and lines: {printable(stacks.reason, view.ascii_only)}", "absent"),
    )


def _title(call: Call, view: View) -> Line:
    ascii_only = view.ascii_only
    name = printable(call.function, ascii_only)
    where = file_line(call.file, call.line, max(12, view.width - len(name) - 34), ascii_only)
    spans: list[Span] = [(f" {name}", "title"), (f"  {where}", "muted")]
    spans.append((f"  own {percent(call.own_percent).strip()} %", "text"))
    spans.append((f" {measure(call.own, 'seconds')}", "muted"))
    spans.append((f", total {percent(call.total_percent).strip()} %", "text"))
    spans.append((f" {measure(call.total, 'seconds')}", "muted"))
    return tuple(spans)


def _neighbours(call: Call, calls: TopCalls, view: View, most: int) -> list[Line]:
    found = neighbours(calls, call.function, call.file)
    if view.width < BESIDE:
        return [
            *_edges("called by", found.callers, view, view.width, most),
            *_edges("calls", found.callees, view, view.width, most),
        ]
    half = (view.width - GAP) // 2
    left = _edges("called by", found.callers, view, half, most)
    right = _edges("calls", found.callees, view, view.width - GAP - half, most)
    height = max(len(left), len(right))
    left += [()] * (height - len(left))
    right += [()] * (height - len(right))
    ellipsis = view.glyphs.ellipsis
    return [
        (*fit_line(a, half, ellipsis), (" " * GAP, "text"), *b)
        for a, b in zip(left, right, strict=True)
    ]


def _edges(label: str, edges: Sequence[Edge], view: View, width: int, most: int) -> list[Line]:
    if not edges:
        none = "nobody: the outermost function" if label == "called by" else "nothing: all is own"
        return [((f" {label:<10}", "muted"), (none, "absent"))]
    lines: list[Line] = []
    for index, edge in enumerate(edges[:most]):
        name = printable(edge.function, view.ascii_only)
        room = max(8, width - 20 - len(name))
        lines.append(
            (
                (f" {label if index == 0 else '':<10}", "muted"),
                (f"{percent(edge.percent):>6} % ", "text"),
                (name, "accent"),
                (f" {file_line(edge.file, edge.line, room, view.ascii_only)}", "muted"),
            )
        )
    if len(edges) > most:
        lines.append(((f" {'':<10}", "muted"), (f"{len(edges) - most} more", "muted")))
    return lines


def _source(call: Call, calls: TopCalls, view: View, room: int) -> list[Line]:
    source = view.profile.source
    if source is None or source.file != call.file or source.pid != calls.pid:
        return []
    if isinstance(source.lines, Absent):
        return _no_source(source, view)
    if call.line < 1 or call.line > len(source.lines):
        text = f"line {call.line} is not in the file: it has changed since it was loaded"
        return [((f" {text}", "warning"),)]
    spent = line_seconds(calls, call.file)
    whole = calls.seconds or sum(own for own, _ in spent.values())
    first = max(1, min(call.line - room // 2, len(source.lines) - room + 1))
    lines: list[Line] = []
    for number in range(first, min(len(source.lines), first + room - 1) + 1):
        _, total = spent.get(number, (0.0, 0.0))
        share = f"{percent(100 * total / whole):>6} %" if total and whole else " " * 8
        hot = number == call.line
        text = printable(source.lines[number - 1].expandtabs(4), view.ascii_only)
        mark = view.glyphs.pointer if hot else " "
        lines.append(
            (
                (f" {share} ", "warning" if total else "muted"),
                (f"{number:>5} {mark} ", "accent" if hot else "muted"),
                (text, "title" if hot else "text"),
            )
        )
    return lines


def _no_source(source: SourceText, view: View) -> list[Line]:
    lines = source.lines
    if not isinstance(lines, Absent) or lines == NOT_STARTED:
        return []
    text = f"source: {lines.reason}"
    if lines.fix:
        text = f"{text}; {lines.fix}"
    room = max(8, view.width - 2)
    parts = wrap(printable(text, view.ascii_only), room)
    return [((f" {part}", "absent"),) for part in parts]
