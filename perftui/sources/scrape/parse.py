"""Turns a page of metrics into values by series, with the parsers of prometheus-client.

The official parsers read a series once; as long as its text stays the same only its number is
read anew, which is what makes a page that is read every two seconds cheap.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from perftui.sources.scrape.lines import LineFilter

P = TypeVar("P")

MOST_SERIES = 50_000
"""Series of operations on one page; reading the first page of so many takes seconds."""
LOOKED_AT = 40
"""Lines that are looked at to tell whether something is a page of metrics at all."""

EOF = b"# EOF"
QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"')
NUMBER = rb"[-+]?(?:[.0-9][0-9a-zA-Z.+-]*|[Ii][Nn][Ff]|[Nn][Aa][Nn])"
SAMPLE_LINE = re.compile(rb"[a-zA-Z_:{].*\s" + NUMBER + rb"(\s.*)?", re.DOTALL)
SAMPLE_BEGIN = re.compile(rb"\s*([a-zA-Z_:][a-zA-Z0-9_:]*\s*)?[{]")
MALFORMED = (ValueError, KeyError, IndexError, AttributeError, TypeError)
"""What the official parsers raise for lines they cannot read."""


class Parsed(NamedTuple, Generic[P]):
    """Types of the families that matter, and the values of the series that `place` knows.

    `series` counts the lines that were kept.
    """

    types: dict[str, str]
    values: list[tuple[P, float]]
    series: int


class PageParser(Generic[P]):
    """Parses one page again and again; `place` is asked once for each new series."""

    def __init__(self, lines: LineFilter, place: Callable[[str, dict[str, str]], P | None]) -> None:
        self._lines = lines
        self._place = place
        self._known: dict[bytes, P | None] = {}

    def parse(self, body: bytes, content_type: str) -> Parsed[P]:
        """Return the values on a page.

        Raises ValueError, with a clause that says why, for what is no page of metrics, is cut
        off, or is written otherwise than its type says.
        """
        openmetrics = _is_openmetrics(body, content_type)
        kept = self._lines.kept(body)
        if len(kept) > MOST_SERIES:
            raise ValueError(f"has {len(kept):,} series of operations, {MOST_SERIES:,} are read")
        if openmetrics:
            return self._openmetrics(kept)
        return self._text(kept)

    def forget(self) -> None:
        """Ask `place` anew for every series of the next page."""
        self._known.clear()

    def _text(self, kept: list[bytes]) -> Parsed[P]:
        known = self._known
        types: dict[str, str] = {}
        values: list[tuple[P, float]] = []
        new: list[bytes] = []
        for line in kept:
            head, _, number = line.rpartition(b" ")
            if head in known and b"_" not in number:
                try:
                    value = float(number)
                except ValueError:
                    new.append(line)
                    continue
                place = known[head]
                if place is not None:
                    values.append((place, value))
            elif line[:1] == b"#":
                words = line.split()
                types[words[2].decode("utf-8", "backslashreplace")] = words[3].decode(
                    "utf-8", "backslashreplace"
                )
            else:
                new.append(line)
        if new:
            values += self._new(new)
        if len(known) > 2 * len(kept) + 1000:
            heads = {line.rpartition(b" ")[0] for line in kept}
            self._known = {head: known[head] for head in heads if head in known}
        return Parsed(types, values, len(kept) - len(types))

    def _new(self, lines: list[bytes]) -> list[tuple[P, float]]:
        from prometheus_client.parser import text_string_to_metric_families

        # Without their TYPE lines the parser takes the samples one by one and keeps their names,
        # which it changes in families of counters.
        text = b"\n".join(lines).decode("utf-8", "backslashreplace")
        try:
            samples = [
                sample
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            ]
        except MALFORMED as error:
            raise ValueError(f"cannot be read: {_clause(error)}") from None
        if len(samples) != len(lines):
            raise ValueError("cannot be read: its lines are not one sample each")
        found = []
        for line, sample in zip(lines, samples, strict=True):
            if b"#" in line and b"#" in QUOTED.sub(b"", line):
                raise ValueError("has exemplars, which text/plain cannot have")
            place = self._place(sample.name, sample.labels)
            head, blank, number = line.rpartition(b" ")
            if blank and sample.timestamp is None and _is_number(number, sample.value):
                self._known[head] = place
            if place is not None:
                found.append((place, sample.value))
        return found

    def _openmetrics(self, kept: list[bytes]) -> Parsed[P]:
        from prometheus_client.openmetrics.parser import text_string_to_metric_families

        text = b"\n".join([*kept, EOF, b""]).decode("utf-8", "backslashreplace")
        types: dict[str, str] = {}
        values: list[tuple[P, float]] = []
        series = 0
        try:
            for family in text_string_to_metric_families(text):  # type: ignore[no-untyped-call]
                types[family.name] = family.type
                for sample in family.samples:
                    if sample.value is None:
                        # A native histogram, whose buckets are no samples.
                        continue
                    series += 1
                    place = self._place(sample.name, sample.labels)
                    if place is not None:
                        values.append((place, sample.value))
        except MALFORMED as error:
            raise ValueError(f"cannot be read as OpenMetrics: {_clause(error)}") from None
        return Parsed(types, values, series)


def is_metrics(body: bytes, content_type: str) -> bool:
    """Tell whether a page that nobody named is one of metrics."""
    try:
        _is_openmetrics(body, content_type)
    except ValueError:
        return False
    return b"# TYPE " in body


def _is_openmetrics(body: bytes, content_type: str) -> bool:
    """Tell which of the two text formats a page has.

    The marker at the end decides, because a parser of the one reads the other wrongly without a
    word; without it a page that says to be OpenMetrics has been cut off.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "text/html" or body[:200].lstrip()[:1] == b"<":
        raise ValueError("is a web page, no page of metrics")
    if "protobuf" in kind:
        raise ValueError("is written in protobuf, though text was asked for")
    _check_begin(body)
    ends = body[-64:].rstrip(b"\r\n").rpartition(b"\n")[2] == EOF
    if kind == "application/openmetrics-text" and not ends:
        raise ValueError("says to be OpenMetrics but does not end with # EOF")
    if not ends and body and not body.endswith(b"\n"):
        raise ValueError("ends in the middle of a line")
    return ends


def _check_begin(body: bytes) -> None:
    begin = body[:20_000]
    lines = begin.split(b"\n")
    if len(begin) < len(body):
        lines.pop()
    seen = [line.strip() for line in lines if line.strip()][:LOOKED_AT]
    odd = sum(line[:1] != b"#" and not SAMPLE_LINE.fullmatch(line) for line in seen)
    # A few bad lines are the parser's to name, if they matter at all.
    if 2 * odd > len(seen):
        raise ValueError("is no page of metrics")
    # A first line that is longer than all that is looked at can only be told by its name.
    if not seen and len(begin) < len(body) and not SAMPLE_BEGIN.match(begin):
        raise ValueError("is no page of metrics")


def _is_number(text: bytes, value: float) -> bool:
    try:
        number = float(text)
    except ValueError:
        return False
    return number == value or (math.isnan(number) and math.isnan(value))


def _clause(error: BaseException) -> str:
    """Return the text of a parser in one short line."""
    text = " ".join(str(error).split())
    return text[:120] or type(error).__name__
