"""Least squares whose coefficients cannot be negative, for a handful of unknowns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

Matrix: TypeAlias = list[list[float]]

_ROUNDS: Final = 60
_TINY: Final = 1e-12
_NEARLY_SINGULAR: Final = 1e-9


def solve_nonnegative(gram: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """Return x >= 0 that makes |A x - b| least, from `gram` = A'A and `right` = A'b.

    The active-set method of Lawson and Hanson on the normal equations, as in R. Bro and S. de
    Jong, "A fast non-negativity-constrained least squares algorithm", J. Chemometrics 11 (1997).
    Columns are brought to length 1 first. A column of zeros gets 0, and so does one that is a
    combination of those chosen before it.
    """
    size = len(right)
    scale = [gram[i][i] ** 0.5 if gram[i][i] > 0 else 0.0 for i in range(size)]
    usable = [i for i in range(size) if scale[i] > 0]
    g = [[gram[i][j] / (scale[i] * scale[j]) for j in usable] for i in usable]
    b = [right[i] / scale[i] for i in usable]
    x = [0.0] * len(usable)
    chosen: list[int] = []
    refused: set[int] = set()
    tolerance = _TINY * max((abs(each) for each in b), default=0.0)
    for _ in range(_ROUNDS):
        slope = [b[i] - sum(g[i][j] * x[j] for j in chosen) for i in range(len(usable))]
        open_ones = [i for i in range(len(usable)) if i not in chosen and i not in refused]
        best = max(open_ones, key=slope.__getitem__, default=None)
        if best is None or slope[best] <= tolerance:
            break
        chosen.append(best)
        solution = _solve(g, b, chosen)
        if solution is None:
            chosen.pop()
            refused.add(best)
            continue
        while solution is not None and min(solution) <= 0:
            step = (
                min(
                    x[i] / (x[i] - new)
                    for i, new in zip(chosen, solution, strict=True)
                    if new <= 0 and x[i] - new > 0
                )
                if any(x[i] > 0 for i, new in zip(chosen, solution, strict=True) if new <= 0)
                else 0.0
            )
            for i, new in zip(chosen, solution, strict=True):
                x[i] += step * (new - x[i])
            left = [i for i, new in zip(chosen, solution, strict=True) if x[i] > _TINY or new > 0]
            if best not in left:
                refused.add(best)
            for i in chosen:
                if i not in left:
                    x[i] = 0.0
            chosen = left
            solution = _solve(g, b, chosen) if chosen else None
        if solution is not None:
            for i, new in zip(chosen, solution, strict=True):
                x[i] = new
    result = [0.0] * size
    for place, i in enumerate(usable):
        result[i] = max(0.0, x[place]) / scale[i]
    return result


def _solve(g: Matrix, b: Sequence[float], chosen: Sequence[int]) -> list[float] | None:
    """Return the solution for the chosen unknowns by Cholesky; None where they are dependent."""
    n = len(chosen)
    lower = [[0.0] * n for _ in range(n)]
    for i in range(n):
        for j in range(i + 1):
            total = g[chosen[i]][chosen[j]]
            for k in range(j):
                total -= lower[i][k] * lower[j][k]
            if i == j:
                if total <= _NEARLY_SINGULAR:
                    return None
                lower[i][i] = total**0.5
            else:
                lower[i][j] = total / lower[j][j]
    y = [0.0] * n
    for i in range(n):
        y[i] = (b[chosen[i]] - sum(lower[i][k] * y[k] for k in range(i))) / lower[i][i]
    x = [0.0] * n
    for i in reversed(range(n)):
        x[i] = (y[i] - sum(lower[k][i] * x[k] for k in range(i + 1, n))) / lower[i][i]
    return x
