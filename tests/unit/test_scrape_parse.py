"""Lines that are kept and what they are parsed to, against the official parsers."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from perftui.sources.scrape.lines import LONG_LINE, LineFilter
from perftui.sources.scrape.parse import PageParser, is_metrics

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
WANTED = ("took_bucket", "took_count", "took_sum", "calls_total", "level")

Found = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parser() -> PageParser[tuple[str, tuple[tuple[str, str], ...]]]:
    return PageParser(
        LineFilter(WANTED, ("took", "calls", "calls_total", "level")),
        lambda name, labels: (name, tuple(sorted(labels.items()))),
    )


def parsed(page: str | bytes, content_type: str = TEXT) -> Found:
    body = page if isinstance(page, bytes) else page.encode()
    return dict(parser().parse(body, content_type).values)


def official(page: bytes) -> Found:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
        if sample.name in WANTED
    }


def registry(values: list[tuple[str, float]]) -> CollectorRegistry:
    found = CollectorRegistry()
    took = Histogram("took", "Line one.\nLine {two}.", ["a"], buckets=(0.1, 1.0), registry=found)
    calls = Counter("calls", 'Has "quotes" and \\.', ["a"], registry=found)
    level = Gauge("level", "", ["a", "b"], registry=found)
    other = Gauge("took_not", "", ["a"], registry=found)
    for label, value in values:
        took.labels(label).observe(value)
        calls.labels(label).inc(abs(value))
        level.labels(label, "x").set(value)
        other.labels(label).set(value)
    return found


numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
labelled = st.lists(st.tuples(st.text(max_size=20), numbers), max_size=6)


@given(labelled, labelled)
@settings(max_examples=60, deadline=None)
def test_reads_what_the_official_parser_reads_again_and_again(
    first: list[tuple[str, float]], second: list[tuple[str, float]]
) -> None:
    reader = parser()
    for values in (first, first, second, first):
        page = generate_latest(registry(values))
        assert dict(reader.parse(page, TEXT).values) == official(page)


@given(labelled)
@settings(max_examples=30, deadline=None)
def test_openmetrics_says_the_same_whatever_it_calls_itself(
    values: list[tuple[str, float]],
) -> None:
    found = registry([(label, abs(value)) for label, value in values])
    wanted = official(generate_latest(found))
    page = generate_openmetrics(found)  # type: ignore[no-untyped-call]
    assert parsed(page, OPENMETRICS) == wanted
    assert parsed(page, TEXT) == wanted
    if values:
        with pytest.raises(ValueError, match="does not end with # EOF"):
            parsed(generate_latest(found), OPENMETRICS)


tails = st.text(alphabet='ab"{}\\= ,#+-.01eNaIf\t', max_size=25)
odd_lines = st.lists(
    st.tuples(st.sampled_from(["level", "level{", 'took_sum{a="', "other{"]), tails).map("".join),
    max_size=4,
)


@given(odd_lines)
@settings(max_examples=300, deadline=None)
def test_any_line_is_read_as_officially_or_refused(lines: list[str]) -> None:
    reader = parser()
    for _ in range(2):
        try:
            found = reader.parse(("\n".join(lines) + "\n").encode(), TEXT).values
        except ValueError:
            return
        wanted: list[object] = []
        for line in lines:
            try:
                wanted += [
                    (key, repr(float(value))) for key, value in official(line.encode()).items()
                ]
            except (ValueError, IndexError):
                # It was let through, so it must have been one that nobody wants.
                assert re.split(r"[{\s]", line)[0] not in WANTED
        assert sorted(map(repr, wanted)) == sorted(
            repr((key, repr(float(value)))) for key, value in found
        )


def test_blanks_timestamps_and_numbers_of_all_kinds() -> None:
    page = (
        '  level{a="1" , b="x y"}   5 1700000000000\n'
        'level {a="2",b="} 7"} +Inf\r\n'
        'level{a="3",}\t-1e3\n'
        "level NaN\n"
        'took_count{a="x # y"} 4\n'
    )
    reader = parser()
    for _ in range(2):
        found = dict(reader.parse(page.encode(), TEXT).values)
        assert found["level", (("a", "1"), ("b", "x y"))] == 5
        assert found["level", (("a", "2"), ("b", "} 7"))] == math.inf
        assert found["level", (("a", "3"),)] == -1000
        assert math.isnan(found["level", ()])
        assert found["took_count", (("a", "x # y"),)] == 4


def test_a_number_that_changes_its_form_is_still_read_officially() -> None:
    reader = parser()
    assert [value for _, value in reader.parse(b"level 1\n", TEXT).values] == [1]
    assert [value for _, value in reader.parse(b"level 2 1700000000000\n", TEXT).values] == [2]
    head = b"# HELP level x\n" * 50
    with pytest.raises(ValueError, match="cannot be read"):
        reader.parse(head + b"level 1_000\n", TEXT)
    with pytest.raises(ValueError, match="cannot be read"):
        reader.parse(head + b"level many\nlevel 1\n", TEXT)


@pytest.mark.parametrize(
    ("page", "kind", "says"),
    [
        ('took_bucket{le="1"} 5 # {trace="x"} 0.67 123\n', TEXT, "exemplars"),
        ('calls_total{a="b"} 5 # {trace="x"} 0.6\n', TEXT, "exemplars"),
        ('calls_total 5 # {trace="x"} 0.6\n', TEXT, "exemplars"),
        ("<html><body>hello</body></html>\n", TEXT, "web page"),
        ("<html>\n", "text/html", "web page"),
        ('{"status": "ok"}\n', "application/json", "no page of metrics"),
        ("It works! We are fine here\n", TEXT, "no page of metrics"),
        ("\x00\x01\x02binary\n", "", "no page of metrics"),
        ("level 1\nlevel 12", TEXT, "middle of a line"),
        ("level 1\n", "application/vnd.google.protobuf; encoding=delimited", "protobuf"),
        ('level{a="1} 5\n', TEXT, "cannot be read"),
        ("level{a=1} 5\n", TEXT, "cannot be read"),
        ("# TYPE calls counter\ncalls_total 1\n", OPENMETRICS, "# EOF"),
        ("# TYPE calls counter\ncalls_total NaN\n# EOF\n", OPENMETRICS, "OpenMetrics"),
    ],
)
def test_refuses_what_it_might_read_wrongly(page: str, kind: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parsed(page, kind)


def test_exemplars_of_openmetrics_are_no_values() -> None:
    page = (
        "# TYPE took histogram\n"
        'took_bucket{le="1.0"} 5 # {trace="x"} 0.67 123.0\n'
        'took_bucket{le="+Inf"} 5\ntook_count 5\ntook_sum 1.5\n# EOF\n'
    )
    counter = '# TYPE calls counter\ncalls_total 5 # {trace="x"} 1.0\n# EOF\n'
    assert parsed(counter, OPENMETRICS) == {("calls_total", ()): 5}
    for kind in (OPENMETRICS, TEXT):
        found = parsed(page, kind)
        assert found["took_bucket", (("le", "1.0"),)] == 5
        assert len(found) == 4


def test_names_in_quotes_are_found() -> None:
    assert parsed('{"took_count",a="b"} 3\n{"other",a="b"} 4\n')["took_count", (("a", "b"),)] == 3


def test_long_values_are_cut_and_stay_apart() -> None:
    long = '\\"\\\\\\n' * 30_000
    page = f'level{{a="{long}1"}} 1\nlevel{{a="{long}2"}} 2\n'
    found = parsed(page)
    assert sorted(found.values()) == [1, 2]
    for _, labels in found:
        assert len(labels[0][1]) < 600
    assert len(page) > LONG_LINE


def test_too_many_series_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perftui.sources.scrape.parse.MOST_SERIES", 10)
    page = "".join(f'level{{a="{number}"}} 1\n' for number in range(11))
    with pytest.raises(ValueError, match="11 series"):
        parsed(page)


def test_series_that_left_the_page_are_forgotten() -> None:
    reader = parser()
    for start in range(0, 20_000, 1000):
        page = "".join(f'level{{a="{number}"}} 1\n' for number in range(start, start + 1000))
        reader.parse(page.encode(), TEXT)
    assert len(reader._known) <= 4000


@pytest.mark.parametrize(
    ("body", "kind", "yes"),
    [
        (b"# TYPE a gauge\na 1\n", TEXT, True),
        (b"# TYPE a gauge\na 1\n", "", True),
        (b"a 1\n", "text/plain", False),
        (b"", "text/plain", False),
        (b"# TYPE a gauge\n<p>", "text/html", False),
    ],
)
def test_tells_pages_of_metrics_from_others(body: bytes, kind: str, yes: bool) -> None:
    assert is_metrics(body, kind) is yes
