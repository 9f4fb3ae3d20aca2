"""Statements of SQLAlchemy and Django are noted in the request that runs them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from perftui.queries.explain_postgresql import plan_of
from perftui.queries.plan import counts, explainable
from perftui.queries.sqlalchemy_hook import observe_engine
from perftui.queries.statements import collecting, current


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Return an observed engine over a table of 1,000 rows with an index on city."""
    made = create_engine(f"sqlite:///{tmp_path / 'items.db'}")
    with made.begin() as connection:
        connection.execute(text("CREATE TABLE items (id INTEGER PRIMARY KEY, city, price)"))
        connection.execute(
            text("INSERT INTO items VALUES (:id, :city, :price)"),
            [{"id": n, "city": f"c{n % 10}", "price": n * 7 % 101} for n in range(1, 1_001)],
        )
        connection.execute(text("CREATE INDEX by_city ON items (city)"))
        connection.execute(text("ANALYZE"))
    hook = observe_engine(made)
    yield made
    hook.remove()
    made.dispose()


def run(engine: Engine, *statements: str, explain: bool = True) -> Any:
    with collecting(explain) as found, engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement)).fetchall()
    return found


@pytest.mark.parametrize(
    ("statement", "examined", "index", "sorts"),
    [
        ("SELECT * FROM items WHERE price > 3", 1_000, "", False),
        ("SELECT * FROM items WHERE price > 3 ORDER BY price LIMIT 5", 1_000, "", True),
        ("SELECT * FROM items WHERE city = 'c3'", 100, "by_city", False),
        ("SELECT * FROM items WHERE price > 3 LIMIT 5", None, "", False),
        ("SELECT * FROM items WHERE id = 7", 1, "PRIMARY KEY", False),
        ("SELECT a.id FROM items a JOIN items b ON a.price = b.id", None, "PRIMARY KEY", False),
    ],
)
def test_sqlite_tells_rows_index_and_sort(
    engine: Engine, statement: str, examined: int | None, index: str, sorts: bool
) -> None:
    found = run(engine, statement)
    assert found.count == 1
    assert (found.rows_examined, found.sorted_in_memory) == (examined, sorts)
    assert found.index_used in (index, "" if "JOIN" in statement else index)
    assert found.seconds > 0


def test_only_the_first_reading_statement_is_explained_and_all_are_counted(engine: Engine) -> None:
    found = run(
        engine,
        "SELECT count(*) FROM items",
        "SELECT * FROM items WHERE city = 'c1'",
        "SELECT * FROM items",
    )
    assert found.count == 3
    assert found.rows_examined == 100
    assert found.count_seconds is not None
    assert found.count_seconds > 0


def test_nothing_is_explained_unless_it_may_be(engine: Engine) -> None:
    found = run(engine, "SELECT * FROM items", explain=False)
    assert (found.count, found.index_used, found.sorted_in_memory) == (1, None, None)


def test_outside_of_a_request_nothing_is_noted(engine: Engine) -> None:
    assert current() is None
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM items")).scalar() == 1_000


def test_an_explain_that_fails_leaves_the_service_alone(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*arguments: Any) -> Any:
        raise RuntimeError("no plan")

    monkeypatch.setattr("perftui.queries.sqlalchemy_hook.explain_sqlite", failing)
    found = run(engine, "SELECT * FROM items WHERE city = 'c1'")
    assert (found.count, found.index_used) == (1, None)
    # It rests for a while.
    monkeypatch.undo()
    assert run(engine, "SELECT * FROM items WHERE city = 'c1'").index_used is None


def test_a_removed_hook_notes_nothing(engine: Engine) -> None:
    hook = observe_engine(engine)
    hook.remove()
    assert run(engine, "SELECT 1").count == 1


def test_what_is_no_engine_is_refused() -> None:
    with pytest.raises(TypeError, match="engine"):
        observe_engine(object())


