"""What makes an endpoint slow: seconds as a sum over what a query costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from perftui.queries.evidence import Point
from perftui.queries.nonnegative import Matrix, solve_nonnegative

LEAST_POINTS: Final = 30
LEAST_VALUES: Final = 3
"""Distinct values of a variable without which nothing is said of a change of it."""

LEAST_R2: Final = 0.3
_KNOWN_SHARE: Final = 0.9
_SHORTEST: Final = 1e-6


class Term(NamedTuple):
    """A cost: its name, the unit it is counted in and how many a query has of it."""

    name: str
    unit: str
    of: Callable[[Point], float | None]


def _kilobytes(point: Point) -> float | None:
    return None if point.bytes is None else point.bytes / 1_000


TERMS: Final = (
    Term("rows_examined", "row", lambda point: point.rows_examined),
    Term("depth", "row skipped", lambda point: point.depth),
    Term("rows_returned", "row", lambda point: point.rows_returned),
    Term("kilobytes", "kB", _kilobytes),
)
BY_NAME: Final = {term.name: term for term in TERMS}


class Model(msgspec.Struct, frozen=True):
    """latency = base + sum of coefficient x cost, in seconds; no coefficient is negative.

    `terms` are the names of the costs, `distinct` how many values of each were seen, `low` and
    `high` the least and greatest. `r2` is the share of the variance explained, both weighted as
    the fit is.
    """

    terms: tuple[str, ...]
    base: float
    coefficients: tuple[float, ...]
    n: int
    r2: float
    distinct: tuple[int, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def latency(self, costs: Sequence[float]) -> float:
        """Return the seconds of a query with these costs, in the order of `terms`."""
        return self.base + sum(c * v for c, v in zip(self.coefficients, costs, strict=True))

    def costs(self, point: Point) -> tuple[float, ...] | None:
        """Return what a query costs, in the order of `terms`; None where one is not known."""
        return costs_of(point, self.terms)


class Design(NamedTuple):
    """Points as equations: per point the costs, the seconds, and A'A with A'b of it alone."""

    terms: tuple[str, ...]
    costs: list[tuple[float, ...]]
    latencies: list[float]
    products: list[list[float]]


def costs_of(point: Point, terms: Sequence[str]) -> tuple[float, ...] | None:
    """Return the named costs of a point, None where one is not known."""
    found: list[float] = []
    for name in terms:
        value = BY_NAME[name].of(point)
        if value is None:
            return None
        found.append(float(value))
    return tuple(found)


def design(points: Sequence[Point], wanted: Sequence[str] | None = None) -> Design:
    """Return the equations of those points whose costs are known, `wanted` or all that are.

    A cost counts as known when nine points in ten have it; where rows examined are known, rows
    skipped are among them and are no cost of their own.
    """
    terms: list[str] = [] if wanted is None else list(wanted)
    for term in TERMS if wanted is None else ():
        if term.name == "depth" and "rows_examined" in terms:
            continue
        known = sum(term.of(point) is not None for point in points)
        if points and known >= _KNOWN_SHARE * len(points):
            terms.append(term.name)
    costs: list[tuple[float, ...]] = []
    latencies: list[float] = []
    products: list[list[float]] = []
    for point in points:
        values = costs_of(point, terms)
        if values is None or not point.latency > 0:
            continue
        costs.append(values)
        latencies.append(point.latency)
        products.append(_products(values, point.latency))
    return Design(tuple(terms), costs, latencies, products)


def _products(values: Sequence[float], latency: float) -> list[float]:
    """Return the upper triangle of A'A, then A'b, of one equation with the weight 1 / latency."""
    weight = 1 / max(latency, _SHORTEST)
    row = [weight, *(weight * value for value in values)]
    flat = [row[i] * row[j] for i in range(len(row)) for j in range(i, len(row))]
    # The right side of a weighted equation is latency x weight, that is 1.
    flat.extend(row)
    return flat


def totals(products: Sequence[Sequence[float]]) -> list[float]:
    """Return the products of several equations together, which are their sums."""
    return [sum(column) for column in zip(*products, strict=True)]


def solve(products: Sequence[Sequence[float]], size: int) -> list[float]:
    """Return base and coefficients from the products of the equations to be used."""
    sums = totals(products)
    gram: Matrix = [[0.0] * size for _ in range(size)]
    place = 0
    for i in range(size):
        for j in range(i, size):
            gram[i][j] = gram[j][i] = sums[place]
            place += 1
    return solve_nonnegative(gram, sums[place : place + size])


def fit(points: Sequence[Point]) -> Model | None:
    """Return the model of an endpoint; None with fewer than 30 usable points.

    Weights of 1 / latency make relative errors count, so that a few very slow answers do not
    decide: non-negative least squares, Lawson and Hanson (1974).
    """
    return fitted(design(points))


def fitted(equations: Design) -> Model | None:
    """Return the model of equations; None with fewer than 30."""
    n = len(equations.latencies)
    if n < LEAST_POINTS:
        return None
    base, *coefficients = solve(equations.products, len(equations.terms) + 1)
    columns = list(zip(*equations.costs, strict=True)) if equations.terms else []
    model = Model(
        terms=equations.terms,
        base=base,
        coefficients=tuple(coefficients),
        n=n,
        r2=0.0,
        distinct=tuple(len(set(column)) for column in columns),
        low=tuple(min(column) for column in columns),
        high=tuple(max(column) for column in columns),
    )
    return msgspec.structs.replace(model, r2=_explained(model, equations))


def _explained(model: Model, equations: Design) -> float:
    """Return 1 - residual / total sum of squares, both with the weights of the fit."""
    weights = [1 / max(latency, _SHORTEST) ** 2 for latency in equations.latencies]
    mean = sum(w * y for w, y in zip(weights, equations.latencies, strict=True)) / sum(weights)
    residual = total = 0.0
    for weight, latency, costs in zip(weights, equations.latencies, equations.costs, strict=True):
        residual += weight * (latency - model.latency(costs)) ** 2
        total += weight * (latency - mean) ** 2
    return 1 - residual / total if total > 0 else 0.0
