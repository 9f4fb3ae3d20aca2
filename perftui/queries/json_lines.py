"""A log of observations as JSON Lines: one mapping a line, keys as `observe` names them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from perftui.queries.observation import Observation
from perftui.queries.observed import observed
from perftui.queries.query_parse import parse_query

LONGEST_LINE: Final = 4_000_000
_OPTIONAL: Final = (
    *("fields_returned", "fields_read", "rows_consumed", "rows_examined", "bytes", "client"),
    *("session", "read_mode", "index_used", "sorted_in_memory", "count_latency", "total_rows"),
    *("status", "statements"),
)


def read_log(
    source: str | Path | Iterable[str],
    bad_line: Callable[[int, str], None] | None = None,
) -> Iterator[Observation]:
    """Yield the observations of a file or of lines; empty lines are left out.

    A line is `{"query": {…}, "latency": seconds, "rows_returned": n, "time": Unix seconds, …}`.
    `bad_line` is told number and fault of a line that is wrong, which is then left out; without
    it ValueError is raised, naming the line. Raises OSError if the file cannot be read.
    """
    if isinstance(source, str | Path):
        with Path(source).open(encoding="utf-8", errors="replace") as lines:
            yield from _observations(lines, str(source), bad_line)
    else:
        yield from _observations(source, "log", bad_line)


def _observations(
    lines: Iterable[str], name: str, bad_line: Callable[[int, str], None] | None
) -> Iterator[Observation]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = _observation(line)
        except ValueError as error:
            if bad_line is None:
                raise ValueError(f"{name}: line {number}: {error}") from None
            bad_line(number, str(error))
            continue
        yield found


def _observation(line: str) -> Observation:
    if len(line) > LONGEST_LINE:
        raise ValueError(f"{len(line):,} characters are more than {LONGEST_LINE:,}")
    try:
        record: Any = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise ValueError("not JSON of sensible depth") from None
    if not isinstance(record, dict):
        raise ValueError("a mapping is wanted")  # noqa: TRY004
    for key in ("query", "latency", "rows_returned"):
        if key not in record:
            raise ValueError(f'the key "{key}" is missing')
    moment = record.get("time", time.time())
    if isinstance(moment, bool) or not isinstance(moment, int | float) or moment != moment:
        raise ValueError("time: Unix seconds are wanted")
    query = parse_query(record["query"])
    more = {key: record[key] for key in _OPTIONAL if key in record}
    if more.get("client") is None and isinstance(record["query"].get("client"), str):
        more["client"] = record["query"]["client"]
    return observed(query, float(moment), record["latency"], record["rows_returned"], **more)
