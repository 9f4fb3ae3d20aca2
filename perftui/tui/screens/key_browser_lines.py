"""The lines around the keys: how far the search is, the selected key, what went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from perftui.cache.glob import is_literal
from perftui.cache.invalidation import InvalidationResult
from perftui.cache.key_details import GONE
from perftui.cache.typed_pattern import pattern_bytes, shown_key
from perftui.format import age, size
from perftui.snapshot import Absent, State
from perftui.text import cell_width, fit, printable
from perftui.tui.glyphs import Glyphs
from perftui.tui.key_browsing import MOST_KEYS, SearchProgress
from perftui.tui.lines import Line, Span, columns_of, wrap
from perftui.tui.panes.pane import absent_lines
from perftui.tui.view import View
from perftui.tui.widgets.key_list import LONGEST_KEY, Row

Notice: TypeAlias = Absent | tuple[str, str]
"""What is told below the list: what is missing, or a text and its style."""


@dataclass(frozen=True)
class Shown:
    """What there is to tell of the search."""

    glyphs: Glyphs
    pattern: str
    progress: SearchProgress | None
    running: bool
    cancelled: bool
    position: str
    lookups: int
    asked: int

    @property
    def ascii_only(self) -> bool:
        """Whether nothing but ASCII may be drawn."""
        return self.glyphs.chart == "ascii"


def heading(shown: Shown, address: str, allowed: bool, width: int) -> Line:
    """Return where the keys are and which ones are looked for."""
    spans: list[Span] = [(" Keys ", "title-focused"), ("  ", "text")]
    if address:
        spans.append((printable(address, shown.ascii_only), "text"))
        spans.append((f" {shown.glyphs.separator} ", "muted"))
    spans.append((printable(shown.pattern, shown.ascii_only), "accent"))
    right: Line = () if allowed else ((" read-only ", "muted"),)
    if shown.lookups and width >= 100:
        text = f" {shown.lookups:,} look-ups, taken out of the hit ratios "
        right = ((text, "muted"), *right)
    return columns_of(tuple(spans), right, width, shown.glyphs.ellipsis)


def second_line(shown: Shown, width: int) -> Line:
    """Return how far the search is."""
    progress = shown.progress
    if progress is None:
        return ()
    spans: list[Span] = [(f" {progress.found:,} found", "text")]
    if progress.done:
        of = f", all of {progress.total:,} keys passed" if progress.total > 1 else ""
        spans.append((of, "muted"))
    elif progress.scanned:
        of = f" of {progress.total:,}" if progress.total else ""
        spans.append((f", {progress.scanned:,}{of} passed", "muted"))
    if progress.full:
        spans.append((f": no more than {MOST_KEYS:,} are kept, narrow the pattern", "warning"))
    elif shown.running:
        spans.append((f", looking{shown.glyphs.ellipsis} escape stops", "accent"))
    elif shown.cancelled and not progress.done:
        spans.append((", stopped: scrolling goes on", "warning"))
    if shown.asked:
        text = f", types of {shown.asked:,} to read{shown.glyphs.ellipsis} escape stops"
        spans.append((text, "accent"))
    place: Line = ((f" {shown.position} ", "muted"),) if shown.position else ()
    return columns_of(tuple(spans), place, width, shown.glyphs.ellipsis)


def empty_lines(shown: Shown, problem: Absent | None, view: View) -> list[Line]:
    """Return what stands in the place of the keys while there are none."""
    if problem is not None:
        return [(), *absent_lines(problem, view)]
    progress = shown.progress
    if progress is None or shown.running:
        return []
    if not progress.done:
        text = "none found so far" if shown.cancelled else ""
        return [(), ((f" {text}", "absent"),)]
    pattern = printable(shown.pattern, shown.ascii_only)
    lines: list[Line] = [(), ((f" {shown.glyphs.hollow} no key matches {pattern}", "absent"),)]
    if is_literal(pattern_bytes(shown.pattern)):
        text = f"   without a wildcard it is one key: try {pattern}* or *{pattern}*"
        lines.append(((text, "muted"),))
    return lines


def facts_of(row: Row, glyphs: Glyphs) -> str:
    """Return what is known of a key besides its name."""
    ascii_only = glyphs.chart == "ascii"
    facts: list[str] = []
    detail = row.detail
    if detail is not None and detail.type == GONE:
        return "gone: it expired or was deleted meanwhile"
    if detail is not None and detail.type:
        facts.append(printable(detail.type, ascii_only))
        if row.ttl is None:
            facts.append("never expires")
        else:
            facts.append(f"expires in {age(row.ttl)}" if row.ttl > 0 else "expired")
    known = row.listed.size
    facts.append("size not known" if known is None else f"{size(known).strip()} of memory")
    facts.append(f"key of {len(row.listed.key):,} bytes")
    return f" {glyphs.separator} ".join(facts)


def sort_notice(column: str, known: int, keys: int) -> str:
    """Return how the list is sorted, and what is missing for it."""
    words = {"": "in the order of Redis", "ttl": "sorted by expiry"}
    text = words.get(column, f"sorted by {column}")
    if column in ("ttl", "type") and known < keys:
        text += f"; known of {known:,} of {keys:,} keys: t reads them of all that are loaded"
    return text


def deletion_notice(result: InvalidationResult, undo: str) -> Notice:
    """Return what became of one key that was to be deleted; `undo` is the key to press."""
    if result.error or result.denied:
        reason = result.error or "this user may not delete this key"
        fix = "" if result.error else "allow it with ACL SETUSER USER +unlink ~PATTERN"
        return Absent(State.DENIED, f"not deleted: {reason}", fix)
    style = "ok"
    if not result.deleted:
        text = "it was gone already"
    elif result.kept is not None and not result.kept.too_large:
        text = f"deleted: {undo} brings it back within ten minutes"
    else:
        reason = "; ".join(result.notes) or "it was too large to be kept"
        text, style = f"deleted, and cannot come back: {reason}", "warning"
    if result.audit_error:
        text, style = f"{text}; not in the audit stream: {result.audit_error}", "warning"
    return text, style


def detail_lines(row: Row | None, notice: Notice | None, view: View) -> list[Line]:
    """Return the selected key and below it what there is to say."""
    lines: list[Line] = []
    if row is not None:
        room = max(8, view.width - 2)
        text = printable(shown_key(row.listed.key[: max(LONGEST_KEY, room)]), view.ascii_only)
        if cell_width(text) > room:
            text = fit(text, room, ellipsis=view.glyphs.ellipsis)
        lines += [((f" {text}", "accent"),), ((f" {facts_of(row, view.glyphs)}", "muted"),)]
    if isinstance(notice, Absent):
        lines += absent_lines(notice, view)
    elif notice is not None:
        text, style = notice
        text = printable(text, view.ascii_only)
        lines += [((f" {part}", style),) for part in wrap(text, max(8, view.width - 2))]
    if len(lines) > view.height > 0:
        # What went wrong is worth more than what was known before.
        lines = [*lines[:1], *lines[2:]]
    return lines


def keys_line(keys: Mapping[str, str], some: bool, allowed: bool, shown: Shown, width: int) -> Line:
    """Return the keys that do something now, as many as there is room for."""
    enter, slash, sort = keys["pane.zoom"], keys["row.filter"], keys["row.sort"]
    leave = (keys["app.back"], "stop" if shown.running or shown.asked else "close")
    if not some:
        chosen = [(slash, "pattern"), ("r", "again")]
    else:
        chosen = [(enter, "value"), (slash, "pattern")]
        more = shown.progress is not None and not (shown.progress.done or shown.progress.full)
        chosen += [("a", "all")] if more else []
        if allowed:
            chosen += [("x", "delete"), (keys["cache.invalidate"], "invalidate")]
    if allowed:
        chosen.append((keys["cache.undo"], "undo"))
    spare = [(sort, "sort"), ("r", "again"), (keys["row.copy"], "copy"), ("t", "types of all")]
    spare = spare if some else []
    taken = sum(len(key) + len(label) + 3 for key, label in (*chosen, leave))
    for key, label in spare:
        taken += len(key) + len(label) + 3
        if taken <= width:
            chosen.append((key, label))
    return tuple(
        span
        for key, label in (*chosen, leave)
        for span in ((f" {key}", "key"), (f" {label} ", "key-label"))
    )
