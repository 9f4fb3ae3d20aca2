"""`perftui rules` as a shell sees it, and tests of rules on series of values."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perftui import cli
from perftui.analysis.alerting.configured import configured_rules
from perftui.analysis.alerting.expression import compile_expression, parse
from perftui.analysis.alerting.language.checking import check
from perftui.analysis.alerting.language.tree import Path as NamePath
from perftui.analysis.alerting.rule_test import EXAMPLE, RuleTestError, parse_test, replay
from perftui.analysis.alerting.series_notation import NotationError, samples
from perftui.analysis.alerting.series_snapshots import snapshot_at
from perftui.commands import command_named
from perftui.config import RuleSettings, Settings
from perftui.manual import command_manual
from perftui.snapshot import Absent, State

OWN = """
[rules.slow_checkout]
expr = 'operations[service="shop", operation="checkout"].p95 > 500ms'
for = "10s"
keep = 5
[rules.R10]
warn = 85
for = "2min"
"""

Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in ("PERFTUI_CONFIG", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return lambda *arguments: cli.main(["rules", *arguments])


def written(tmp_path: Path, text: str, name: str = "own.toml") -> str:
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def test_list_names_every_rule_and_where_its_values_are_set(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, OWN)
    assert run("list", "--config", path) == 0
    said = capfd.readouterr().out
    assert "R10   high_cpu: CPU (utilisation)" in said
    assert "warning above 85.0 % until 79.7 %, critical above 95.0 % until 85.0 %" in said
    assert f"      set in {path} line 6: warn, for\n" in said
    assert "slow_checkout: Slow checkout (your own, symptom)" in said
    assert "warning above 500 ms until 450 ms" in said
    assert "slower_than_peers: Slower than its peers (symptom, off)" in said


def test_list_as_json(run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, OWN + "[alerts]\ndisabled = ['high_memory']\n")
    assert run("list", "--json", "--config", path) == 0
    rules = {rule["id"]: rule for rule in json.loads(capfd.readouterr().out)["rules"]}
    assert [rule.id for rule in configured_rules(Settings())] == list(rules)[:-1]
    cpu = rules["R10"]
    assert (cpu["warn"], cpu["crit"], cpu["for"], cpu["unit"]) == (85.0, 95.0, 120.0, "percent")
    assert cpu["origins"] == {"warn": f"{path} line 7", "for": f"{path} line 8"}
    assert rules["slow_checkout"]["expr"].startswith("operations[")
    assert rules["R09"]["enabled"] is False
    assert rules["R09"]["origins"] == {"enabled": "file"}
    assert rules["R11"]["origins"] == {}


def test_check_tells_of_everything_that_is_wrong_with_its_line(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, OWN)
    assert run("check", path) == 0
    assert capfd.readouterr().out == f"{path}: rules are fine; 1 of your own, 1 of others changed\n"
    path = written(tmp_path, "[rules.a]\nexpr = 'redis.latncy > 1'\n[rules.R1O]\nwarn = 3\n")
    assert run("check", path) == 2
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith(f"{path} line 2: rules.a.expr: unknown name redis.latncy; did you")
    assert lines[1:3] == ["  redis.latncy > 1", "        ^"]
    assert lines[3].startswith(f"{path} line 3: rules.R1O: unknown rule R1O; did you mean R10?")
    assert len(lines) == 4


def test_a_wrong_rule_stops_every_command_that_uses_it(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, "[rules.a]\nexpr = 'redis.latncy > 1'\n")
    assert run("list", "--config", path) == 2
    first = capfd.readouterr().err
    assert cli.main(["once", "--config", path]) == 2
    assert capfd.readouterr().err == first
    assert first.startswith(f"perftui: {path} line 2: rules.a.expr: unknown name redis.latncy;")
    assert first.endswith("(near latncy > 1)\n")
    assert first.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["test"], "say which file: perftui rules test FILE"),
        (["list", "x"], "argument x does not belong here"),
        (["test", "/nowhere/x"], "/nowhere/x: cannot be read: No such file or directory"),
        (["check", "/nowhere/x"], "/nowhere/x: no such file (--config names it)"),
        (["tset", "x"], "WHAT cannot be 'tset'; did you mean test?"),
        ([], "say what to do: perftui rules list|check|test"),
    ],
)
def test_wrong_usage(
    run: Run, capfd: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    assert run(*arguments) == 2
    assert expected in capfd.readouterr().err


def test_the_example_of_the_help_passes(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shown = command_manual(command_named("rules"), 96)
    begin = shown.index("  # Seconds between")
    end = shown.index("\nThe options", begin)
    example = "\n".join(line[2:] for line in shown[begin:end].splitlines())
    assert example.strip() == EXAMPLE.strip()
    path = written(tmp_path, example)
    assert run("test", path) == 0
    assert capfd.readouterr().out == f"{path}: 4 of 4 expectations met\n"


def test_what_is_not_met_is_told_with_its_line(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    example = EXAMPLE.replace('state = "firing"', 'state = "pending"').replace(
        "critical", "warning"
    )
    path = written(tmp_path, example)
    assert run("test", path) == 1
    first, last = capfd.readouterr().out.splitlines()
    line = next(n for n, text in enumerate(example.splitlines(), 1) if 'at = "9min"' in text) - 1
    assert first == (
        f"{path} line {line}: at 9m 0s R10 must be pending (warning), "
        "but is firing (critical) for host at 97.0 %"
    )
    assert last == f"{path}: 3 of 4 expectations met"


def test_own_rules_are_tested_with_their_configuration(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    test = """
[series]
'operations[service="shop", operation="checkout"].p95' = "100msx10 900msx30 100ms"
'operations[service="shop", operation="other"].p95' = 2
[[expect]]
at = 15
rule = "slow_checkout"
state = "pending"
[[expect]]
at = 25
rule = "slow_checkout"
state = "firing"
severity = "warning"
subject = "shop/checkout"
[[expect]]
at = 25
rule = "slow_checkout"
subject = "shop/other"
state = "ok"
[[expect]]
at = 42
rule = "slow_checkout"
state = "recovering"
[[expect]]
at = 50
rule = "slow_checkout"
state = "ok"
"""
    config, path = written(tmp_path, OWN), written(tmp_path, test, "test.toml")
    assert run("test", path, "--config", config) == 0
    assert capfd.readouterr().out.endswith("5 of 5 expectations met\n")
    assert run("test", path) == 2
    expected = f"perftui: {path} line 5: unknown rule slow_checkout"
    assert capfd.readouterr().err.startswith(expected)


EXPECT = '[[expect]]\nat = 1\nrule = "R10"\nstate = "ok"\n'
SERIES = '[series]\n"resources.cpu.percent" = 3\n'


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("[a", 1, "not valid TOML"),
        (EXPECT, 0, "there are no series"),
        (SERIES, 0, "nothing is expected"),
        ("intervall = 3\n" + SERIES + EXPECT, 1, "unknown key intervall; did you mean interval?"),
        ("interval = 0\n" + SERIES + EXPECT, 1, "interval must be from 0.1 s to 1 h"),
        ("interval = 'x'\n" + SERIES + EXPECT, 1, "interval: 'x' is not a number with a unit"),
        (SERIES + EXPECT.replace("R10", "R1O"), 3, "unknown rule R1O; did you mean R10?"),
        (SERIES + EXPECT.replace("R10", "R01"), 3, "rule R01 is switched off"),
        (SERIES + EXPECT.replace('"ok"', '"fire"'), 3, 'state cannot be "fire"'),
        (SERIES + EXPECT.replace("at = 1", "at = -1"), 3, "expect.at must not be negative"),
        (SERIES + EXPECT.replace("at = 1", "at = true"), 3, "expect.at must be seconds, such as"),
        (SERIES + EXPECT.replace("at = 1", "at = 1e9"), 0, "the test has more than 100000 ticks"),
        (SERIES + EXPECT.replace("at", "att"), 3, "unknown key expect.att; did you mean at?"),
        (SERIES + EXPECT + '[[outage]]\nsource = "hots"\n', 7, 'source cannot be "hots"; did you'),
        (SERIES + EXPECT + '[[outage]]\nsource = "host"\nfrom = 3\nto = 2\n', 7,
         "an outage ends after its begin"),
        (EXPECT + '[series]\n"resources.cpu.percnt" = 3\n', 6, "unknown name resources.cpu.percnt"),
        (EXPECT + '[series]\n"resources.cpu.per_core" = 3\n', 6, "resources.cpu.per_core: it must "
         "say which element"),
        (EXPECT + '[series]\n"redis.keys > 3" = 3\n', 6, "redis.keys > 3: a series is of one"),
        (EXPECT + "[series]\n'operations.p95' = 3\n", 6, "operations.p95: it must say which"),
        (EXPECT + "[series]\n'operations[service=\"a\"].p95' = 3\n", 6, "operations[service="),
        (EXPECT + "[series]\n'sources[name=\"a\"].age' = 3\n", 6, 'sources[name="a"].age: sources '
         "cannot be given in a test; write [[outage]]"),
        (EXPECT + "[series]\n'redis.latency' = '3MB'\n", 6, "redis.latency: '3MB' is in bytes"),
        (EXPECT + "[series]\n'redis.latency' = ''\n", 6, "redis.latency: the series has no values"),
        (EXPECT + "[series]\n'redis.latency' = '1x999999'\n", 6, "redis.latency: '1x999999': from"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_used(text: str, line: int, expected: str) -> None:
    with pytest.raises(RuleTestError) as caught:
        parse_test(text, configured_rules(Settings()))
    assert caught.value.reason.startswith(expected)
    assert caught.value.line == line


def series(name: str, given: object) -> tuple[object, ...]:
    return samples(given, check(parse(name), name))


def test_notation() -> None:
    assert series("redis.latency", "500msx2 _x2 1 2..4x3 7..9x1") == (
        0.5, 0.5, None, None, 1.0, 2.0, 3.0, 4.0, 9.0,
    )  # fmt: skip
    assert series("redis.latency", [1, "20ms", "_"]) == (1.0, 0.02, None)
    assert series("redis.keys", 7) == (7.0,)
    assert series("redis.role", "masterx2 replica") == ("master", "master", "replica")
    assert series('pools[name="a"].servers[id="b"].overloaded', "truex2 false") == (
        True, True, False,
    )  # fmt: skip


@given(st.one_of(st.text(max_size=20), st.lists(st.one_of(st.none(), st.floats(), st.text()))))
def test_any_series_gives_values_or_its_own_error(given: object) -> None:
    try:
        found = series("redis.latency", given)
    except NotationError:
        return
    assert found
    assert all(v is None or (isinstance(v, float) and math.isfinite(v)) for v in found)


NAMES = [
    "resources.cpu.percent",
    "resources.cpu.per_core[2]",
    "resources.cpu.load[0]",
    "resources.memory.percent",
    "resources.cgroup.throttled_percent",
    "resources.pressure.io.full_avg60",
    "redis.latency",
    "redis.hit_ratio.seconds_100",
    'operations[service="shop", operation="a b"].p95',
    'operations[service="shop", operation="a b", window="5min"].count',
    'services[name="shop"].caches[namespace="n"].tiers[tier="memory"].hit_ratio.seconds_10',
    'services[name="shop"].instances[id="i"].loop_lag.p95',
    'pools[name="web"].servers[id="w1"].cpu_usage',
    'processes[name="worker", pid=7].cpu_percent',
    "process_counts.total",
    'file_systems.rows[mount="/"].used_percent',
    'descriptors.rows[name="x"].open',
    "descriptors.open",
    "host.cpus",
    "monitor.cpu_percent",
]


def _part_of(name: str) -> str:
    root = re.split(r"[.\[]", name)[0]
    return {"operations": "services", "process_counts": "processes"}.get(root, root)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.sampled_from(NAMES), st.one_of(st.none(), st.integers(1, 50)), min_size=1)
)
def test_snapshots_have_the_values_of_the_series(values: dict[str, int | None]) -> None:
    paths: dict[NamePath, float | None] = {}
    for name, value in values.items():
        path = parse(name)
        assert isinstance(path, NamePath)
        paths[path] = None if value is None else float(value)
    snapshot = snapshot_at(3, 2.0, paths, ())
    assert (snapshot.monotonic, snapshot.version) == (1006.0, 4)
    for name, value in values.items():
        wanted = [] if value is None else [float(value)]
        shared = [other for other in values if _part_of(other) == _part_of(name)]
        if len(shared) == 1:
            found = [reading.value for reading in compile_expression(name).measure(snapshot)]
            assert found == wanted, name


def test_an_outage_takes_the_values_and_the_state_of_a_source() -> None:
    path, other = parse("redis.latency"), parse("resources.cpu.percent")
    assert isinstance(path, NamePath)
    assert isinstance(other, NamePath)
    snapshot = snapshot_at(0, 1.0, {path: 0.5, other: 9.0}, ["redis"])
    assert isinstance(snapshot.redis, Absent)
    assert {s.name: s.state for s in snapshot.sources} == {
        "redis": State.UNAVAILABLE,
        "host": State.OK,
    }
    assert [r.value for r in compile_expression("resources.cpu.percent").measure(snapshot)] == [9.0]


def test_rules_of_each_root_can_be_tested() -> None:
    """A rule of one's own over each name fires in a replay of a series that is above its level."""
    for name in NAMES:
        if ".count" in name:
            continue
        table = RuleSettings(
            expr=f"{name} > 5" if "hit_ratio" not in name else f"{name} > 5%", hold=0
        )
        given = Settings(rules={"mine": table})
        value = 40 if "hit_ratio" not in name else 0.5
        text = f"[series]\n'{name}' = {value}\n" + EXPECT.replace("R10", "mine").replace(
            '"ok"', '"firing"'
        )
        rules = configured_rules(given)
        assert replay(parse_test(text, rules), rules) == [], name


