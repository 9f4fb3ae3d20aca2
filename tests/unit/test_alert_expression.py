"""Expressions of own rules: grammar, kinds and units, values, and that nothing else is raised."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample import full_snapshot

from perftui.analysis.alerting.expression import (
    Expression,
    ExpressionError,
    compile_expression,
    parse,
    written,
)
from perftui.analysis.alerting.language.names import Leaf, Many, Record, roots
from perftui.analysis.alerting.language.parser import FUNCTIONS, KEYWORDS
from perftui.analysis.alerting.language.selection import wildcard
from perftui.analysis.alerting.language.tree import (
    COMPARISONS,
    PRECEDENCE,
    Binary,
    Call,
    Matcher,
    Node,
    Number,
    Path,
    Step,
    Text,
    Truth,
    Unary,
)
from perftui.output.document import document
from perftui.quantities import SUFFIXES, Quantity, in_unit, parse_quantity
from perftui.snapshot import (
    NOT_STARTED,
    HitRatio,
    Operation,
    OperationWindow,
    Pool,
    PoolServer,
    Quantile,
    RedisServer,
    Service,
    Snapshot,
    SourceStatus,
    State,
)


def operation(name: str, p95: float | None = None, count: int = 500, **more: Any) -> Operation:
    quantile = NOT_STARTED if p95 is None else Quantile(p95, p95, p95)
    values: dict[str, Any] = {
        "rate": 5.0,
        "mean": 0.1,
        "p50": NOT_STARTED,
        "p95": quantile,
        "p99": NOT_STARTED,
        "error_ratio": 0.0,
        "time_share": 0.1,
    }
    return Operation(name=name, count=count, **{**values, **more})


def service(name: str, *operations: Operation, long: tuple[Operation, ...] = ()) -> Service:
    windows = (OperationWindow(10.0, 10.0, operations), OperationWindow(300.0, 300.0, long))
    return Service(name, 2, ("a", "b"), 0.5, windows)


def server(name: str, state: str, **more: Any) -> PoolServer:
    usual: dict[str, Any] = dict.fromkeys(
        ("cpu_usage", "memory_usage", "requests_per_second", "in_flight", "picks"), NOT_STARTED
    )
    values = {"reason": "", "weight": 1, "last_seen": 0.1, "overloaded": False, **usual, **more}
    return PoolServer(id=name, address=f"{name}:80", state=state, **values)


REDIS = RedisServer(
    address="localhost:6379",
    flavour="redis",
    version="7",
    role="master",
    uptime=10.0,
    latency=0.012,
    clients=20,
    blocked_clients=0,
    keys=100,
    memory_used=90_000_000,
    memory_limit=100_000_000,
    memory_policy="noeviction",
    hit_ratio=HitRatio(0.5, NOT_STARTED, NOT_STARTED),
    commands_rate=100.0,
    hits_rate=NOT_STARTED,
    misses_rate=1.0,
    evictions_rate=0.0,
    expirations_rate=0.0,
)

SNAPSHOT = Snapshot(
    1,
    1e9,
    1e3,
    redis=REDIS,
    services=(
        service(
            "shop",
            operation("checkout", 0.6),
            operation("browse", 0.1, count=20),
            operation("rare"),
            long=(operation("checkout", 0.2, count=9000),),
        ),
        service("search", operation("query", 0.3)),
    ),
    pools=(
        Pool(
            "web",
            (
                server("w1", "ready", cpu_usage=90.0),
                server("w2", "drain", cpu_usage=30.0),
                server("w3", "ready", overloaded=True),
            ),
        ),
    ),
    sources=(SourceStatus("redis", State.STALE, "old", "", 9.0, 0.1, 1.0, 0, 3),),
)


def read(text: str, snapshot: Snapshot = SNAPSHOT) -> dict[str, float]:
    """Return the values of an expression by subject, rounded."""
    return {r.subject: round(r.value, 9) for r in compile_expression(text).measure(snapshot)}


def wrong(text: str) -> str:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis.latency", {"redis": 0.012}),
        ("redis.memory_used / redis.memory_limit", {"redis": 0.9}),
        ("redis.memory_limit * 80% - redis.memory_used", {"redis": -10_000_000.0}),
        ("-redis.clients + 2 * (3 - 1) * 10", {"redis": 20.0}),
        ("redis.clients - 10 - 5", {"redis": 5.0}),
        ("redis.clients / 10 / 2", {"redis": 1.0}),
        ("redis.hit_ratio.seconds_10", {"redis": 0.5}),
        ("redis.hit_ratio.seconds_100", {}),
        ("redis.hits_rate + redis.misses_rate", {}),
        ("redis.clients / redis.blocked_clients", {}),
        ("redis.clients * 1e308 * 10", {}),
        ("operations.p95", {"shop/checkout": 0.6, "shop/browse": 0.1, "search/query": 0.3}),
        ('operations[service="shop"].p95', {"shop/checkout": 0.6, "shop/browse": 0.1}),
        ('operations[operation!="browse", service="shop"].p95', {"shop/checkout": 0.6}),
        ('operations[operation~"*o*", operation!~"b?owse"].p95', {"shop/checkout": 0.6}),
        ('operations[window="5min"].p95', {"shop/checkout": 0.2}),
        ('operations[window=300].p95 * 3 - operations[operation="checkout"].p95',
         {"shop/checkout": 0.0}),
        ('operations[service="none"].p95', {}),
        ("max(operations.p95)", {"operations": 0.6}),
        ("min(operations.p95) + avg(operations.count)", {"operations": 380.1}),
        ("sum(operations.rate)", {"operations": 20.0}),
        ("operations.p95 / max(operations.p95)",
         {"shop/checkout": 1.0, "shop/browse": 0.166666667, "search/query": 0.5}),
        ("services.hosts + services.processes", {"shop": 4.0, "search": 4.0}),
        ("services.operations.p95 - services.last_seen",
         {"shop/checkout": 0.1, "shop/browse": -0.4, "search/query": -0.2}),
        ("count(operations)", {"operations": 4.0}),
        ("count(operations.p95)", {"operations": 3.0}),
        ('count(operations[service="none"])', {"operations": 0.0}),
        ('count(pools.servers.state == "ready")', {"pools": 2.0}),
        ('pools.servers.state == "ready"', {"web/w1": 1.0, "web/w2": 0.0, "web/w3": 1.0}),
        ('pools[name="web"].servers[id="w3"].overloaded', {"web/w3": 1.0}),
        ("not pools.servers.overloaded", {"web/w1": 1.0, "web/w2": 1.0, "web/w3": 0.0}),
        ("pools.servers[overloaded=true].weight", {"web/w3": 1.0}),
        ("pools.servers.cpu_usage > 50% and not pools.servers.overloaded",
         {"web/w1": 1.0, "web/w2": 0.0, "web/w3": 0.0}),
        ("pools.servers.cpu_usage > 50% or pools.servers.overloaded",
         {"web/w1": 1.0, "web/w2": 0.0, "web/w3": 1.0}),
        ("pools.servers.cpu_usage > 50% or not pools.servers.overloaded",
         {"web/w1": 1.0, "web/w2": 1.0}),
        ('sources[name="redis"].state != "ok" and redis.latency < 20ms',
         {"redis": 1.0}),
        ("processes.cpu_percent", {}),
        ("count(processes)", {}),
        ("count(processes) > 3 or redis.clients > 3", {"processes, redis": 1.0}),
        ("resources.cpu.percent", {}),
    ],
)  # fmt: skip
def test_values(text: str, expected: dict[str, float]) -> None:
    assert read(text) == expected


def test_a_reading_says_of_how_many_calls_it_is_and_over_which_window() -> None:
    found = compile_expression('operations[window="5min"].p95 > operations.p95 / 2').measure(
        SNAPSHOT
    )
    assert [(r.subject, r.n, r.window, r.group) for r in found] == [
        ("shop/checkout", 500, 300.0, "shop")
    ]
    assert compile_expression("redis.clients > 3").measure(SNAPSHOT)[0].n is None


def test_the_first_of_two_services_with_one_name_counts() -> None:
    twice = msgspec.structs.replace(
        SNAPSHOT,
        services=(service("shop", operation("a", 0.1)), service("shop", operation("a", 9.0))),
    )
    assert read("operations.p95", twice) == {"shop/a": 0.1}


def form(text: str) -> tuple[str, str, float | None, bool]:
    found: Expression = compile_expression(text)
    return found.form, found.unit, found.threshold, found.above


def test_a_comparison_with_a_constant_becomes_a_level() -> None:
    assert form("operations.p95 > 500ms") == ("level", "seconds", 0.5, True)
    assert form("500ms < operations.p95") == ("level", "seconds", 0.5, True)
    assert form("operations.error_ratio > 5%") == ("level", "ratio", 0.05, True)
    assert form("resources.cpu.percent < 80%") == ("level", "percent", 80.0, False)
    assert form("redis.memory_used > 10MiB") == ("level", "bytes", 10 * 1024.0**2, True)
    assert form("redis.commands_rate > 2 * 50/s") == ("level", "per second", 100.0, True)
    assert form("redis.memory_used / redis.memory_limit > 80%") == ("level", "ratio", 0.8, True)
    assert form("redis.clients == 3") == ("condition", "", 0.5, True)
    assert form("redis.latency") == ("value", "seconds", None, True)
    kind, unit, level, above = form("redis.clients >= 3")
    assert (kind, unit, above) == ("level", "", True)
    assert level is not None
    assert 2.999 < level < 3
    below = form("redis.clients <= 3")[2]
    assert below is not None
    assert 3 < below < 3.001


def test_a_comparison_of_two_values_becomes_their_difference() -> None:
    text = 'operations.p95 > 2 * operations[window="5min"].p95'
    assert form(text) == ("difference", "seconds", 0.0, True)
    (reading,) = compile_expression(text).measure(SNAPSHOT)
    assert reading.value == pytest.approx(0.2)
    assert reading.baseline == pytest.approx(0.4)


def test_sources_are_those_of_all_names() -> None:
    assert compile_expression("resources.cgroup.cpu_percent > redis.clients * 1%").sources == {
        "cgroup",
        "redis",
    }
    assert compile_expression("sources.late > 3").sources == frozenset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the expression is empty\n  \n  ^"),
        ("redis.latncy > 1", "unknown name redis.latncy; did you mean latency?"),
        ("rediss.latency > 1", "unknown name rediss; did you mean redis?"),
        ("redis > 1", "redis has no value itself; go on with one of address,"),
        ("redis.latency.x > 1", "redis.latency is a number and has no names inside"),
        ('redis[name="x"].latency > 1', "redis is not a list, so nothing can be selected of it"),
        ("operations > 1", "this is a list of elements, of which one name has to follow"),
        ("services[0].processes > 1", 'the order of services is not fixed: select by name, '
         'services[name="..."]'),
        ('operations[servce="x"].p95 > 1', "operations has no servce to select by; did you mean "
         "service?"),
        ("operations[service=3].p95 > 1", "service is a text"),
        ('operations[window="2h"].p95 > 1', 'window= must be one of "10s", "1min", "5min", or'),
        ('sources[state="fine"].age > 1', 'state is never "fine"'),
        ('sources.state == "okey"', 'this is never "okey"; did you mean ok?'),
        ("redis.latency > 10MB", "seconds and bytes do not go together"),
        ("redis.latency + redis.memory_used > 1", "seconds and bytes do not go together"),
        ("redis.clients > 80%", "% needs a percent or a ratio beside it"),
        ("operations.error_ratio > 5", "a ratio is from 0 to 1; write 5% for a percentage"),
        ('redis.latency > "x"', "a number and a text cannot be compared"),
        ('redis.role > "x"', "only numbers can be compared with >"),
        ("redis.latency and redis.role", "and needs a condition, and this is a number"),
        ("not redis.latency", "not needs a condition, and this is a number"),
        ("-redis.role", "- needs a number, and this is a text"),
        ("sum(redis.role)", "sum() needs numbers, and this is a text"),
        ("sum(3) > 1", "sum() is of a selection, and this is a constant"),
        ("median(redis.keys) > 1", "unknown function median"),
        ("redis.role", "a rule is a comparison, a condition or a number, such as"),
        ("3 > 2", "nothing in it is measured: name a value of the document"),
        ("1 / 0 > redis.keys", "this is no finite number"),
        ("1 < redis.keys < 3", "comparisons do not chain; join two of them with and"),
        ("redis.keys = 3", "= stands in [] only; write == to compare"),
        ('operations[service=="x"].p95', "inside [] write = instead of =="),
        ("redis.keys > 3 redis.keys", "an operator such as > or and is expected here, not 'redis'"),
        ("redis.keys >", "the expression ends where a name or a number is expected"),
        ("(redis.keys > 3", "the expression ends where ) is expected"),
        ('redis.role == "x', 'this text has no closing "'),
        ("redis.role == 'x'", '"\'" has no meaning here; texts stand in "double quotes"'),
        ("redis.keys > 3x", "unknown unit 'x'"),
        ("redis.keys > 1e999", "1e999 is too large"),
        ("operations.p95 > pools.servers.last_seen", "there is one value for each of operations "
         "and one for each of pools.servers, which do not go together; put min()"),
        ('operations[operation="a"].p95 > operations[operation="b"].p95',
         'operation="a" and operation="b" are different elements'),
        ("(" * 60 + "1", "more than 40 parts inside each other"),
        ("-" * 60 + "1", "more than 40 parts inside each other"),
        ("+".join("1" * 60), "more than 40 parts inside each other"),
        (".".join("a" * 60), "more than 40 names in one path"),
        ("1" * 2001, "longer than 2000 characters"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(text: str, expected: str) -> None:
    assert wrong(text).startswith(expected)


def test_a_caret_stands_below_the_place() -> None:
    message = wrong("redis.keys > 3\nand redis.latncy > 1")
    reason, line, caret = message.splitlines()
    assert reason.startswith("unknown name redis.latncy")
    assert line == "  and redis.latncy > 1"
    assert line[caret.index("^") :].startswith("latncy")
    long = wrong(f"{'redis.keys + ' * 30}redis.latncy > 1").splitlines()
    assert long[1][long[2].index("^") :].startswith("latncy")
    assert len(long[1]) < 100


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("((1+2))*3", "(1 + 2) * 3"),
        ("1-(2-3)", "1 - (2 - 3)"),
        ("(1-2)-3", "1 - 2 - 3"),
        ("not (a and b) or c", "not (a and b) or c"),
        ("not (not a)", "not not a"),
        ("-(-(1))", "--1"),
        ("-(a+b)", "-(a + b)"),
        ('a [ b ~ "x\\"y" , c != 5.0ms ].d [ 3 ]', 'a[b~"x\\"y", c!=5ms].d[3]'),
        ("max( a )>=1.50MB/s", "max(a) >= 1.5MB/s"),
        ("(a > b) == (c > d)", "(a > b) == (c > d)"),
    ],
)
def test_the_canonical_form(text: str, canonical: str) -> None:
    assert written(parse(text)) == canonical
    assert parse(canonical) == parse(text)


NAMES = st.sampled_from([*roots(), "percent", "cpu", "p95", "name", "servers", "x_1"])
NUMBERS = st.builds(
    Number,
    st.floats(0, 1e250, allow_nan=False),
    st.sampled_from(["", *SUFFIXES]),
)
TEXTS = st.builds(Text, st.text(max_size=8))
CONSTANTS = st.one_of(NUMBERS, TEXTS, st.builds(Truth, st.booleans()))
STEPS = st.one_of(
    st.builds(
        Step,
        NAMES,
        st.lists(
            st.builds(Matcher, NAMES, st.sampled_from(["=", "!=", "~", "!~"]), CONSTANTS),
            max_size=2,
        ).map(tuple),
    ),
    st.builds(Step, NAMES, st.just(()), st.integers(0, 99)),
)
PATHS = st.builds(Path, st.lists(STEPS, min_size=1, max_size=3).map(tuple))


def _larger(children: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    return st.one_of(
        st.builds(
            Binary, st.sampled_from([k for k in PRECEDENCE if k != "not"]), children, children
        ),
        st.builds(Unary, st.sampled_from(["-", "not"]), children),
        st.builds(Call, st.sampled_from(FUNCTIONS), children),
    )


TREES = st.recursive(st.one_of(CONSTANTS, PATHS), _larger, max_leaves=12)


@settings(max_examples=300, deadline=None)
@given(TREES)
def test_what_is_written_is_read_again(tree: Node) -> None:
    text = written(tree)
    if len(text) <= 2000:
        assert parse(text) == tree


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(
            st.sampled_from(
                [*roots(), *KEYWORDS, *FUNCTIONS, *COMPARISONS, "[", "]", "(", ")", ".", ",", "=",
                 "~", "-", "*", "/", '"a"', "5ms", "80%", "3", "p95", "name", "state", "cpu"]
            ),
            max_size=25,
        ).map(" ".join),
        TREES.map(written),
    )
)  # fmt: skip
def test_nothing_but_its_own_error_is_raised(text: str) -> None:
    try:
        found = compile_expression(text)
    except ExpressionError as error:
        found, said = None, str(error)
    if found is None:
        assert len(said.splitlines()) == 3
        return
    for snapshot in (SNAPSHOT, Snapshot(1, 0.0, 0.0)):
        for reading in found.measure(snapshot):
            assert abs(reading.value) < float("inf")
    again = compile_expression(found.text)
    assert (again.text, again.form, again.threshold) == (found.text, found.form, found.threshold)


@given(st.text("ab*?", max_size=12), st.text("ab", max_size=12))
def test_a_pattern_matches_as_its_regular_expression(pattern: str, text: str) -> None:
    import re

    translated = "".join({"*": ".*", "?": "."}.get(char, char) for char in pattern)
    assert wildcard(pattern)(text) == (re.fullmatch(translated, text) is not None)


def test_a_bad_pattern_does_not_hang() -> None:
    assert not wildcard("*a" * 900)("a" * 899 + "b")


def test_names_and_values_are_those_of_the_document() -> None:
    snapshot = full_snapshot()
    told = document(snapshot)
    compared = 0
    for name, found in roots().items():
        for path, value in _numbers(name, found.kind, told[name]):
            assert read(path, snapshot) == ({} if value is None else {_only(path): value}), path
            compared += 1
    assert compared > 60


def _only(path: str) -> str:
    parts = path.split(".")
    return parts[1] if parts[0] == "resources" else parts[0]


def _numbers(path: str, kind: Any, told: Any) -> list[tuple[str, float | None]]:
    if isinstance(kind, Leaf):
        if kind.kind != "number":
            return []
        return [(path, None if told is None else round(float(told), 9))]
    if isinstance(kind, Many) or told is None:
        return []
    assert isinstance(kind, Record)
    pairs: list[tuple[str, float | None]] = []
    for name, found in kind.fields.items():
        pairs += _numbers(f"{path}.{name}", found.kind, told[name])
    return pairs


def test_lists_have_the_names_of_the_document() -> None:
    told: Any = document(full_snapshot())
    for name in ("operations", "services", "processes", "pools", "sources"):
        kind = roots()[name].kind
        assert isinstance(kind, Many)
        assert isinstance(kind.element, Record)
        assert set(kind.element.fields) <= set(told[name][0]), name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500ms", Quantity(0.5, "seconds")),
        (" -2min ", Quantity(-120.0, "seconds")),
        ("80%", Quantity(80.0, "percent")),
        ("1.5KiB", Quantity(1536.0, "bytes")),
        ("2MB/s", Quantity(2e6, "bytes/s")),
        ("7/s", Quantity(7.0, "per second")),
        ("3", Quantity(3.0, "")),
    ],
)
def test_quantities(text: str, expected: Quantity) -> None:
    assert parse_quantity(text) == expected


def test_quantities_in_the_unit_of_a_rule() -> None:
    assert in_unit(parse_quantity("5%"), "ratio") == pytest.approx(0.05)
    assert in_unit(parse_quantity("36h"), "h") == 36.0
    assert in_unit(parse_quantity("36"), "h") == 36.0
    with pytest.raises(
        ValueError, match=r"is in seconds; it must be in percent, such as 80 or 80%"
    ):
        in_unit(parse_quantity("3s"), "percent")
    with pytest.raises(ValueError, match="is not a number with a unit"):
        parse_quantity("fast")
