"""What a page of metrics says about operations: counts by label set, not yet by operation."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from perftui.sources.metric_mapping import MetricMapping
from perftui.sources.scrape.lines import LineFilter
from perftui.sources.scrape.parse import PageParser

MOST_NOTES = 6
LONGEST_NAME = 200
"""Characters of a name that are kept."""

COUNT, SUM = "count", "sum"
START = "process_start_time_seconds"
CPU_SECONDS = "process_cpu_seconds_total"
CPU_PERCENT = "cpu_usage_percent"
RESIDENT = "process_resident_memory_bytes"
MEMORY = "memory_usage_bytes"
RESOURCES = (START, CPU_SECONDS, CPU_PERCENT, RESIDENT, MEMORY)
TARGET_INFO = "target_info"
"""Where OpenTelemetry writes the name of the service; read from its label, its value is 1."""

Labels: TypeAlias = tuple[tuple[str, str], ...]


@dataclasses.dataclass(eq=False, slots=True)
class Timed:
    """One label set of a histogram or summary; `operation` and `service` may be empty."""

    mapping: MetricMapping
    labels: Labels
    operation: str
    service: str
    status: str | None
    # The text of the bounds as they stood on the page last time, and what they are.
    places: tuple[str, ...] = ()
    bounds: tuple[float, ...] | None = None

    def __str__(self) -> str:
        return _shown(self.mapping.metric, self.labels)


@dataclasses.dataclass(eq=False, slots=True)
class Counted:
    """One label set of a counter that tells how calls ended."""

    name: str
    labels: Labels
    service: str
    status: str | None

    def __str__(self) -> str:
        return _shown(self.name, self.labels)


@dataclasses.dataclass(eq=False, slots=True)
class Resource:
    """One series about the process itself."""

    name: str
    pid: str
    service: str


Place: TypeAlias = tuple[Timed, str] | Counted | Resource
"""Where a value belongs: a part of a histogram by `le`, `COUNT` or `SUM`, or something whole."""


class Timing(NamedTuple):
    """What one label set of a histogram has counted; `buckets` are not cumulative, +Inf last.

    Without buckets, as in a summary, `bounds` is empty and `buckets` has the count alone.
    """

    calls: float
    seconds: float
    bounds: tuple[float, ...]
    buckets: tuple[float, ...]


class Page(NamedTuple):
    """One page: counts by label set, values about the process, and what had to be left out.

    `resources` are by name and by the label `pid`, which is empty where there is none. `timed` is
    false when no metric that is known times operations, true also before the first call.
    """

    timings: dict[Timed, Timing]
    counted: dict[Counted, float]
    left_out: frozenset[Timed | Counted]
    resources: dict[str, dict[str, float]]
    service: str
    series: int
    timed: bool
    notes: tuple[str, ...]


class PageReader:
    """Reads one page again and again; label sets are the same objects each time."""

    def __init__(self, mappings: Sequence[MetricMapping]) -> None:
        self._parts: dict[str, tuple[MetricMapping, str]] = {}
        self._counters: dict[str, MetricMapping] = {}
        for mapping in mappings:
            for suffix in ("bucket", COUNT, SUM):
                self._parts[f"{mapping.metric}_{suffix}"] = (mapping, suffix)
            for name in counters(mapping):
                self._counters.setdefault(name, mapping)
        self._families = {mapping.metric for mapping in mappings}
        names = (*self._parts, *self._counters, *RESOURCES, TARGET_INFO)
        # OpenMetrics names families of counters and infos without their suffixes.
        families = {
            *self._families,
            *RESOURCES,
            *self._counters,
            *[name.removesuffix("_total") for name in (*self._counters, CPU_SECONDS)],
            "target",
        }
        self._parser: PageParser[Place] = PageParser(LineFilter(names, families), self._place)
        self._created = [f"{mapping.metric}_created" for mapping in mappings]
        self._timed: dict[tuple[str, Labels], Timed] = {}
        self._counted: dict[tuple[str, Labels], Counted] = {}

    def read(self, body: bytes, content_type: str) -> Page:
        """Return what a page says; raises ValueError, with a clause, for one that is unreadable."""
        parsed = self._parser.parse(body, content_type)
        notes = _Notes()
        refused = self._wrong_types(parsed.types, notes)
        parts: dict[Timed, dict[str, float]] = {}
        counted: dict[Counted, float] = {}
        resources: dict[str, dict[str, float]] = {}
        left_out: set[Timed | Counted] = set()
        service = ""
        for place, value in parsed.values:
            if isinstance(place, tuple):
                timed, part = place
                mine = parts.setdefault(timed, {})
                if part in mine and timed not in left_out:
                    notes.add("{} stands on the page twice", timed)
                    left_out.add(timed)
                mine[part] = value
            elif isinstance(place, Resource):
                service = service or place.service
                if math.isfinite(value) and place.name != TARGET_INFO:
                    resources.setdefault(place.name, {})[place.pid] = value
            elif place.name not in refused:
                if place in counted:
                    notes.add("{} stands on the page twice", place)
                    left_out.add(place)
                elif not 0 <= value < math.inf:
                    notes.add("{} is {}", place, value)
                    left_out.add(place)
                counted[place] = value
        timings: dict[Timed, Timing] = {}
        for timed, mine in parts.items():
            if timed.mapping.metric in refused or timed in left_out:
                continue
            timing = _timing(timed, mine, notes)
            if timing is None:
                left_out.add(timed)
            else:
                timings[timed] = timing
        self._forget(parts, counted)
        for each in left_out:
            if isinstance(each, Counted):
                del counted[each]
        return Page(
            timings,
            counted,
            frozenset(left_out),
            resources,
            service,
            parsed.series,
            bool(parts or counted or not self._families.isdisjoint(parsed.types)),
            notes.found(),
        )

    def created(self, body: bytes, content_type: str) -> float | None:
        """Return the Unix time when the oldest histogram of the page began, None if it tells none.

        Raises ValueError as `read`.
        """
        times: PageParser[float] = PageParser(
            LineFilter(self._created, self._families), lambda name, labels: 0.0
        )
        values = times.parse(body, content_type).values
        found = [value for _, value in values if math.isfinite(value) and value > 0]
        return min(found, default=None)

    def _place(self, name: str, labels: dict[str, str]) -> Place | None:
        known = self._parts.get(name)
        if known is not None:
            mapping, suffix = known
            part = suffix
            if suffix == "bucket":
                part = labels.pop("le", "")
            return self._timed_of(mapping, tuple(sorted(labels.items()))), part
        counter = self._counters.get(name)
        if counter is not None:
            return self._counted_of(counter, name, tuple(sorted(labels.items())))
        if name in RESOURCES:
            return Resource(name, labels.get("pid", ""), "")
        if name == TARGET_INFO:
            return Resource(name, "", cut(labels.get("service_name", "")))
        return None

    def _timed_of(self, mapping: MetricMapping, labels: Labels) -> Timed:
        found = self._timed.get((mapping.metric, labels))
        if found is None:
            values = dict(labels)
            found = self._timed[mapping.metric, labels] = Timed(
                mapping,
                labels,
                cut(mapping.operation(values)),
                cut(mapping.service(values)),
                _status(mapping, values),
            )
        return found

    def _counted_of(self, mapping: MetricMapping, name: str, labels: Labels) -> Counted:
        found = self._counted.get((name, labels))
        if found is None:
            values = dict(labels)
            found = self._counted[name, labels] = Counted(
                name, labels, cut(mapping.service(values)), _status(mapping, values)
            )
        return found

    def _wrong_types(self, types: Mapping[str, str], notes: _Notes) -> set[str]:
        refused = set()
        for name in self._families:
            kind = types.get(name, "untyped")
            if kind not in ("histogram", "summary", "untyped", "unknown"):
                notes.add("{} is a {}, no histogram or summary", name, kind[:40])
                refused.add(name)
        for name in self._counters:
            kind = types.get(name) or types.get(name.removesuffix("_total"), "untyped")
            if kind not in ("counter", "untyped", "unknown"):
                notes.add("{} is a {}, no counter", name, kind[:40])
                refused.add(name)
        return refused

    def _forget(self, parts: Mapping[Timed, object], counted: Mapping[Counted, object]) -> None:
        """Drop label sets that left the page, once they are many."""
        if len(self._timed) + len(self._counted) <= 2 * (len(parts) + len(counted)) + 500:
            return
        self._timed = {key: each for key, each in self._timed.items() if each in parts}
        self._counted = {key: each for key, each in self._counted.items() if each in counted}
        # The parser would go on to hand out those that have just been dropped.
        self._parser.forget()


class _Notes:
    """What had to be left out, named, but not more of it than anybody reads."""

    def __init__(self) -> None:
        self._found: list[str] = []
        self._more = 0

    def add(self, text: str, *parts: object) -> None:
        if len(self._found) < MOST_NOTES:
            self._found.append("left out: " + text.format(*parts))
        else:
            self._more += 1

    def found(self) -> tuple[str, ...]:
        if self._more:
            return (*self._found, f"left out: {self._more} more")
        return tuple(self._found)


def _timing(timed: Timed, parts: dict[str, float], notes: _Notes) -> Timing | None:
    for part, value in parts.items():
        if not 0 <= value < math.inf:
            what = f"the bucket {part[:20]} of" if part not in (COUNT, SUM) else f"the {part} of"
            notes.add("{} {} is {}", what, timed, value)
            return None
    count, total = parts.get(COUNT), parts.get(SUM)
    texts = tuple([part for part in parts if part != COUNT and part != SUM])
    if texts != timed.places or timed.bounds is None:
        timed.places, timed.bounds = texts, _bounds(texts, timed.mapping.seconds_per_unit)
    if timed.bounds is None:
        notes.add("{} has bounds that are no numbers", timed)
        return None
    if total is None or (count is None and not texts):
        notes.add("{} has no sum or no count", timed)
        return None
    values = [value for part, value in parts.items() if part != COUNT and part != SUM]
    if timed.bounds != tuple(sorted(timed.bounds)):
        order = sorted(range(len(values)), key=timed.bounds.__getitem__)
        values = [values[index] for index in order]
        bounds = tuple([timed.bounds[index] for index in order])
    else:
        bounds = timed.bounds
    if bounds and bounds[-1] == math.inf:
        bounds = bounds[:-1]
        # Counts of one moment: +Inf and count differ only where the page was written meanwhile.
        count = values.pop()
    assert count is not None or bounds
    if count is None:
        notes.add("{} has no count", timed)
        return None
    buckets, below = [], 0.0
    for value in (*values, count):
        if value < below:
            notes.add("{} has buckets that decrease", timed)
            return None
        buckets.append(value - below)
        below = value
    return Timing(count, total * timed.mapping.seconds_per_unit, bounds, tuple(buckets))


def _bounds(texts: Sequence[str], unit: float) -> tuple[float, ...] | None:
    try:
        bounds = tuple([float(text) * unit for text in texts])
    except ValueError:
        return None
    if len(set(bounds)) < len(bounds) or any(math.isnan(bound) for bound in bounds):
        return None
    return bounds


def counters(mapping: MetricMapping) -> tuple[str, ...]:
    """Return the names of the counters that tell how the calls of a histogram ended."""
    names = (mapping.counter, mapping.failure_counter, mapping.cancelled_counter)
    return tuple(filter(None, names))


def _status(mapping: MetricMapping, labels: Mapping[str, str]) -> str | None:
    status = mapping.status(labels)
    return None if status is None else cut(status)


def _shown(name: str, labels: Labels) -> str:
    text = ", ".join(f'{label}="{value}"' for label, value in labels)
    return cut(f"{name}{{{text}}}" if text else name, 120)


def cut(text: str, longest: int = LONGEST_NAME) -> str:
    """Return a text of another program, no longer than is worth showing."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