def test_a_rule_that_stays_ok_says_at_which_values(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.toml").write_text(
        "[rules.slow]\nexpr = 'operations.p95 > 500ms'\nmin_n = 30\nfor = 0\n"
        "[rules.fill]\nexpr = 'redis.memory_used / redis.memory_limit > 90%'\n"
        "[rules.workers]\nexpr = 'count(processes[name=\"gunicorn\"]) < 4'\n"
    )
    pay = 'operations[service="shop", operation="pay"]'
    path = tmp_path / "test.toml"
    path.write_text(
        'interval = "10s"\n[series]\n'
        f"'{pay}.p95' = '900ms'\n'{pay}.count' = 10\n"
        '"redis.memory_used" = "10MB"\n"redis.memory_limit" = "100MB"\n'
        + "".join(
            f'[[expect]]\nat = "5min"\nrule = "{rule}"\nstate = "firing"\n{more}'
            for rule, more in (
                ("slow", ""),
                ("slow", 'subject = "shop/buy"\n'),
                ("fill", ""),
                ("workers", ""),
            )
        )
    )
    arguments = ("test", str(path), "--config", str(tmp_path / "own.toml"))
    assert run(*arguments) == 1
    told = [line.partition(", but is ")[2] for line in capfd.readouterr().out.splitlines()]
    assert told == [
        "ok at 900 ms for shop/pay of 10 calls, which says nothing below 30",
        "ok, without a value for it (there is one for shop/pay)",
        "ok at 0.10 for redis",
        "ok, without any value",
        "",
    ]
    assert run(*arguments, "--json") == 1
    document = json.loads(capfd.readouterr().out)
    assert (document["expectations"], document["met"]) == (4, 0)
    assert document["failures"][1] == {
        "line": 11,
        "at": 300.0,
        "rule": "slow",
        "state": "firing",
        "severity": "",
        "subject": "shop/buy",
        "found": "ok, without a value for it (there is one for shop/pay)",
    }


def test_check_as_json(run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "[rules.a]\nexpr = 'redis.p96 > 1'\n[rules.R10]\nwarn = \"5s\"\n")
    assert run("check", path, "--json") == 2
    document = json.loads(capfd.readouterr().out)
    first, second = document["problems"]
    assert first["setting"] == "rules.a.expr"
    assert first["place"] == f"{path} line 2"
    assert first["reason"].startswith("unknown name redis.p96")
    assert first["excerpt"] == ["  redis.p96 > 1", "        ^"]
    assert second["setting"] == "rules.R10.warn"
    assert second["excerpt"] == []
    path = written(tmp_path, "[rules.R10]\nwarn = 85\n")
    assert run("check", path, "--json") == 0
    assert json.loads(capfd.readouterr().out) == {"problems": []}
