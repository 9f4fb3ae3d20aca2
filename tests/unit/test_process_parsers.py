"""Parsers of /proc/PID: hostile names, command lines, users and the question of Python."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from process_tree import KERNEL_THREAD, stat_line

from perftui.sources.processes.details import command_text, effective_uid, runs_python
from perftui.sources.processes.scan_plan import NEWCOMER_COST, SMALLEST_PASS, ScanPlan
from perftui.sources.processes.stat import ProcessStat, parse_stat


def test_all_fields_come_from_their_places() -> None:
    raw = stat_line(
        7, "a", state="D", ppid=3, flags=KERNEL_THREAD | 64, ticks=5, threads=4, start=99, rss=12,
        stack=1234,
    )  # fmt: skip
    raw = raw.replace(b" 5 0 0 0 20 ", b" 5 6 70 80 20 ")
    assert parse_stat(raw) == ProcessStat("a", "D", 3, True, 11, 4, 99, 12, 1234)


@pytest.mark.parametrize("name", ["a) R (b\n", "", ")", "(sd-pam)", "x y\tz", "[/x]", ") S 1 2"])
def test_hostile_names(name: str) -> None:
    stat = parse_stat(stat_line(7, name, state="T", ppid=42))
    assert (stat.name, stat.state, stat.ppid) == (name, "T", 42)


@given(st.binary(max_size=64), st.sampled_from("RSDZTtXI"), st.integers(0, 1 << 22))
def test_any_name_comes_back_and_can_be_encoded(name: bytes, state: str, ppid: int) -> None:
    stat = parse_stat(stat_line(9, name, state=state, ppid=ppid))
    assert (stat.state, stat.ppid) == (state, ppid)
    assert stat.name == name.decode("utf-8", "backslashreplace")
    msgspec.json.encode(stat.name)


@given(st.binary())
def test_garbage_is_refused_with_value_error(raw: bytes) -> None:
    try:
        stat = parse_stat(raw)
    except ValueError:
        return
    assert stat.state


@given(st.binary())
def test_any_command_line_can_be_encoded_and_is_never_empty(cmdline: bytes) -> None:
    text = command_text(cmdline, "name")
    assert text
    assert "\0" not in text
    msgspec.json.encode(text)


@pytest.mark.parametrize(
    ("cmdline", "text"),
    [
        (b"", "[kworker/0:1]"),
        (b"\0\0", "[kworker/0:1]"),
        (b"nginx: master process \0\0\0", "nginx: master process"),
        (b"sh\0-c\0echo 'a b'\0", "sh -c echo 'a b'"),
        (b"a\0\0b\0", "a  b"),
        (b"\x1b[31mred\0[/x]\0", "\x1b[31mred [/x]"),
        (b"caf\xe9\0", "caf\\xe9"),
    ],
)
def test_command_text(cmdline: bytes, text: str) -> None:
    assert command_text(cmdline, "kworker/0:1") == text


@pytest.mark.parametrize(
    ("executable", "cmdline", "expected"),
    [
        ("/usr/bin/python3.11", b"gunicorn: master [app]\0", True),
        ("/usr/bin/python3.11 (deleted)", b"x\0", True),
        ("/opt/py/bin/python3.13t", b"x\0", True),
        ("/usr/bin/python3.12-dbg", b"x\0", True),
        ("/Library/Frameworks/Python", b"x\0", True),
        ("/usr/bin/pypy3.10", b"python3\0", False),
        ("/usr/bin/python-argcomplete", b"python3\0", False),
        ("/usr/bin/bash", b"python3\0", False),
        ("", b"python3\0", False),
        (None, b"/usr/bin/python3\0/usr/bin/celery\0worker\0", True),
        (None, b"gunicorn: worker [app]\0", True),
        (None, b"[celeryd: w@host:MainProcess] -active-\0", True),
        (None, b"/srv/bin/uvicorn\0app:app\0", True),
        (None, b"gunicornish\0", False),
        (None, b"vim\0python3\0", False),
        (None, b"", False),
    ],
)
def test_runs_python(executable: str | None, cmdline: bytes, expected: bool) -> None:
    assert runs_python(executable, cmdline) is expected


def test_effective_uid_is_the_second_number() -> None:
    assert effective_uid(b"Name:\tUid:\nUid:\t1000\t33\t1000\t33\nGid:\t0\n") == 33
    assert effective_uid(b"") is None
    assert effective_uid(b"Name:\tx\nUid:\t") is None


@given(
    st.floats(0, 0.1), st.integers(0, 20_000), st.integers(0, 20_000),
    st.floats(1e-6, 1e-3), st.floats(0, 0.2),
)  # fmt: skip
def test_plan_divides_the_budget_and_starves_nobody(
    budget: float, active: int, newcomers: int, cost: float, rest: float
) -> None:
    plan = ScanPlan(budget)
    plan.learn(1000, 1000 * cost, rest)
    units = plan.units
    assert units >= SMALLEST_PASS
    assert units == SMALLEST_PASS or units * cost <= (budget - rest) * 1.001
    share = plan.share(active, newcomers)
    assert NEWCOMER_COST * share.newcomers + share.active + share.rest <= units
    assert share.rest >= units // 4
    assert share.newcomers > 0 or newcomers == 0
    assert share.active > 0 or active == 0
