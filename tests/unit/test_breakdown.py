from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from profiled_sample import named, profile, profiles

from perftui.profiling.breakdown import By, breakdown, whole_seconds
from perftui.profiling.modules import module_name, module_names
from perftui.snapshot import Absent, Call, Place, ProfiledThread, Stack, State, TopCalls

BYS = st.sampled_from(["function", "line", "file", "module"])


def stacks_of(calls: TopCalls) -> list[tuple[list[Place], Stack]]:
    assert not isinstance(calls.stacks, Absent)
    places = calls.stacks.places
    return [([places[n] for n in s.places], s) for s in calls.stacks.stacks if s.places]


@given(profiles(), BYS, st.booleans())
def test_own_percents_are_the_whole_and_no_total_is_more(
    calls: TopCalls, by: By, per_thread: bool
) -> None:
    rows = breakdown(calls, by, per_thread)
    assert not isinstance(calls.stacks, Absent)
    kept = sum(stack.seconds for _, stack in stacks_of(calls))
    assert sum(row.own for row in rows) == pytest.approx(kept)
    whole = whole_seconds(calls.stacks)
    if rows:
        expected = 100 * kept / whole
        assert sum(row.own_percent for row in rows) == pytest.approx(expected)
    for row in rows:
        assert 0 <= row.own_percent <= row.total_percent <= 100
        assert row.own <= row.total <= whole * (1 + 1e-9)
    assert list(rows) == sorted(rows, key=lambda row: -row.own)


@given(profiles(), BYS)
def test_each_stack_counts_once_in_the_total_of_a_row(calls: TopCalls, by: By) -> None:
    assert not isinstance(calls.stacks, Absent)
    modules = module_names(calls.stacks)
    keys = {
        "function": lambda p: (p.function, p.file),
        "line": lambda p: p,
        "file": lambda p: p.file,
        "module": lambda p: modules[p.file],
    }
    key = keys[by]
    totals: dict[object, float] = {}
    for path, stack in stacks_of(calls):
        for one in {key(place) for place in path}:
            totals[one] = totals.get(one, 0.0) + stack.seconds
    found = sorted(row.total for row in breakdown(calls, by))
    assert found == pytest.approx(sorted(totals.values()))


@given(profiles())
def test_the_threads_of_a_row_add_up_to_it(calls: TopCalls) -> None:
    apart: dict[tuple[str, str], float] = {}
    rows = breakdown(calls, per_thread=True)
    for row in rows:
        assert row.thread
        key = (row.function, row.file)
        apart[key] = apart.get(key, 0.0) + row.total
    assert len({(row.function, row.file, row.thread) for row in rows}) == len(rows)
    merged = {(row.function, row.file): row.total for row in breakdown(calls)}
    assert apart == pytest.approx(merged)


def test_recursion_counts_once_with_its_innermost_line() -> None:
    calls = named(("main:9>walk:3>walk:3>walk:5", 4.0), ("main:9", 1.0))
    rows = {row.function: row for row in breakdown(calls)}
    assert rows["walk"] == Call("walk", "/srv/shop/shop.py", 5, 80.0, 80.0, 4.0, 4.0)
    assert rows["main"] == Call("main", "/srv/shop/shop.py", 9, 20.0, 100.0, 1.0, 5.0)


def test_stacks_that_were_left_out_are_part_of_the_whole() -> None:
    calls = named(("main", 3.0))
    assert not isinstance(calls.stacks, Absent)
    calls = replace(calls, stacks=replace(calls.stacks, left_out=1.0))
    assert [row.own_percent for row in breakdown(calls)] == [75.0]


def test_rows_by_line_file_and_module() -> None:
    calls = profile(
        [
            Place("<module>", "/srv/app/main.py", 4),
            Place("price", "/srv/app/shop/price.py", 8),
            Place("price", "/srv/app/shop/price.py", 9),
            Place("loads", "/usr/lib/python3.11/json/decoder.py", 335),
        ],
        [Stack(0, (0, 1, 3), 2.0, 20), Stack(0, (0, 2), 1.0, 10), Stack(0, (0, 1), 1.0, 10)],
    )

    def shown(by: By) -> list[tuple[str, str, int, float, float]]:
        rows = breakdown(calls, by)
        return [(r.function, r.file, r.line, r.own, r.total) for r in rows]

    assert shown("line") == [
        ("loads", "/usr/lib/python3.11/json/decoder.py", 335, 2.0, 2.0),
        ("price", "/srv/app/shop/price.py", 8, 1.0, 3.0),
        ("price", "/srv/app/shop/price.py", 9, 1.0, 1.0),
        ("<module>", "/srv/app/main.py", 4, 0.0, 4.0),
    ]
    assert shown("file") == [
        ("price.py", "/srv/app/shop/price.py", 0, 2.0, 4.0),
        ("decoder.py", "/usr/lib/python3.11/json/decoder.py", 0, 2.0, 2.0),
        ("main.py", "/srv/app/main.py", 0, 0.0, 4.0),
    ]
    assert [row[0] for row in shown("module")] == ["shop.price", "json.decoder", "main"]


