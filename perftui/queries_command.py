"""`perftui queries`: advice on API queries, from a log or from what services report.

Standard output is data, standard error is narration.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from perftui.cache_progress import say
from perftui.output.document import plain_value, without_points
from perftui.output.once_queries import QueriesWriter
from perftui.parser import USAGE, CommandError
from perftui.queries.advice import WEEK
from perftui.queries.catalogue_file import catalogue_of
from perftui.queries.json_lines import read_log
from perftui.queries.log import ObservationLog
from perftui.queries.verification import records
from perftui.snapshot import Absent, Queries, QueryShape, RuleRecord
from perftui.sources.query_shapes import query_shapes

if TYPE_CHECKING:
    import argparse

    from perftui.config import Settings

OK = 0
NOTHING_FOUND = 1
STANDARD_INPUT = "-"
SHORTEST_ID = 4


@dataclass(frozen=True)
class QueriesOptions:
    """What was asked for; `words` are what stands behind the verb."""

    words: tuple[str, ...] = ()
    as_json: bool = False
    catalogue: str = ""
    window: float = WEEK
    most: int = 20
    ascii_only: bool = False


def asked(options: argparse.Namespace) -> QueriesOptions:
    """Return what a command line asks for; raises CommandError for what does not fit."""
    window, most = WEEK, 20
    if options.window is not None:
        try:
            window = float(options.window)
        except ValueError:
            window = -1.0
        if not 0 <= window <= 366 * 86_400:
            raise CommandError(
                f"--window is {options.window!r}; it must be seconds from 0 to a year", USAGE
            )
    if options.limit is not None:
        if not options.limit.isdecimal() or not 1 <= int(options.limit) <= 10_000:
            raise CommandError(f"--limit is {options.limit!r}; it must be 1 to 10000", USAGE)
        most = int(options.limit)
    return QueriesOptions(
        words=tuple(options.words),
        as_json=options.json,
        catalogue=options.catalogue or "",
        window=window,
        most=most,
    )


def run(
    what: str, settings: Settings, options: QueriesOptions, write: Callable[[str], bool]
) -> int:
    """Run analyze or explain; return the exit code. Raises CommandError when it cannot."""
    words = list(options.words)
    wanted = ""
    if what == "explain":
        if not words:
            raise CommandError("say which: perftui queries explain ID [FILE]", USAGE)
        wanted = words.pop(0)
        if len(wanted) < SHORTEST_ID:
            raise CommandError(
                f"{wanted!r} is too short for an ID; {SHORTEST_ID} characters are needed", USAGE
            )
    if len(words) > 1:
        raise CommandError(f"argument {words[1]} does not belong here", USAGE)
    queries = _of_file(words[0], options) if words else _of_redis(settings)
    writer = QueriesWriter(options.ascii_only)
    if what == "explain":
        shape = _found(queries, wanted)
        if options.as_json:
            write(_json({"query": shape}))
        else:
            write("\n".join(writer.shape(shape)) + "\n")
        return OK
    if options.as_json:
        write(_json({"queries": without_points(queries)}))
    else:
        write("\n".join(writer.queries(queries, options.most)) + "\n")
    return OK if queries.shapes else NOTHING_FOUND


def _of_file(name: str, options: QueriesOptions) -> Queries:
    log = ObservationLog()
    wrong: list[str] = []

    def bad_line(number: int, fault: str) -> None:
        wrong.append(f"line {number}: {fault}")

    try:
        catalogue = catalogue_of(options.catalogue or None)
        lines = sys.stdin if name == STANDARD_INPUT else Path(name)
        for observation in read_log(lines, bad_line):
            log.add(observation)
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}") from None
    except ValueError as error:
        raise CommandError(str(error), USAGE) from None
    log.end_sessions()
    if wrong:
        say(f"{len(wrong):,} lines were left out; the first: {wrong[0]}")
    evidence = log.evidence()
    service = "standard input" if name == STANDARD_INPUT else Path(name).name
    shapes, changes = query_shapes(service, evidence, catalogue, options.window)
    if not shapes:
        say(f"{name} has no observation")
    return Queries(
        shapes=shapes,
        since=evidence.since,
        until=evidence.until,
        observations=sum(shape.calls for shape in evidence.shapes),
        other=evidence.other,
        services=(service,),
        processes=1,
        records=tuple(
            RuleRecord(each.rule, each.verified, each.hits, 100 * each.error)
            for each in records(changes)
        ),
        notes=(f"{len(wrong):,} lines of the log were left out",) if wrong else (),
    )


def _of_redis(settings: Settings) -> Queries:
    from perftui.monitor import collect

    if not settings.redis.url:
        raise CommandError(
            "name the FILE of a log, - for standard input, or give --redis URL (or set REDIS_URL)",
            USAGE,
        )
    replace = msgspec.structs.replace
    alone = replace(settings, monitor=replace(settings.monitor, sources=["queries"]))
    found = collect(alone, 1.0).queries
    if isinstance(found, Absent):
        raise CommandError(f"{found.reason}; {found.fix}" if found.fix else found.reason)
    return found


def _found(queries: Queries, wanted: str) -> QueryShape:
    """Return the shape whose id begins so; raises CommandError for none and for several."""
    found = [shape for shape in queries.shapes if shape.id.startswith(wanted.lower())]
    if len(found) == 1:
        return found[0]
    if not found:
        known = ", ".join(shape.id for shape in queries.shapes[:5]) or "there is none"
        raise CommandError(f"no query has the ID {wanted!r} (the first: {known})")
    raise CommandError(f"{len(found)} queries have an ID that begins with {wanted!r}")


def _json(parts: dict[str, object]) -> str:
    states: dict[str, object] = {}
    plain = {name: plain_value(value, name, states) for name, value in parts.items()}  # type: ignore[arg-type]
    return json.dumps({**plain, "states": states}, indent=2, ensure_ascii=False) + "\n"
