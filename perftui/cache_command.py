"""`perftui cache`: what the caches do, which keys there are, deleting by pattern, and undoing it.

Standard output is data, standard error is narration and the question that has to be answered.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar

from perftui import cache_reports as reports
from perftui.cache.audit import operator
from perftui.cache_progress import cancellable, say, show_progress
from perftui.confirmation import confirmation_word
from perftui.parser import FAILURE, USAGE, CommandError
from perftui.text import printable

if TYPE_CHECKING:
    import argparse

    import redis

    from perftui.cache.dry_run import DryRunResult
    from perftui.cache.estimate import Estimate
    from perftui.cache.undo_journal import Journal
    from perftui.config import Settings
    from perftui.sources.redis.target import RedisTarget

T = TypeVar("T")

OK = 0
INCOMPLETE = 3
"""Not all was done: cancelled, or keys that this user may not touch."""
TIMEOUT = 5.0
"""Seconds for one command; a batch takes milliseconds, a server in trouble takes longer."""
MOST_LISTED = 1_000_000
"""Keys that one listing may have at most."""


@dataclass(frozen=True)
class CacheOptions:
    """What was asked for; `argument` is the pattern, or the journal to undo."""

    argument: str | None = None
    as_json: bool = False
    dry_run: bool = False
    yes: bool = False
    gentle: bool = False
    undo: bool = True
    details: bool = False
    full: bool = False
    limit: int | None = None
    seconds: float = 2.0


def asked(options: argparse.Namespace, seconds: float) -> CacheOptions:
    """Return what a command line asks for.

    Raises CommandError for arguments that do not belong together.
    """
    if options.file is not None and options.what in ("stats", "prefixes", "audit"):
        raise CommandError(f"argument {options.file} does not belong here", USAGE)
    limit: str | None = options.limit
    if limit is not None and not (
        limit.isascii() and limit.isdigit() and 1 <= int(limit[:10]) <= MOST_LISTED
    ):
        raise CommandError(
            f"--limit is {limit!r}; it must be a number from 1 to {MOST_LISTED}", USAGE
        )
    return CacheOptions(
        argument=options.file,
        as_json=options.json,
        dry_run=options.dry_run,
        yes=options.yes,
        gentle=options.pace == "gentle",
        undo=not options.no_undo,
        details=options.details,
        full=options.full,
        limit=None if limit is None else int(limit),
        seconds=seconds,
    )


def run(what: str, settings: Settings, options: CacheOptions, write: Callable[[str], bool]) -> int:
    """Run one of stats, scan, get, prefixes, invalidate, undo and audit and return the exit code.

    Raises CommandError when it cannot do its work.
    """
    from perftui.cache.undo_journal import directory, remove_old
    from perftui.sources.redis.connection import RedisTarget, connect

    if not settings.redis.url:
        raise CommandError("no Redis is named: give --redis URL or set REDIS_URL", USAGE)
    # Whatever is asked for: values of production must not lie about for longer than promised.
    remove_old(directory())
    if what == "stats":
        return _stats(settings, options, write)
    target = RedisTarget.parse(settings.redis.url)
    with connect(target, TIMEOUT) as client:
        if what == "scan":
            return _reached(target, lambda: _scan(client, options, write))
        if what == "get":
            from perftui.cache_preview_command import get

            return _reached(
                target, lambda: get(client, target, options.argument, options.as_json, write)
            )
        if what == "prefixes":
            return _reached(target, lambda: _prefixes(client, target, options, write))
        if what == "audit":
            return _reached(target, lambda: _audit(client, options, write))
        if what == "undo":
            return _reached(target, lambda: _undo(client, target, options, write))
        return _reached(target, lambda: _invalidate(client, target, options, write))


def _reached(target: RedisTarget, work: Callable[[], T]) -> T:
    """Return what `work` returns; every way in which Redis can fail becomes a CommandError."""
    import redis

    from perftui.sources.redis.connection import failure

    try:
        return work()
    except (redis.RedisError, OSError) as error:
        absent = failure(error, target, TIMEOUT).absent
        fix = f"; {absent.fix}" if absent.fix else ""
        raise CommandError(f"{absent.reason}{fix}") from None


def _stats(settings: Settings, options: CacheOptions, write: Callable[[str], bool]) -> int:
    import msgspec

    from perftui.monitor import collect
    from perftui.snapshot import Absent

    replace = msgspec.structs.replace
    alone = replace(settings, monitor=replace(settings.monitor, sources=["redis", "services"]))
    snapshot = collect(alone, options.seconds)
    write(reports.stats_json(snapshot) if options.as_json else reports.stats_text(snapshot))
    return FAILURE if isinstance(snapshot.redis, Absent) else OK


def _scan(client: redis.Redis, options: CacheOptions, write: Callable[[str], bool]) -> int:
    from perftui.cache.key_listing import KeyListing

    limit = 100 if options.limit is None else options.limit
    listing = KeyListing(client, _pattern(options.argument or "*"), options.details)
    left = limit
    hits = 0
    try:
        if not options.as_json:
            write(reports.listing_head(options.details))
        while True:
            page = cancellable(partial(listing.next_page, min(left, 500)), listing.cancel)
            hits += page.hits
            left -= len(page.keys)
            text = reports.listing(page.keys, options.as_json, options.details)
            # A reader that has seen enough, such as head, is no error.
            if (text and not write(text)) or page.done:
                break
            if left <= 0:
                say(f"stopped after {limit:,} keys; --limit N lists more")
                break
            if listing.cancelled:
                return INCOMPLETE
    finally:
        listing.close()
    if hits:
        say(f"Redis counts the types and expiries that were read as {hits:,} hits")
    return OK


def _prefixes(
    client: redis.Redis,
    target: RedisTarget,
    options: CacheOptions,
    write: Callable[[str], bool],
) -> int:
    from perftui.cache.prefixes import PrefixSampling
    from perftui.cache_prefixes_report import prefixes

    # Not to be reached is said as everywhere else, with its fix.
    client.ping()
    pace: Literal["normal", "gentle"] = "gentle" if options.gentle else "normal"
    run = PrefixSampling(client, full=options.full, pace=pace)
    with show_progress() as progress:
        found = cancellable(lambda: run.run(progress.prefixes), run.cancel)
    write(prefixes(found, options.limit, target.address, options.as_json))
    if found.error:
        say(found.error)
    return _code(found.error, not found.cancelled)


def _audit(client: redis.Redis, options: CacheOptions, write: Callable[[str], bool]) -> int:
    from perftui.cache.audit import AUDIT_KEY, read_audit
    from perftui.cache.topology import topology

    where = topology(client)
    try:
        owner = where.owner(AUDIT_KEY.encode()).client
        entries = read_audit(owner, 50 if options.limit is None else options.limit)
    finally:
        where.close()
    write(reports.audit_json(entries) if options.as_json else reports.audit_text(entries))
    return OK


def _invalidate(
    client: redis.Redis,
    target: RedisTarget,
    options: CacheOptions,
    write: Callable[[str], bool],
) -> int:
    from perftui.cache.estimate import estimate
    from perftui.cache.forecast import estimate_of, undo_outlook
    from perftui.cache.invalidation import Invalidation

    if not options.argument:
        raise CommandError("say which keys: perftui cache invalidate PATTERN", USAGE)
    pattern = _pattern(options.argument)
    pace: Literal["normal", "gentle"] = "gentle" if options.gentle else "normal"
    if options.dry_run:
        counted = _count(client, pattern, pace)
        not_undone = undo_outlook(client, pattern, estimate_of(counted))
        write(reports.dry_run(counted, not_undone, target.address, options.as_json))
        return _code(counted.error, counted.complete)
    if not (options.yes or _asks()):
        raise CommandError(
            "deletes nothing without being asked on a terminal: --yes deletes, --dry-run counts",
            USAGE,
        )
    found = estimate(client, pattern)
    if not options.yes and not (found.exact and found.matched == 0):
        counted = _count(client, pattern, pace)
        if not counted.complete:
            say(counted.error or "cancelled while counting; nothing was deleted")
            return _code(counted.error, complete=False)
        found = estimate_of(counted)
        say(reports.dry_run(counted, "", target.address, as_json=False).rstrip())
        _tell_outlook(client, pattern, found, options)
        if not _confirmed(confirmation_word(pattern, found.matched, target)):
            return INCOMPLETE
    elif options.yes:
        _tell_outlook(client, pattern, found, options)
    run = Invalidation(client, pattern, pace, operator(), keep=options.undo)
    with show_progress() as progress:
        result = cancellable(lambda: run.run(progress.invalidation), run.cancel)
    write(reports.invalidated(result, target.address, options.as_json))
    if result.audit_error:
        say(result.audit_error)
    if result.error:
        say(result.error)
    return _code(result.error, result.complete and not (result.denied or result.unanswered))


def _undo(
    client: redis.Redis,
    target: RedisTarget,
    options: CacheOptions,
    write: Callable[[str], bool],
) -> int:
    from perftui.cache.undo import Undo

    journal = _journal(client, options.argument)
    keys = sum(1 for _ in journal.deleted())
    header = journal.header
    say(
        f"{keys:,} keys of {printable(header.pattern.decode('utf-8', 'backslashreplace'))} from "
        f"{target.address}, deleted {journal.age:.0f} s ago by {printable(header.who)}; keys that "
        "were written since stay as they are, and what comes back may be out of date"
    )
    if options.dry_run:
        write(reports.journal(journal, keys, options.as_json))
        return OK
    if not options.yes:
        if not _asks():
            raise CommandError(
                "restores nothing without being asked on a terminal: --yes restores", USAGE
            )
        if not _confirmed(str(keys)):
            return INCOMPLETE
    run = Undo(client, journal, operator())
    with show_progress() as progress:
        result = cancellable(lambda: run.run(progress.undo(keys)), run.cancel)
    write(reports.undone(result, target.address, options.as_json))
    if result.audit_error:
        say(result.audit_error)
    if result.error:
        say(result.error)
    return _code(result.error, result.complete and not (result.denied or result.failed))


def _journal(client: redis.Redis, wanted: str | None) -> Journal:
    """Return the journal of that name, or the newest one of this server."""
    from perftui.cache.server_identity import identity
    from perftui.cache.topology import topology
    from perftui.cache.undo_journal import journals

    found = journals()
    if wanted is not None:
        for journal in found:
            if journal.header.id == wanted:
                return journal
        raise CommandError(
            f"no journal {wanted} is left; they last ten minutes: perftui cache undo takes the "
            "newest"
        )
    where = topology(client)
    try:
        servers = {identity(primary.client).run_id for primary in where.primaries}
    finally:
        where.close()
    for journal in found:
        if servers & set(journal.header.servers):
            return journal
    raise CommandError("nothing to undo: no deletion here in the last ten minutes kept its keys")


def _count(client: redis.Redis, pattern: bytes, pace: Literal["normal", "gentle"]) -> DryRunResult:
    from perftui.cache.dry_run import DryRun

    run = DryRun(client, pattern, pace)
    with show_progress() as progress:
        return cancellable(lambda: run.run(progress.dry_run), run.cancel)


def _tell_outlook(
    client: redis.Redis, pattern: bytes, found: Estimate, options: CacheOptions
) -> None:
    from perftui.cache.forecast import undo_outlook

    if not options.undo:
        say("cannot be undone: --no-undo")
    elif problem := undo_outlook(client, pattern, found):
        say(f"cannot be undone, or not all of it: {problem}")


def _pattern(text: str) -> bytes:
    from perftui.cache.typed_pattern import argument_bytes

    pattern = argument_bytes(text)
    if not pattern:
        raise CommandError("an empty pattern matches no key", USAGE)
    return pattern


def _asks() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def _confirmed(word: str) -> bool:
    sys.stderr.write(f"type {printable(word)} to go on: ")
    sys.stderr.flush()
    try:
        typed = sys.stdin.readline().strip()
    except KeyboardInterrupt:
        typed = ""
    if typed == word:
        return True
    say(f"that is not {word}: nothing was changed")
    return False


def _code(error: str, complete: bool) -> int:
    if error:
        return FAILURE
    return OK if complete else INCOMPLETE