def test_requests_in_tasks_are_apart() -> None:
    async def one(number: int) -> int:
        with collecting() as found:
            for _ in range(number):
                mine = current()
                assert mine is found
                mine.count += 1
                await asyncio.sleep(0)
            return found.count

    async def both() -> list[int]:
        return await asyncio.gather(*(one(number) for number in range(5)))

    assert asyncio.run(both()) == [0, 1, 2, 3, 4]


DJANGO = """
import django
from django.conf import settings
settings.configure(DATABASES={{"default": {{"ENGINE": "django.db.backends.sqlite3",
    "NAME": {path!r}}}}}, INSTALLED_APPS=[])
django.setup()
from django.db import connection
from perftui.queries.django_hook import observe_connections
from perftui.queries.statements import collecting
observe_connections()
observe_connections()
with connection.cursor() as cursor:
    cursor.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, city, price)")
    cursor.executemany("INSERT INTO items VALUES (%s, %s, 1)", [(n, f"c{{n % 4}}")
        for n in range(1, 201)])
    cursor.execute("CREATE INDEX by_city ON items (city)")
    cursor.execute("ANALYZE")
with collecting(True) as found:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM items")
        cursor.execute("SELECT * FROM items WHERE city = %s ORDER BY price", ["c3"])
        print(len(cursor.fetchall()), end=" ")
print(found.count, found.rows_examined, found.index_used, found.sorted_in_memory,
      found.count_seconds > 0)
"""


def test_django_tells_statements_and_plans(tmp_path: Path) -> None:
    code = DJANGO.format(path=str(tmp_path / "django.db"))
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stdout.strip() == "50 2 50 by_city True True", ended.stderr


def scan(kind: str, **more: Any) -> dict[str, Any]:
    return {"Node Type": kind, "Relation Name": "items", **more}


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (scan("Seq Scan", **{"Plan Rows": 5, "Filter": "(a = 1)"}), (1_000, "", False)),
        (scan("Index Scan", **{"Index Name": "by_a", "Plan Rows": 12}), (12, "by_a", False)),
        (
            scan("Index Scan", **{"Index Name": "by_a", "Plan Rows": 12, "Filter": "(b = 1)"}),
            (None, "by_a", False),
        ),
        (
            {"Node Type": "Limit", "Plans": [scan("Seq Scan", **{"Plan Rows": 5})]},
            (None, "", False),
        ),
        (
            {
                "Node Type": "Limit",
                "Plans": [{"Node Type": "Sort", "Plans": [scan("Seq Scan", **{"Plan Rows": 5})]}],
            },
            (1_000, "", True),
        ),
        (
            scan(
                "Seq Scan",
                **{"Actual Rows": 7, "Rows Removed by Filter": 93, "Actual Loops": 2},
            ),
            (200, "", False),
        ),
        (
            {
                "Node Type": "Bitmap Heap Scan",
                "Relation Name": "items",
                "Plan Rows": 40,
                "Plans": [{"Node Type": "Bitmap Index Scan", "Index Name": "by_a"}],
            },
            (40, "by_a", False),
        ),
    ],
)
def test_plans_of_postgresql(plan: dict[str, Any], told: tuple[int | None, str, bool]) -> None:
    assert tuple(plan_of([{"Plan": plan}], lambda table: 1_000)) == told


@pytest.mark.parametrize(
    ("statement", "reads"),
    [
        ("SELECT * FROM a", True),
        ("  /* x */ select 1 from a", True),
        ("-- said\nWITH a AS (SELECT 1) SELECT * FROM a", True),
        ("WITH a AS (DELETE FROM b RETURNING *) SELECT * FROM a", False),
        ("SELECT * FROM a FOR UPDATE", False),
        ("SELECT 1", False),
        ("UPDATE a SET b = 1", False),
    ],
)
def test_only_what_reads_is_explained(statement: str, reads: bool) -> None:
    assert explainable(statement) is reads


def test_counting_is_known() -> None:
    assert counts("SELECT COUNT(*) FROM a")
    assert not counts("SELECT a, count(*) FROM b GROUP BY a")
