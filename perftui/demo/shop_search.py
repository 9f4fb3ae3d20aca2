"""Which products fit a search best: by shared trigrams, names counting more than descriptions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

NAME_WEIGHT = 3.0


def words_of(query: str) -> list[str]:
    """Return the words of a search, at most five."""
    return re.findall(r"\w+", query.lower())[:5]


def rank_results(
    words: Sequence[str], candidates: Iterable[tuple[int, str, str]], limit: int
) -> list[int]:
    """Return the numbers of the best candidates, the best first."""
    wanted = trigrams(" ".join(words))
    scored = [
        (score_product(wanted, name, description), number)
        for number, name, description in candidates
    ]
    scored.sort(key=lambda pair: (-pair[0], pair[1]))
    return [number for _, number in scored[:limit]]


def score_product(wanted: set[str], name: str, description: str) -> float:
    """Return how much of the search is found in a product."""
    in_name = similarity(wanted, trigrams(name))
    in_description = similarity(wanted, trigrams(description))
    return NAME_WEIGHT * in_name + in_description


def trigrams(text: str) -> set[str]:
    """Return all runs of three characters, with spaces around the text."""
    padded = f"  {text.lower()} "
    return {padded[start : start + 3] for start in range(len(padded) - 2)}


def similarity(wanted: set[str], present: set[str]) -> float:
    """Return the share of the wanted trigrams that are present."""
    return len(wanted & present) / len(wanted) if wanted else 0.0
