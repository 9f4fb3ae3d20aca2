"""`perftui cache get`: what one key holds, cut and harmless, as text or JSON."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from perftui.cache.key_details import GONE
from perftui.cache.preview import Preview, preview
from perftui.cache.topology import topology
from perftui.cache.typed_pattern import key_bytes, shown_key
from perftui.parser import USAGE, CommandError
from perftui.preview_facts import cut_note, life_facts, value_facts
from perftui.text import printable

if TYPE_CHECKING:
    import redis

    from perftui.sources.redis.target import RedisTarget


def get(
    client: redis.Redis,
    target: RedisTarget,
    argument: str | None,
    as_json: bool,
    write: Callable[[str], bool],
) -> int:
    """Print the beginning of the value and return the exit code, 1 for a key that is not there.

    Raises CommandError when no key is named or Redis refuses to read it.
    """
    import redis

    from perftui.sources.redis.connection import failure

    if not argument:
        raise CommandError("say which key: perftui cache get KEY", USAGE)
    key = key_bytes(argument)
    where = topology(client)
    try:
        found = preview(where, key)
    finally:
        where.close()
    if found.refused:
        absent = failure(redis.ResponseError(found.refused), target).absent
        raise CommandError(f"{absent.reason}{f'; {absent.fix}' if absent.fix else ''}")
    if found.type == GONE:
        raise CommandError(f"there is no key {shown_key(key)} at {printable(target.address)}")
    write(_json(found) if as_json else _text(found))
    return 0


def _json(found: Preview) -> str:
    known = msgspec.to_builtins(msgspec.structs.replace(found, key=b""))
    for name in ("hits", "misses", "refused"):
        del known[name]
    known |= {
        "key": shown_key(found.key),
        "key_base64": base64.b64encode(found.key).decode("ascii"),
        "type": printable(found.type),
        "notes": [printable(note) for note in found.notes],
        "lookups": found.hits + found.misses,
    }
    return msgspec.json.format(msgspec.json.encode(known), indent=2).decode() + "\n"


def _text(found: Preview) -> str:
    facts = [*value_facts(found), *life_facts(found, time.time())]
    lines = [shown_key(found.key), ", ".join(map(printable, facts)), *map(printable, found.notes)]
    lines += ["", *found.lines]
    if note := cut_note(found):
        lines += ["", f"... {note}"]
    return "".join(f"{line}\n" for line in lines)