def test_threads_of_one_name_stay_apart() -> None:
    calls = profile(
        [Place("work", "w.py", 1)],
        [Stack(0, (0,), 2.0, 20), Stack(1, (0,), 1.0, 10), Stack(2, (0,), 0.5, 10)],
        [
            ProfiledThread(7, 11, "pool", 0.4, 20),
            ProfiledThread(7, 12, "pool", 0.2, 10),
            ProfiledThread(7, 13, "", 0.1, 10),
        ],
    )
    rows = breakdown(calls, per_thread=True)
    assert [(row.thread, row.own) for row in rows] == [
        ("pool 11", 2.0), ("pool 12", 1.0), ("thread 13", 0.5),
    ]  # fmt: skip


def test_without_stacks_there_are_only_functions_of_all_threads() -> None:
    row = Call("f", "f.py", 1, 100.0, 100.0)
    calls = replace(named(("f", 1.0)), calls=(row,), stacks=Absent(State.NOT_COLLECTED, "no"))
    assert breakdown(calls) == (row,)
    assert breakdown(calls, "line") == ()
    assert breakdown(calls, per_thread=True) == ()


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("shop/price.py", "shop.price"),
        ("/srv/app/shop/price.py", "shop.price"),
        ("/srv/app/shop/__init__.py", "shop"),
        ("/usr/lib/python3.11/json/decoder.py", "json.decoder"),
        ("/usr/local/lib/python3.13t/threading.py", "threading"),
        ("/opt/lib/python3.11/lib-dynload/_decimal.py", "_decimal"),
        ("C:\\Python311\\Lib\\json\\decoder.py", "json.decoder"),
        ("/v/lib/python3.11/site-packages/redis/client.py", "redis.client"),
        ("/usr/lib/python3/dist-packages/apt/cache.py", "apt.cache"),
        ("/v/bin/gunicorn", "gunicorn"),
        ("<frozen importlib._bootstrap>", "importlib._bootstrap"),
        ("<string>", "<string>"),
        ("/lib/x86_64-linux-gnu/libc.so.6", "libc.so.6"),
        ("/usr/bin/python3.11", "python3.11"),
        ("", "(no file)"),
    ],
)
def test_modules_by_file(file: str, name: str) -> None:
    assert module_name(file, "/srv/app/") == name


@pytest.mark.parametrize(
    ("begin", "files", "names"),
    [
        # A script lies where its modules are found.
        ("<module>", ["/srv/app/main.py", "/srv/app/shop/price.py"], ["main", "shop.price"]),
        # Run by a server, the only directory that is known is a package.
        ("run", ["/srv/app/shop/price.py"], ["shop.price"]),
        ("run", ["/srv/app/shop/api.py", "/srv/app/shop/db/q.py"], ["shop.api", "shop.db.q"]),
        ("<module>", ["main.py", "shop/price.py"], ["main", "shop.price"]),
        ("run", ["shop/price.py"], ["shop.price"]),
        ("run", ["/price.py", "/shop/tax.py"], ["price", "shop.tax"]),
        ("run", ["/a/x/price.py", "/b/y/tax.py"], ["a.x.price", "b.y.tax"]),
    ],
)
def test_modules_are_named_from_where_the_program_lies(
    begin: str, files: list[str], names: list[str]
) -> None:
    places = [Place(begin, files[0], 1), *(Place("f", file, 2) for file in files[1:])]
    calls = profile(places, [Stack(0, tuple(range(len(places))), 1.0, 1)])
    assert not isinstance(calls.stacks, Absent)
    found = module_names(calls.stacks)
    assert [found[file] for file in files] == names
