"""What the dialog that deletes keys shows of its stages, as lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perftui import format as show
from perftui.cache.typed_pattern import shown_key
from perftui.text import printable
from perftui.tui.charts import bar
from perftui.tui.glyphs import Glyphs
from perftui.tui.lines import Line, Span
from perftui.tui.screens.form_screen import wrapped

if TYPE_CHECKING:
    from perftui.cache.invalidation import Estimate, InvalidationResult
    from perftui.cache.undo import UndoResult
    from perftui.tui.invalidation_jobs import Counted, Outcome, Preparation, ProgressSlot
    from perftui.tui.run_slot import RunSlot

QUIET = 1.5
"""Seconds without a word of Redis after which the silence itself is worth a line."""
LONGEST_BAR = 60
MINUTES = "10 minutes"
"""How long a deletion can be undone."""


@dataclass(frozen=True)
class Room:
    """Where lines are drawn: cells and rows, and with which characters."""

    width: int
    height: int
    glyphs: Glyphs

    def text(self, said: str) -> str:
        """Return text from outside as it may be drawn."""
        return printable(said, self.glyphs.chart == "ascii")

    def key(self, key: bytes) -> str:
        """Return a key as it may be drawn."""
        return self.text(shown_key(key))

    def pattern(self, pattern: bytes) -> str:
        """Return a pattern as it may be drawn, and typed again."""
        return self.text(pattern.decode("utf-8", "backslashreplace"))

    def sentence(self, said: str, style: str) -> list[Line]:
        """Return a sentence, text from outside included, in as many lines as it takes."""
        return wrapped(self.text(said), self.width, style)

    def gauge(self, done: float, total: float) -> Line:
        """Return a bar for a part of a whole, empty where the whole is not known."""
        share = min(100.0, 100.0 * done / total) if total else None
        return bar(share, min(LONGEST_BAR, self.width), self.glyphs, "bar")


def keys(count: int) -> str:
    """Return a number of keys in words."""
    return "1 key" if count == 1 else f"{count:,} keys"


def times(count: int) -> str:
    """Return how often something was, in words."""
    return {1: "once", 2: "twice"}.get(count, f"{count:,} times")


def found_line(found: Estimate) -> Line:
    """Return how many keys match, of how many."""
    seen = f" ({found.scanned:,} looked at in {show.duration(found.seconds).strip()})"
    verb = "matches" if found.matched == 1 and found.exact else "match"
    return (
        ("" if found.exact else "about ", "text"),
        (f"{found.matched:,}", "warning" if found.matched else "ok"),
        (f" of {keys(found.dbsize)} {verb}", "text"),
        (seen, "muted"),
    )


def protected_lines(count: int) -> list[Line]:
    """Return how many keys are not touched whatever matches."""
    if not count:
        return []
    verb = "matches and stays" if count == 1 else "match and stay"
    return [((f"{keys(count)} of perftui itself {verb}", "muted"),)]


def sample_lines(samples: Sequence[bytes], count: int, rows: int, room: Room) -> list[Line]:
    """Return some of the keys in at most `rows` lines, and how many more there are."""
    if rows < 2 or not samples:
        return []
    shown = samples if len(samples) == count <= rows else samples[: rows - 1]
    lines: list[Line] = [(("  ", "text"), (room.key(key), "accent")) for key in shown]
    if count > len(shown):
        lines.append(((f"  and {count - len(shown):,} more", "muted"),))
    return lines


def silence_lines(silence: float) -> list[Line]:
    """Return for how long Redis has said nothing, once that is long."""
    if silence < QUIET:
        return []
    return [((f"Redis has not answered for {show.age(silence)}", "warning"),)]


def pattern_lines(
    pattern: str, found: Estimate | None, waiting: float, problem: str, room: Room
) -> list[Line]:
    """Return what is known of a pattern while it is typed; `waiting` for Redis in seconds."""
    if problem:
        hint = "enter asks again, escape leaves without a change" if pattern else ""
        return [*room.sentence(problem, "critical"), *wrapped(hint, room.width, "muted")]
    if not pattern:
        return wrapped("escape leaves without a change", room.width, "muted")
    if found is None:
        return [(("estimating", "muted"),), *silence_lines(waiting)]
    hint = "goes on" if found.exact else "counts exactly and goes on"
    ending = wrapped(f"enter {hint}, tab changes field, escape leaves", room.width, "muted")
    head = [found_line(found), *protected_lines(found.protected), ()]
    rows = room.height - len(head) - len(ending)
    return [*head, *sample_lines(found.samples, found.matched, rows, room), *ending]


def counting_lines(pattern: str, exact: bool, latest: RunSlot[Counted], room: Room) -> list[Line]:
    """Return how far the exact count is; nothing is counted when the estimate is `exact`."""
    counted = latest.newest
    lines: list[Line] = [(("pattern ", "muted"), (room.text(pattern), "accent"))]
    if not exact:
        scanned, total = (counted.scanned, counted.total) if counted else (0, 0)
        matched = counted.matched if counted else 0
        lines += [
            room.gauge(scanned, total),
            (
                (f"{matched:,}", "warning"),
                (" match so far", "text"),
                (f", {scanned:,} of about {keys(total)} looked at", "muted"),
            ),
        ]
    lines += silence_lines(latest.silence)
    hint = "escape goes back" if exact else "enter goes on without the count, escape goes back"
    return [*lines, (), *wrapped(hint, room.width, "muted")]


def undo_lines(not_undone: str, keep: bool, room: Room) -> list[Line]:
    """Return what an undo will be able to do, before anything is deleted."""
    if not keep:
        return wrapped("Undo: not wanted; the keys cannot be brought back", room.width, "warning")
    if not_undone:
        return room.sentence(f"Undo: not possible, or not for all: {not_undone}", "warning")
    return wrapped(
        f"Undo: all of them can be put back for {MINUTES}, unless written anew", room.width, "ok"
    )


def confirm_lines(
    pattern: str, known: Preparation, keep: bool, who: str, problem: str, room: Room
) -> list[Line]:
    """Return what would happen, for the moment before it does."""
    if known.found.exact:
        found = [found_line(known.found)]
    else:
        found = [found_line(known.found), (("not counted exactly", "warning"),)]
    head: list[Line] = [
        (("pattern ", "muted"), (room.text(pattern), "accent")),
        *found,
        *protected_lines(known.found.protected),
        *undo_lines(known.not_undone, keep, room),
        *wrapped(
            "The memory tiers of all services are told first. What was deleted is loaded again "
            "from its source when it is wanted.",
            room.width,
            "text",
        ),
        *room.sentence(f"Written to the stream perftui:audit as done by {who}.", "muted"),
    ]
    ending = [
        *(room.sentence(problem, "critical") if problem else []),
        *wrapped("tab next field, left right choose, escape goes back", room.width, "muted"),
    ]
    rows = room.height - len(head) - len(ending) - 1
    samples = sample_lines(known.found.samples, known.found.matched, rows, room)
    return [*head, (), *samples, *ending]


def running_lines(latest: ProgressSlot, gentle: bool, cancelled: bool, room: Room) -> list[Line]:
    """Return how far a deletion is, how fast, and what others feel of it."""
    progress = latest.newest
    silence = silence_lines(latest.silence)
    if progress is None:
        return [(("starting: the memory tiers of services are told first", "muted"),), *silence]
    deleting, looking = latest.speeds
    left = (progress.total - progress.scanned) / looking if looking > 0 else 0.0
    to_go = "" if cancelled or silence or left < 1 else f", about {show.age(left)} to go"
    pace = "gentle: rests as long as it works" if gentle else "normal"
    lines: list[Line] = [
        room.gauge(progress.scanned, progress.total),
        (
            (f"{progress.deleted:,}", "warning"),
            (" deleted", "text"),
            (f", {progress.scanned:,} of about {keys(progress.total)} looked at", "muted"),
        ),
        # The speed of before would be a lie about a server that answers nothing.
        ((f"{'-' if silence else f'{deleting:,.0f}'} keys/s{to_go}", "text"),),
        ((f"pace {pace}, {progress.page:,} keys at a time", "muted"),),
        _waits(progress.p99, progress.slowed),
    ]
    if progress.denied:
        lines.append(((f"{keys(progress.denied)} denied by the ACL of this user", "warning"),))
    return [*lines, *silence]


def _waits(p99: float | None, slowed: int, verb: str = "wait") -> Line:
    if p99 is None:
        return (("other clients: not measured yet", "muted"),)
    spans: list[Span] = [
        (f"other clients {verb} ", "muted"),
        (f"{p99 * 1000:.1f} ms", "warning" if slowed else "text"),
        (" for a PING (p99)", "muted"),
    ]
    if slowed:
        spans.append((f", went slower {times(slowed)}", "warning"))
    return tuple(spans)


def done_lines(
    outcome: Outcome, undone: UndoResult | None, keep: bool, until: str, who: str, room: Room
) -> list[Line]:
    """Return what a deletion did, and what can still be done about it; `until` is a moment."""
    result = outcome.result
    lines = [_verdict(result)]
    lines += room.sentence(result.error, "critical") if result.error else []
    lines += _kept_back(result)
    lines += [*_memory_tiers(result, room), *_undo_possible(result, undone, keep, until, room)]
    if result.p99 is not None:
        lines.append(_waits(result.p99, result.slowed, "waited"))
    for note in result.notes:
        # These two are said in lines of their own.
        if not note.startswith(("not to be undone", "went slower")):
            lines += room.sentence(note, "warning")
    if result.audit_error:
        lines += room.sentence(result.audit_error, "critical")
    elif result.matched or not result.error:
        lines += room.sentence(f"Written to the stream perftui:audit as done by {who}.", "muted")
    return lines


def _verdict(result: InvalidationResult) -> Line:
    if result.cancelled:
        word, style = "cancelled", "warning"
    elif result.complete:
        word, style = "complete", "ok"
    else:
        word, style = "stopped early", "critical"
    speed = result.deleted / result.seconds if result.seconds > 0 else 0.0
    return (
        (word, style),
        (f": {keys(result.deleted)} deleted in {show.duration(result.seconds).strip()}", "text"),
        (f", {speed:,.0f}/s" if result.deleted > 1 else "", "muted"),
    )


def _kept_back(result: InvalidationResult) -> list[Line]:
    lines: list[Line] = []
    if result.denied:
        lines.append(((f"{keys(result.denied)} denied by the ACL of this user", "warning"),))
    if result.unanswered:
        text = f"{keys(result.unanswered)} sent for deletion and never answered for"
        lines.append(((text, "warning"),))
    return [*lines, *protected_lines(result.protected)]


def _memory_tiers(result: InvalidationResult, room: Room) -> list[Line]:
    if result.told:
        tiers = "1 memory tier" if result.told == 1 else f"{result.told:,} memory tiers"
        return wrapped(f"{tiers} of services dropped them at once", room.width, "text")
    if result.matched:
        return wrapped("no memory tier of a service was listening", room.width, "muted")
    return []


def _undo_possible(
    result: InvalidationResult, undone: UndoResult | None, keep: bool, until: str, room: Room
) -> list[Line]:
    if undone is not None and undone.complete:
        return [((f"Undone: {keys(undone.restored)} put back", "ok"),)]
    if not result.deleted:
        return []
    kept = result.kept
    if kept is None:
        reasons = [note for note in result.notes if note.startswith("not to be undone")]
        why = reasons[0].partition(": ")[2] if reasons else ("" if keep else "it was not wanted")
        text = f"Undo: not possible: {why}" if why else "Undo: not possible"
        return room.sentence(text, "warning")
    lines = wrapped(f"Undo: {keys(kept.keys)} can be put back until {until}", room.width, "ok")
    for count, what in (
        (kept.not_kept, "beyond the limits of an undo (100,000 keys, 64 MB): gone"),
        (kept.too_large, "larger than 1 MB: gone"),
    ):
        if count:
            lines += wrapped(f"{keys(count)} {what}", room.width, "warning")
    return lines
