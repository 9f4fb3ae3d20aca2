"""Which prefixes have the most keys and take the most memory, as they were sampled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perftui.format import age, count, duration, percent, size, size_short
from perftui.snapshot import Snapshot
from perftui.text import printable
from perftui.tui.charts import bar
from perftui.tui.lines import Line, Span, wrap
from perftui.tui.panes.flowing import flowing
from perftui.tui.table import Column, Table
from perftui.tui.view import View

if TYPE_CHECKING:
    from perftui.cache.prefix_tally import Prefix
    from perftui.cache.prefixes import PrefixSamples

MOST_PARTS = 4
GAUGE = 30


def prefix_table(view: View) -> Table[Any]:
    """Return the prefixes that were sampled last, the biggest first."""
    look = view.cache.prefixes
    samples = look.samples
    records = [one for one in samples.prefixes if one.depth == 1] if samples is not None else []
    if samples is not None:
        text = "no key was seen"
    elif look.progress is not None:
        text = "the first sample is under way"
    else:
        text = f"{view.cache.sample_key} samples up to 50,000 keys: SCAN and MEMORY USAGE, paced"
    return Table(
        columns=_columns(samples, view) if samples is not None else (),
        records=records,
        key=lambda prefix: prefix.pattern,
        text=lambda prefix: typed(prefix.pattern),
        empty=(((f" {view.glyphs.hollow} {text}", "absent"),),),
    )


def typed(pattern: bytes) -> str:
    """Return a key or a pattern as text that can be typed again, not yet safe for a terminal."""
    return pattern.decode("utf-8", "backslashreplace")


def prefix_lines(snapshot: Snapshot, view: View) -> list[Line]:
    """Return how far a sampling is, how old the last one is, and the parts of the selected one."""
    look = view.cache.prefixes
    lines: list[Line] = []
    if look.progress is not None:
        lines.append(_progress(look.progress, view))
    if look.problem:
        text = printable(look.problem, view.ascii_only)
        room = max(8, view.width - 4)
        mark = f" {view.glyphs.cross} "
        lines += [
            ((mark if n == 0 else "   ", "critical"), (part, "critical"))
            for n, part in enumerate(wrap(text, room))
        ]
    samples = look.samples
    if samples is None:
        return lines
    lines += _summary(samples, snapshot.monotonic - look.ended, view)
    if samples.error:
        text = f"stopped early: {printable(samples.error, view.ascii_only)}"
        lines += [((f" {part}", "warning"),) for part in wrap(text, max(8, view.width - 2))]
    selected = view.selected
    parts = [] if selected is None else [*samples.parts(selected)]
    if parts:
        parts.sort(key=lambda part: (-(part.size or 0), -part.keys))
        lines.append(((" of which", "muted"), *_part(parts[0], view)))
        lines += [((" " * 9, "text"), *_part(part, view)) for part in parts[1:MOST_PARTS]]
    return lines


def _progress(progress: tuple[int, int], view: View) -> Line:
    seen, wanted = progress
    share = 100 * seen / wanted if wanted else 0.0
    return (
        (" sampling ", "accent"),
        *bar(min(100.0, share), min(GAUGE, max(4, view.width - 50)), view.glyphs, "bar"),
        (f" {seen:,} of {wanted:,} keys", "text") if wanted else (" asking for its size", "text"),
        (f"  {view.cache.sample_key} cancels", "muted"),
    )


def _summary(samples: PrefixSamples, old: float, view: View) -> list[Line]:
    noun = "key" if samples.keys == 1 else "keys"
    how = "all" if samples.complete else f"{samples.sampled:,} of"
    parts: list[tuple[Span, ...]] = [
        ((f"sampled {age(old)} ago", "title"),),
        ((f"{how} {samples.keys:,} {noun}", "text"),),
    ]
    if samples.cancelled:
        parts.append((("cancelled", "warning"),))
    if samples.size is not None:
        about = "" if samples.complete else "about "
        parts.append(((f"{about}{size(samples.size).strip()} in all", "text"),))
    elif samples.size_problem:
        problem = printable(samples.size_problem, view.ascii_only)
        parts.append(((f"no sizes: {problem}", "warning"),))
    if samples.merged:
        parts.append(((f"{samples.merged:,} keys under rare prefixes", "muted"),))
    if samples.p99 is not None:
        others = f"others waited {duration(samples.p99).strip()} (p99)"
        parts.append(((others, "muted"),))
    return flowing(parts, view)


def _part(part: Prefix, view: View) -> Line:
    text = printable(typed(part.pattern), view.ascii_only)
    taken = "" if part.size is None else f", {size(part.size).strip()}"
    return ((f" {text}", "accent"), (f"  {part.keys:,} keys{taken}", "text"))


def _columns(samples: PrefixSamples, view: View) -> tuple[Column[Prefix], ...]:
    ascii_only = view.ascii_only
    keys, whole = samples.keys, samples.size

    def share(part: int | None, of: int | None) -> Span:
        if part is None or not of:
            return ("-", "absent")
        return (percent(100 * part / of), "muted")

    def sized(value: int | float | None) -> Span:
        return ("-", "absent") if value is None else (size_short(value), "text")

    def mean(prefix: Prefix) -> float | None:
        return None if prefix.size is None or not prefix.keys else prefix.size / prefix.keys

    def off(prefix: Prefix) -> Span:
        """The greater distance to an end of the range of keys, in percent of them."""
        if samples.complete or not prefix.keys:
            return ("exact", "muted")
        most = max(prefix.keys_high - prefix.keys, prefix.keys - prefix.keys_low)
        return (f"{100 * most / prefix.keys:.0f} %", "muted")

    return (
        Column("prefix", "prefix", 16,
               lambda p: (printable(typed(p.pattern), ascii_only), "accent"),
               lambda p: p.pattern, "left", flex=True, most=60, descending=False),
        Column("keys", "keys", 6, lambda p: (count(p.keys), "text"), lambda p: p.keys),
        Column("keys_share", "% keys", 6, lambda p: share(p.keys, keys), lambda p: p.keys, spare=2),
        Column("off", "+-", 6, off, None, spare=4),
        Column("bytes", "bytes", 6, lambda p: sized(p.size), lambda p: (p.size or 0, p.keys)),
        Column("bytes_share", "% bytes", 7, lambda p: share(p.size, whole), lambda p: p.size or 0,
               spare=1),
        Column("mean", "a key", 6, lambda p: sized(mean(p)), lambda p: mean(p) or 0.0, spare=3),
        Column("largest", "largest", 7, lambda p: sized(p.largest_size),
               lambda p: p.largest_size or 0, spare=5),
        Column("largest_key", "its key", 16,
               lambda p: (printable(typed(p.largest), ascii_only), "muted"), None, "left",
               flex=True, most=40, spare=6),
    )  # fmt: skip
