"""A figure beside what was promised, as a line that can be read and an exit code."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """One promise: what was measured, what it should be, whether it is; None for no promise."""

    name: str
    measured: str
    wanted: str = ""
    kept: bool | None = None


def show(verdicts: list[Verdict]) -> bool:
    """Print the table; return whether all promises were kept."""
    print(f"\n{'':6}{'figure':<52}{'measured':<34}wanted")
    for each in verdicts:
        mark = {True: "ok", False: "MISSED", None: ""}[each.kept]
        print(f"{mark:<7}{each.name:<51} {each.measured:<33} {each.wanted}".rstrip())
    return all(each.kept is not False for each in verdicts)


def quantile(values: list[float], share: float) -> float:
    """Return the value that such a share of all is not above."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
