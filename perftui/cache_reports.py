"""What `perftui cache` prints: text for people, JSON for programs."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from perftui import format as show
from perftui.text import printable

if TYPE_CHECKING:
    from perftui.cache.audit import AuditEntry
    from perftui.cache.dry_run import DryRunResult
    from perftui.cache.invalidation import InvalidationResult
    from perftui.cache.key_listing import ListedKey
    from perftui.cache.undo import UndoResult
    from perftui.cache.undo_journal import Journal
    from perftui.snapshot import Snapshot

Json = dict[str, object]


def key_text(key: bytes) -> str:
    """Return a key or pattern for people: UTF-8, anything else as backslash escapes."""
    return printable(key.decode("utf-8", "backslashreplace"))


def stats_text(snapshot: Snapshot) -> str:
    """Return the caches of the services, tier by tier, and the server behind them."""
    from perftui.output.once import cache_report

    return cache_report(snapshot)


def stats_json(snapshot: Snapshot) -> str:
    """Return the parts `redis` and `services` of the JSON document, and their missing values."""
    from perftui.output import document as output

    whole = output.document(snapshot)
    parts: Json = {name: whole[name] for name in ("schema", "time", "redis", "services")}
    states = whole["states"]
    assert isinstance(states, dict)
    parts["states"] = {
        path: state for path, state in states.items() if path.partition(".")[0] in parts
    }
    return output.encode(parts).decode() + "\n"


def listing_head(details: bool) -> str:
    """Return the head of the listing."""
    return f"{'size':>8}  {'type':<8}  {'ttl':>7}  key\n" if details else f"{'size':>8}  key\n"


def listing(keys: Sequence[ListedKey], as_json: bool, details: bool) -> str:
    """Return some keys: a line each, in JSON Lines for programs."""
    lines = []
    for one in keys:
        if as_json:
            known: Json = {**key_json("key", one.key), "size": one.size}
            if details:
                known |= {"type": one.type, "ttl": one.ttl}
            lines.append(msgspec.json.encode(known).decode())
            continue
        size = show.size(one.size) if one.size is not None else f"{'-':>8}"
        if details:
            ttl = show.duration(one.ttl) if one.ttl is not None else f"{'-':>7}"
            lines.append(f"{size}  {printable(one.type):<8}  {ttl}  {key_text(one.key)}")
        else:
            lines.append(f"{size}  {key_text(one.key)}")
    return "".join(f"{line}\n" for line in lines)


def dry_run(found: DryRunResult, not_undone: str, address: str, as_json: bool) -> str:
    """Return what a deletion would delete; `not_undone` says why it could not be put back."""
    if as_json:
        return document(
            {
                "action": "dry run",
                "server": printable(address),
                **key_json("pattern", found.pattern),
                "matched": found.matched,
                "protected": found.protected,
                "scanned": found.scanned,
                "samples": [key_text(key) for key in found.samples],
                "seconds": found.seconds,
                "complete": found.complete,
                "undoable": not not_undone,
                "not_undoable_because": printable(not_undone),
                "error": printable(found.error),
            }
        )
    lines = [
        f"{found.matched:,} keys match {key_text(found.pattern)} at {printable(address)}"
        + ("" if found.complete else ", not all were looked at")
    ]
    if found.protected:
        lines.append(f"{found.protected:,} keys of perftui itself stay")
    lines += [f"  {key_text(key)}" for key in found.samples]
    if found.matched > len(found.samples) > 0:
        lines.append(f"  and {found.matched - len(found.samples):,} more")
    if not_undone:
        lines.append(f"cannot be undone, or not all of it: {printable(not_undone)}")
    if found.error:
        lines.append(printable(found.error))
    return lines_text(lines)


def invalidated(done: InvalidationResult, address: str, as_json: bool) -> str:
    """Return what a deletion did."""
    kept = done.kept
    if as_json:
        known = msgspec.to_builtins(msgspec.structs.replace(done, pattern=b"", kept=None))
        known |= {
            "action": "invalidate",
            "server": printable(address),
            **key_json("pattern", done.pattern),
            "error": printable(done.error),
            "notes": [printable(note) for note in done.notes],
            "kept": None
            if kept is None
            else {**msgspec.to_builtins(kept), "path": printable(kept.path)},
        }
        return document(known)
    speed = done.deleted / done.seconds if done.seconds > 0 else 0.0
    ending = "" if done.complete else ", cancelled" if done.cancelled else ", not complete"
    lines = [
        f"deleted {done.deleted:,} keys of {key_text(done.pattern)} at {printable(address)} in "
        f"{show.duration(done.seconds).strip()}, {speed:,.0f}/s{ending}"
    ]
    if done.p99 is not None:
        lines.append(f"others waited at most {done.p99 * 1000:.1f} ms for a PING (p99)")
    if done.told:
        lines.append(f"{done.told:,} listening memory tiers dropped them at once")
    for count, what in (
        (done.denied, "keys may not be deleted by this user"),
        (done.protected, "keys of perftui itself stay"),
        (done.unanswered, "keys were in a command that was not answered"),
    ):
        if count:
            lines.append(f"{count:,} {what}")
    if kept is not None:
        lines.append(f"within ten minutes: perftui cache undo {kept.id} ({kept.keys:,} keys)")
        for count, what in (
            (kept.not_kept, "keys were beyond the limits of the journal and cannot come back"),
            (kept.too_large, "keys were larger than 1 MB and cannot come back"),
        ):
            if count:
                lines.append(f"{count:,} {what}")
    return lines_text([*lines, *map(printable, done.notes)])


def journal(one: Journal, keys: int, as_json: bool) -> str:
    """Return what an undo would put back."""
    header = one.header
    if as_json:
        return document(
            {
                "action": "dry run of undo",
                "id": header.id,
                "server": printable(header.address),
                **key_json("pattern", header.pattern),
                "keys": keys,
                "size": one.size,
                "age": one.age,
                "who": printable(header.who),
                "truncated": one.truncated,
            }
        )
    cut = ", cut off at its end" if one.truncated else ""
    return f"journal {header.id}: {keys:,} keys, {show.size(one.size).strip()}{cut}\n"


def undone(done: UndoResult, address: str, as_json: bool) -> str:
    """Return what an undo did."""
    if as_json:
        known = msgspec.to_builtins(msgspec.structs.replace(done, pattern=b""))
        known |= {
            "action": "undo",
            "server": printable(address),
            **key_json("pattern", done.pattern),
            "error": printable(done.error),
        }
        return document(known)
    ending = "" if done.complete else ", cancelled" if done.cancelled else ", not complete"
    lines = [
        f"restored {done.restored:,} keys of {key_text(done.pattern)} at {printable(address)} in "
        f"{show.duration(done.seconds).strip()}{ending}"
    ]
    for count, what in (
        (done.newer, "keys were written again since and stay as they are"),
        (done.expired, "keys would have expired meanwhile"),
        (done.denied, "keys may not be written by this user"),
        (done.failed, "keys were refused by Redis"),
        (done.unanswered, "keys were in a command that was not answered"),
    ):
        if count:
            lines.append(f"{count:,} {what}")
    if done.truncated:
        lines.append("the journal was cut off at its end: what was after that cannot come back")
    return lines_text(lines)


def audit_text(entries: Sequence[AuditEntry]) -> str:
    """Return what was changed by hand, the newest first."""
    import time

    now = time.time()
    lines = [
        f"{show.moment(one.time, now)}  {printable(one.who)}@{printable(one.host)}  "
        f"{printable(one.action)}  {key_text(one.pattern)}  "
        f"{one.deleted:,} {'restored' if one.action == 'undo' else 'deleted'}"
        + (f", {one.denied:,} denied" if one.denied else "")
        + ("" if one.complete else ", not complete")
        for one in entries
    ]
    return lines_text(lines or ["nothing has been changed by hand"])


def audit_json(entries: Sequence[AuditEntry]) -> str:
    """Return the same for programs."""
    return document(
        {
            "entries": [
                {
                    "id": one.id,
                    "time": one.time,
                    "who": printable(one.who),
                    "host": printable(one.host),
                    "action": printable(one.action),
                    **key_json("pattern", one.pattern),
                    "matched": one.matched,
                    "deleted": one.deleted,
                    "denied": one.denied,
                    "complete": one.complete,
                }
                for one in entries
            ]
        }
    )


def key_json(name: str, key: bytes) -> Json:
    """Return a key under `name` as text and as base64."""
    # The text can be typed as a pattern; only base64 is the key itself, whatever its bytes are.
    return {name: key_text(key), f"{name}_base64": base64.b64encode(key).decode("ascii")}


def document(known: Json) -> str:
    """Return JSON for programs that people can read."""
    return msgspec.json.format(msgspec.json.encode(known), indent=2).decode() + "\n"


def lines_text(lines: Iterable[str]) -> str:
    """Return lines with their ends."""
    return "".join(f"{line}\n" for line in lines)
