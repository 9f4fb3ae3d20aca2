"""`perftui queries` from files and from Redis."""

from __future__ import annotations

import io
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from redis_fixture import RedisProcess
from test_query_reports import observed, send

from perftui.cli import main


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return a log whose latency grows with rows, offset, and is repeated."""
    path = tmp_path / "queries.jsonl"
    random = Random(2)
    lines = []
    for number in range(300):
        size = random.choice([20, 50, 100, 200])
        offset = random.choice([0, 10_000, 50_000])
        latency = (0.001 + 1e-5 * size + 3e-7 * offset) * random.uniform(0.95, 1.05)
        lines.append(
            json.dumps(
                {
                    "time": 1_700_000_000 + number,
                    "query": {
                        "endpoint": "GET /items",
                        "parameters": {"page_size": size, "offset": offset},
                        "filters": {"city": "Secretville"},
                    },
                    "latency": latency,
                    "rows_returned": size,
                    "rows_examined": size + offset,
                    "bytes": 100 * size,
                    "client": "web",
                }
            )
        )
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_log_is_analysed_as_text(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["queries", "analyze", str(log)]) == 0
    out = capsys.readouterr().out
    assert "300 observations of 1 shapes" in out
    assert "P8  go on from the last row" in out
    assert "all of it together saves" in out
    assert "Secretville" not in out


def test_a_log_is_analysed_as_json_and_one_query_explained(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["queries", "analyze", str(log), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (shape,) = found["queries"]["shapes"]
    assert shape["endpoint"] == "GET /items"
    assert 0 < shape["saving"]["percent"] <= 100
    assert main(["queries", "explain", shape["id"][:6], str(log)]) == 0
    assert shape["steps"][0]["title"] in capsys.readouterr().out


def test_standard_input_is_read(
    log: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(log.read_text()))
    assert main(["queries", "analyze", "-"]) == 0
    assert "standard input" in capsys.readouterr().out


def test_wrong_lines_are_left_out_and_counted(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.write_text('{"query": {}, "latency": "x"}\nnot json\n' + log.read_text())
    assert main(["queries", "analyze", str(log)]) == 0
    captured = capsys.readouterr()
    assert "2 lines were left out; the first: line 1" in captured.err
    assert "300 observations" in captured.out


def test_a_catalogue_is_heeded_and_a_wrong_one_named(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalogue = tmp_path / "facts.toml"
    catalogue.write_text('["GET /items"]\nmax_page_size = 100\n')
    assert main(["queries", "analyze", str(log), "--catalogue", str(catalogue)]) == 0
    capsys.readouterr()
    catalogue.write_text('["GET /items"]\nmax_page_size = 0\n')
    assert main(["queries", "analyze", str(log), "--catalogue", str(catalogue)]) == 2
    assert "max_page_size" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["queries", "analyze"], "--redis URL"),
        (["queries", "analyze", "/nowhere.jsonl"], "/nowhere.jsonl: No such file"),
        (["queries", "explain"], "say which"),
        (["queries", "explain", "ab"], "too short"),
        (["queries", "analyze", "a", "b"], "argument b does not belong here"),
        (["queries", "analyze", "--window", "x", "-"], "--window"),
        (["queries", "analyze", "--limit", "0", "-"], "--limit"),
    ],
)
def test_what_is_wrong_is_named(
    arguments: list[str],
    told: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    assert main(arguments) in (1, 2)
    assert told in capsys.readouterr().err


def test_an_unknown_id_is_named(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["queries", "explain", "abcdef", str(log)]) == 1
    assert "no query has the ID 'abcdef'" in capsys.readouterr().err


def test_an_empty_log_exits_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_text("")
    assert main(["queries", "analyze", str(path)]) == 1
    assert "has no observation" in capsys.readouterr().err


def test_what_services_report_is_analysed(
    redis_server: RedisProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    send(redis_server, observed(), "one")
    assert main(["queries", "--redis", redis_server.url, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["queries"]["services"] == ["api"]


def test_without_reports_the_way_to_get_them_is_told(
    redis_server: RedisProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["queries", "analyze", "--redis", redis_server.url]) == 1
    assert "QueryMiddleware" in capsys.readouterr().err
