"""What is raised for a setting that cannot be used."""

from __future__ import annotations

from collections.abc import Iterable


class ConfigError(Exception):
    """A setting is unknown or has a wrong value; the message names place, key and remedy."""


def closest(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean X?` for the known word most like `word`, else an empty string."""
    import difflib

    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {matches[0]}?" if matches else ""
