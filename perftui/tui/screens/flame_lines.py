"""The words around a flame graph or call tree: what is profiled, and what is selected."""

from __future__ import annotations

from perftui.format import count, duration, percent
from perftui.profiling.flame import FlameNode
from perftui.profiling.modules import kind_of, module_name
from perftui.snapshot import NOT_LOOKED_AT, Absent, State, TopCalls
from perftui.text import cell_width, fit, printable
from perftui.tui.glyphs import Glyphs
from perftui.tui.lines import Line, Span, columns_of, width_of, wrap
from perftui.tui.widgets.flame_layout import Path
from perftui.tui.widgets.flame_marks import WORDS, cut_left, legend, place_text
from perftui.tui.widgets.flame_state import FlameState

SHORTEST_COMMAND = 6


def heading(calls: TopCalls | None, title: str, badges: Line, glyphs: Glyphs, width: int) -> Line:
    """Return what is shown of which process, how it is sampled and over which time.

    `badges` are words that stand out. What does not fit is left out, the command is cut.
    """
    line: list[Span] = [(f" {title} ", "title-focused")]
    for badge, style in badges:
        line += [(" ", "text"), (f" {badge} ", style)]
    if calls is None:
        return tuple(line)
    window = "since reset" if calls.since_reset else f"last {calls.window:.0f} s"
    parts = (
        (f"pid {calls.pid}", "text"),
        (calls.mode, "ok" if calls.mode == "exact" else "warning"),
        (window, "text"),
        (f"{calls.samples} samples", "text"),
        ("wall time" if calls.request.idle else "CPU time", "muted"),
        (printable(calls.command, glyphs.chart == "ascii"), "muted"),
    )
    separator: Span = ("  ", "text")
    for text, style in parts:
        if not text:
            continue
        room = width - width_of(line) - len(separator[0])
        if cell_width(text) > room:
            if text == parts[-1][0] and room >= SHORTEST_COMMAND:
                line += [separator, (fit(text, room, ellipsis=glyphs.ellipsis), style)]
            break
        line += [separator, (text, style)]
        separator = (f" {glyphs.separator} ", "muted")
    return tuple(line)


def second_line(
    state: FlameState, found: tuple[float, int], position: str, glyphs: Glyphs, width: int
) -> Line:
    """Return what was found, or else what the marks mean, and which rows are in view.

    `found` are the seconds and the number of the frames that match the search.
    """
    right: Line = ((f" {position} ", "muted"),) if position else ()
    left = legend(glyphs)
    if state.search:
        seconds, places = found
        whole = state.root.total
        share = percent(100 * seconds / whole if whole else 0.0).strip()
        text = printable(state.search, glyphs.chart == "ascii")
        left = (
            (f" {text} ", "flame-match"),
            (f" {share} % of the time in {places} {'frame' if places == 1 else 'frames'}",
             "text" if places else "warning"),
            ("  n N next, previous  / other  escape none", "muted"),
        )  # fmt: skip
    return columns_of((("", "text"), *left), right, width, glyphs.ellipsis)


def details(state: FlameState, glyphs: Glyphs, width: int) -> tuple[Line, Line]:
    """Return name and place of the selected frame, and its times."""
    nodes = state.selected_nodes
    ascii_only = glyphs.chart == "ascii"
    if len(nodes) <= len(state.selected):
        function = state.selected[-1][0]
        gone: Line = (
            (f" {printable(function, ascii_only)}", "own"),
            ("  not seen in this window: its place is kept", "warning"),
        )
        return gone, _times(nodes[-1], state, len(nodes) - 1, glyphs, "caller ")
    node = nodes[-1]
    place = node.place
    if place is None:
        first: Line = ((" all", "own"), ("  everything that was sampled", "muted"))
        return first, _times(node, state, 0, glyphs, "")
    spans: list[Span] = [(f" {printable(place.function, ascii_only) or '?'}", "own")]
    if not place.file:
        return tuple(spans), _times(node, state, len(nodes) - 1, glyphs, "")
    kind = WORDS[kind_of(place.file)]
    module = printable(module_name(place.file), ascii_only) if kind != "own code" else ""
    about = f"{kind} {module}".rstrip()
    taken = sum(cell_width(text) for text, _ in spans) + len(about) + 4
    where = cut_left(place_text(place, ascii_only), max(14, width - taken - 2), glyphs.ellipsis)
    spans += [(f"  {where}", "accent"), (f"  {about}", "muted")]
    return tuple(spans), _times(node, state, len(nodes) - 1, glyphs, "")


def _times(node: FlameNode, state: FlameState, depth: int, glyphs: Glyphs, of: str) -> Line:
    whole = state.root.total
    spans: list[Span] = []
    for word, seconds in (("own", node.own), ("total", node.total)):
        share = percent(100 * seconds / whole if whole else 0.0)
        spans += [
            (f" {of}{word} ", "muted"),
            (f"{duration(seconds)} {share} % ", "text"),
        ]
    spans += [
        (f" {count(node.samples).strip()}", "text"),
        (f" {'sample' if node.samples == 1 else 'samples'}", "muted"),
        (f"  depth {depth}", "muted"),
    ]
    if state.zoom:
        zoomed = _zoomed_text(state.zoom, glyphs)
        spans.append((f"  in {zoomed}", "accent"))
    return tuple(spans)


def _zoomed_text(zoom: Path, glyphs: Glyphs) -> str:
    return printable(zoom[-1][0], glyphs.chart == "ascii") or "?"


def gathering(calls: TopCalls, glyphs: Glyphs, width: int) -> list[Line]:
    """Return why there is nothing to draw though the process is profiled."""
    if isinstance(calls.stacks, Absent):
        text = "the stacks are being gathered: they are there with the next second"
    elif calls.request.idle:
        text = "no stack was sampled in this window yet"
    else:
        text = "no CPU time sampled: the process is waiting (idle threads are left out)"
    return [
        ((f" {glyphs.hollow if index == 0 else ' '} {part}", "absent"),)
        for index, part in enumerate(wrap(text, max(8, width - 4)))
    ]


def is_gathering(stacks: Absent) -> bool:
    """Whether stacks are only missing because nobody had asked for them so far."""
    return stacks.state is State.NOT_COLLECTED and stacks.reason == NOT_LOOKED_AT.reason


def keys_line(keys: tuple[tuple[str, str], ...]) -> Line:
    """Return the keys and what they do."""
    return tuple(
        span for key, label in keys for span in ((f" {key}", "key"), (f" {label} ", "key-label"))
    )
