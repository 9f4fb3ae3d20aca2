"""How the memory tiers keep up with Redis, in a word, a shape and a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from perftui.format import duration, since
from perftui.snapshot import Absent, CacheCoherence, Maybe, State
from perftui.text import printable
from perftui.tui.lines import Line, Span, wrap
from perftui.tui.panes.cache_rows import CacheGroup
from perftui.tui.panes.flowing import flowing
from perftui.tui.view import View

_RANKS = {"lost": 0, "syncing": 1, "off": 2, "live": 5}
_UNKNOWN, _ABSENT = 3, 4
LIVE = 5


def rank(coherence: Maybe[CacheCoherence]) -> int:
    """Return how bad a state is: 0 is the worst, `LIVE` the best."""
    return _ABSENT if isinstance(coherence, Absent) else _RANKS.get(coherence.state, _UNKNOWN)


@dataclass(frozen=True)
class CoherenceSummary:
    """The worst of all live processes that tell, the greatest lag, and how many are alike.

    `worst` is absent where no process tells; `silent` processes do not tell.
    """

    worst: Maybe[CacheCoherence]
    lag: float | None
    alike: int
    processes: int
    silent: int


def summarise(groups: Iterable[CacheGroup]) -> CoherenceSummary | None:
    """Return how all memory tiers keep up, None where no service tells of a cache."""
    found: dict[tuple[str, str, str], Maybe[CacheCoherence]] = {}
    alone: dict[tuple[str, str], list[Maybe[CacheCoherence]]] = {}
    for group in groups:
        service = (group.service.origin, group.service.name)
        alone.setdefault(service, []).append(group.namespace.coherence)
        for process in group.namespace.processes:
            key = (*service, process.instance)
            if process.state is State.OK and (
                key not in found or rank(process.coherence) < rank(found[key])
            ):
                found[key] = process.coherence
    for service in alone.keys() - {key[:2] for key in found}:
        found[(*service, "")] = min(alone[service], key=rank)
    if not found:
        return None
    told = [each for each in found.values() if not isinstance(each, Absent)]
    worst = min(found.values(), key=rank) if not told else min(told, key=rank)
    alike = sum(rank(each) == rank(worst) for each in told)
    lags = [each.lag for each in told if not isinstance(each.lag, Absent)]
    return CoherenceSummary(
        worst, max(lags, default=None), alike, len(found), len(found) - len(told)
    )


def is_alone(coherence: Maybe[CacheCoherence]) -> bool:
    """Whether it is off as somebody wanted it, so that there is nothing to put right."""
    return not isinstance(coherence, Absent) and coherence.state == "off" and not coherence.fix


def state_span(coherence: Maybe[CacheCoherence], view: View, label: str = "") -> Span:
    """Return the state as shape, word and colour; LIVE, as it should be, has no shape."""
    glyphs = view.glyphs
    if isinstance(coherence, Absent):
        return (f"{label}-", "absent")
    word = printable(coherence.state.upper(), view.ascii_only)
    if coherence.state == "live":
        return (f"{label}{word}", "ok")
    if coherence.state == "off":
        return (f"{glyphs.hollow} {label}{word}", "muted" if is_alone(coherence) else "warning")
    if coherence.state == "lost":
        return (f"{glyphs.cross} {label}{word}", "critical")
    shape = glyphs.half if coherence.state == "syncing" else glyphs.warning
    return (f"{shape} {label}{word}", "warning")


def heading_part(summary: CoherenceSummary, view: View) -> tuple[Span, ...]:
    """Return the worst state: `coherence LIVE 0.4 ms`, or `coherence LOST in 1 of 8`."""
    worst = summary.worst
    text, style = state_span(worst, view, "coherence ")
    if not isinstance(worst, Absent) and worst.state == "live":
        lag = "" if summary.lag is None else f" {duration(summary.lag).strip()}"
        spans: list[Span] = [("coherence ", "muted"), ("LIVE", style), (lag, "text")]
        if summary.silent:
            spans.append((f", {summary.silent} unknown", "warning"))
        return tuple(spans)
    if isinstance(worst, Absent) or summary.alike == summary.processes:
        return ((text, style),)
    return ((f"{text} in {summary.alike} of {summary.processes}", style),)


def coherence_lines(coherence: Maybe[CacheCoherence], view: View, now: float) -> list[Line]:
    """Return state, lag, bound and since when; below them reason and fix. `now` is Unix time."""
    label = "coherence "
    if isinstance(coherence, Absent):
        text = printable(coherence.reason, view.ascii_only)
        if coherence.fix:
            text = f"{text}: {printable(coherence.fix, view.ascii_only)}"
        return [
            (((f" {label}- " if n == 0 else "   "), "absent"), (part, "absent"))
            for n, part in enumerate(wrap(text, max(8, view.width - 4 - len(label))))
        ]
    state = state_span(coherence, view)
    parts: list[tuple[Span, ...]] = [((label, "muted"), state)]
    if not isinstance(coherence.lag, Absent):
        parts.append((("lag ", "muted"), (duration(coherence.lag).strip(), "text")))
    if not isinstance(coherence.bound, Absent):
        parts.append((_bound(coherence, coherence.bound),))
    if not isinstance(coherence.since, Absent) and coherence.since > 0:
        parts.append(((since(coherence.since, now), "muted"),))
    if not isinstance(coherence.lost, Absent) and coherence.lost:
        times = "once" if coherence.lost == 1 else f"{coherence.lost:,} times"
        parts.append(((f"lost {times}", "warning"),))
    lines = flowing(parts, view)
    if coherence.state != "live" and coherence.reason:
        style = "muted" if is_alone(coherence) else state[1]
        reason = printable(coherence.reason, view.ascii_only)
        lines += [((f"   {part}", style),) for part in wrap(reason, max(8, view.width - 4))]
    if coherence.state != "live" and coherence.fix:
        fix_parts = wrap(printable(coherence.fix, view.ascii_only), max(8, view.width - 9))
        lines += [
            (("   fix: " if n == 0 else "        ", "muted"), (part, "accent"))
            for n, part in enumerate(fix_parts)
        ]
    return lines


def _bound(coherence: CacheCoherence, bound: float) -> Span:
    if coherence.state in ("lost", "syncing") and bound <= 0:
        return ("memory is not read meanwhile", "text")
    return (f"values at most {duration(bound).strip()} old", "text")


def tiers_word(groups: Sequence[CacheGroup]) -> str:
    """Return which tiers there are, such as `memory+redis`."""
    names = {tier.tier for group in groups for tier in group.namespace.tiers}
    return "+".join(name for name in ("memory", "redis") if name in names)
