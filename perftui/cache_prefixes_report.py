"""What `perftui cache prefixes` prints: a table for people, JSON for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from perftui import format as show
from perftui.cache_reports import Json, document, key_json, key_text, lines_text
from perftui.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perftui.cache.prefix_tally import Prefix
    from perftui.cache.prefixes import PrefixSamples

LIMIT = 20
WORTH_TELLING = 0.05
"""Share of its prefix from which a deeper group has a line of its own."""


def prefixes(found: PrefixSamples, limit: int | None, address: str, as_json: bool) -> str:
    """Return the biggest prefixes and those with the most keys, `limit` of each."""
    if as_json:
        return _json(found, limit, address)
    lines = [_summary(found, address)]
    if found.size_problem:
        lines.append(f"sizes are not known of all keys: {printable(found.size_problem)}")
    biggest, frequent = _chosen(found, LIMIT if limit is None else limit)
    if biggest:
        lines += ["", "by memory", _head(found)]
        lines += [line for one in biggest for line in _family(found, one)]
    if frequent and [one.pattern for one in frequent] != [one.pattern for one in biggest]:
        lines += ["", "by number of keys", _head(found)]
        lines += [line for one in frequent for line in _family(found, one)]
    if found.merged:
        lines.append(f"{found.merged:,} keys are of rare prefixes that were not told apart")
    if biggest or frequent:
        lines += ["", "* stands for numbers, ids and tokens as well as for what follows"]
    return lines_text(lines)


def _summary(found: PrefixSamples, address: str) -> str:
    seconds = show.duration(found.seconds).strip()
    about = "" if found.complete else "about "
    size = "" if found.size is None else f", {about}{show.size(found.size).strip()}"
    at = f"{found.keys:,} keys{size} at {printable(address)}"
    if found.complete:
        return f"{at}, all looked at in {seconds}"
    cut = ", cancelled" if found.cancelled else ""
    return f"{at}, from {found.sampled:,} sampled keys in {seconds}{cut}"


def _chosen(found: PrefixSamples, limit: int) -> tuple[tuple[Prefix, ...], tuple[Prefix, ...]]:
    biggest = tuple(one for one in found.biggest(limit) if one.size is not None)
    return biggest, found.most_frequent(limit)


def _head(found: PrefixSamples) -> str:
    ranges = "" if found.complete else f"  {'95 % range':>19}"
    return f"    size{ranges}     %    keys{ranges}     %  prefix"


def _family(found: PrefixSamples, prefix: Prefix) -> Iterator[str]:
    yield _line(found, prefix, "")
    parts = [
        one
        for one in found.parts(prefix)
        if max(_share(one.keys, prefix.keys), _share(one.size, prefix.size)) >= WORTH_TELLING
    ]
    # One that holds all of its prefix says nothing but its shape.
    for one in parts:
        yield _line(found, one, "  ")


def _line(found: PrefixSamples, one: Prefix, indent: str) -> str:
    size_range = keys_range = ""
    if not found.complete:
        low, high = show.size(one.size_low).strip(), show.size(one.size_high).strip()
        size_range = f"  {'' if one.size is None else f'{low} - {high}':>19}"
        low, high = show.count(one.keys_low).strip(), show.count(one.keys_high).strip()
        keys_range = f"  {f'{low} - {high}':>19}"
    of_size = None if one.size is None or not found.size else one.size / found.size
    of_keys = one.keys / found.keys if found.keys else None
    return (
        f"{show.size(one.size)}{size_range}  {show.share(of_size)}  {show.count(one.keys)}"
        f"{keys_range}  {show.share(of_keys)}  {indent}{key_text(one.pattern)}"
    )


def _share(part: int | None, whole: int | None) -> float:
    return part / whole if part is not None and whole else 0.0


def _json(found: PrefixSamples, limit: int | None, address: str) -> str:
    chosen = found.prefixes
    if limit is not None:
        biggest, frequent = _chosen(found, limit)
        kept = {one.pattern for one in (*biggest, *frequent)}
        chosen = tuple(one for one in chosen if {one.pattern, one.parent} & kept)
    known: Json = msgspec.to_builtins(msgspec.structs.replace(found, prefixes=()))
    known |= {
        "server": printable(address),
        "size_problem": printable(found.size_problem),
        "error": printable(found.error),
        "prefixes": [_prefix(one) for one in chosen],
    }
    return document(known)


def _prefix(one: Prefix) -> Json:
    plain = msgspec.structs.replace(one, pattern=b"", parent=b"", largest=b"")
    return {
        **msgspec.to_builtins(plain),
        **key_json("pattern", one.pattern),
        **key_json("parent", one.parent),
        **key_json("largest", one.largest),
    }
