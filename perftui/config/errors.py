"""What is raised for a setting that cannot be used."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile


class ConfigError(Exception):
    """A setting is unknown or has a wrong value; the message names place, key and remedy."""


def closest(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean X?` for the known word most like `word`, else an empty string."""
    import difflib

    matches = difflib.get_close_matches(word, list(known), n=20, cutoff=0.6)
    if not matches:
        return ""

    def unlikeness(match: str) -> tuple[float, int, str]:
        # Of words that are as much alike, people mean the one that begins the same.
        pairs = zip(match, word, strict=False)
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        return -difflib.SequenceMatcher(None, match, word).ratio(), -same, match

    return f"; did you mean {min(matches, key=unlikeness)}?"
