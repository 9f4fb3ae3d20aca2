"""What following advice would save, with an interval and how far it is to be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from statistics import fmean
from typing import Final

import msgspec

from perftui.queries.counterfactual import changed, combined
from perftui.queries.evidence import Point
from perftui.queries.model import (
    LEAST_POINTS,
    LEAST_R2,
    LEAST_VALUES,
    Model,
    design,
    fitted,
    solve,
    totals,
)
from perftui.queries.suggestion import Confidence, Counterfactual

ROUNDS: Final = 200
_GROUPS: Final = 100
_LOW, _HIGH = 0.1, 0.9
_VARIANT_POINTS: Final = 10
_MOST_VARIANTS: Final = 24
_EXAMINED: Final = "rows_examined"
_RETURNED: Final = "rows_returned"
_IN_VAIN: Final = 2.0
"""Rows examined for each one returned from which on examining is a cost of its own."""


class Estimate(msgspec.Struct, frozen=True):
    """The share of the latency that is saved, 0 to 1, and the interval of 80 % around it.

    `seconds` is what one call saves. `extrapolated` names the costs that would leave the range
    which was observed. With confidence none the numbers are 0 and `reason` says why.
    """

    share: float = 0.0
    low: float = 0.0
    high: float = 0.0
    seconds: float = 0.0
    seconds_low: float = 0.0
    seconds_high: float = 0.0
    confidence: Confidence = "none"
    n: int = 0
    r2: float | None = None
    model: str = ""
    extrapolated: tuple[str, ...] = ()
    reason: str = ""


def nothing(reason: str, n: int = 0) -> Estimate:
    """Return the estimate of a saving that cannot be told."""
    return Estimate(n=n, reason=reason)


class Fitted:
    """An endpoint's model with what its uncertainty is found from; made once, asked often."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._points = points
        self._equations = design(points)
        self.model: Model | None = fitted(self._equations)
        self._draws: list[list[float]] | None = None
        self._structure: float | None = None

    @property
    def n(self) -> int:
        """The number of observations that the model rests on."""
        return len(self._equations.latencies)

    def estimate(
        self,
        points: Sequence[Point],
        changes: Sequence[Counterfactual],
        shares: Mapping[str, float],
    ) -> Estimate:
        """Return what `changes`, all at once, save of the queries that `points` are samples of.

        `shares` are the fields' shares of the bytes. The interval is the 10th to 90th percentile
        of 200 bootstrap fits (B. Efron, 1979), widened by the error that the model makes for ways
        of asking which it was not fitted to.
        """
        change = combined(changes)
        model = self.model
        if model is None:
            return nothing(
                f"{self.n} observations of the endpoint; {LEAST_POINTS} are needed", self.n
            )
        if model.r2 < LEAST_R2:
            return nothing(
                f"the model explains {max(0.0, model.r2):.0%} of the latency's variance; "
                f"{LEAST_R2:.0%} are needed",
                self.n,
            )
        before, after = self._means(points, change, shares)
        if before is None or after is None:
            return nothing("what the query costs was not observed", self.n)
        moved = [index for index in range(len(model.terms)) if _differ(before[index], after[index])]
        for index in moved:
            if model.distinct[index] < LEAST_VALUES:
                return nothing(
                    f"{model.terms[index].replace('_', ' ')} had only {model.distinct[index]} "
                    f"different values; {LEAST_VALUES} are needed to tell what they cost",
                    self.n,
                )
        now = fmean(point.latency for point in points)
        share = self._share([model.base, *model.coefficients], before, after, change, now)
        draws = sorted(
            self._share(coefficients, before, after, change, now)
            for coefficients in self._bootstrap()
        )
        wide = self._structural_error()
        low = _remaining(draws[int(_LOW * len(draws))], 1 + wide)
        high = _remaining(draws[min(len(draws) - 1, int(_HIGH * len(draws)))], 1 / (1 + wide))
        low, high = max(-1.0, min(low, share)), min(1.0, max(high, share))
        return Estimate(
            share=share,
            low=low,
            high=high,
            seconds=share * now,
            seconds_low=low * now,
            seconds_high=high * now,
            confidence="modelled",
            n=self.n,
            r2=model.r2,
            model=self.description(),
            extrapolated=tuple(
                model.terms[index]
                for index in moved
                if not model.low[index] <= after[index] <= model.high[index]
            ),
        )

    def description(self) -> str:
        """Return the model as a formula in milliseconds."""
        model = self.model
        if model is None:
            return ""
        parts = [f"{model.base * 1e3:.3g} ms"]
        for name, coefficient in zip(model.terms, model.coefficients, strict=True):
            if coefficient > 0:
                parts.append(f"{coefficient * 1e3:.3g} ms x {name}")
        return " + ".join(parts)

    def _means(
        self, points: Sequence[Point], change: Counterfactual, shares: Mapping[str, float]
    ) -> tuple[list[float] | None, list[float] | None]:
        assert self.model is not None
        before: list[tuple[float, ...]] = []
        after: list[tuple[float, ...]] = []
        for point in points:
            now = self.model.costs(point)
            then = self.model.costs(changed(point, change, shares))
            if now is not None and then is not None:
                before.append(now)
                after.append(then)
        if not before:
            return None, None
        return (
            [fmean(column) for column in zip(*before, strict=True)],
            [fmean(column) for column in zip(*after, strict=True)],
        )

    def _share(
        self,
        coefficients: Sequence[float],
        before: Sequence[float],
        after: Sequence[float],
        change: Counterfactual,
        measured: float,
    ) -> float:
        """Return the share saved of a query that takes `measured` seconds.

        What the model does not explain of it belongs to the rows it examines: what is done to each
        of them (a comparison, a function, a sort) differs more from query to query than all else.
        """
        assert self.model is not None
        base, *others = coefficients
        old = base + sum(c * v for c, v in zip(others, before, strict=True))
        new = base + sum(c * v for c, v in zip(others, after, strict=True))
        terms = self.model.terms
        if change.seconds_less and measured > old:
            # What was timed by itself is no part of the model: the rest of it stays.
            new += measured - old
            old = measured
        elif _EXAMINED in terms and measured > old:
            examined = terms.index(_EXAMINED)
            returned = before[terms.index(_RETURNED)] if _RETURNED in terms else 0.0
            if before[examined] > max(1.0, _IN_VAIN * returned):
                new += (measured - old) * min(1.0, after[examined] / before[examined])
                old = measured
        new = max(0.0, new - change.seconds_less) * change.requests_factor
        return 1 - new / old if old > 0 else 0.0

    def _bootstrap(self) -> list[list[float]]:
        """Return base and coefficients of 200 resampled fits.

        Beyond 100 observations groups of them are drawn instead of single ones, which costs less
        and changes the spread little: the groups are put together by chance.
        """
        if self._draws is None:
            random = Random(self.n)
            products = list(self._equations.products)
            random.shuffle(products)
            groups = [
                totals(products[start::_GROUPS]) for start in range(min(_GROUPS, len(products)))
            ]
            size = len(self._equations.terms) + 1
            self._draws = [
                solve(random.choices(groups, k=len(groups)), size) for _ in range(ROUNDS)
            ]
        return self._draws

    def _structural_error(self) -> float:
        """Return the relative error of the mean latency of a variant the model has not seen.

        The upper quartile over the variants with at least ten observations, each left out once;
        0 where there are fewer than three of them.
        """
        if self._structure is None:
            by_variant: dict[str, list[Point]] = {}
            for point in self._points:
                by_variant.setdefault(point.variant, []).append(point)
            tried = sorted(
                (name for name, of in by_variant.items() if len(of) >= _VARIANT_POINTS),
                key=lambda name: -len(by_variant[name]),
            )[:_MOST_VARIANTS]
            errors: list[float] = []
            whole = totals(self._equations.products)
            size = len(self._equations.terms) + 1
            for name in tried if len(tried) >= 3 else ():
                equations = design(by_variant[name], self._equations.terms)
                if self.n - len(equations.latencies) < LEAST_POINTS or not equations.latencies:
                    continue
                # The equations of all the others are those of all without these.
                own = totals(equations.products)
                rest = [most - less for most, less in zip(whole, own, strict=True)]
                base, *others = solve([rest], size)
                told = fmean(
                    base + sum(c * v for c, v in zip(others, costs, strict=True))
                    for costs in equations.costs
                )
                was = fmean(equations.latencies)
                if told > 0 and was > 0:
                    errors.append(max(told / was, was / told) - 1)
            errors.sort()
            self._structure = min(1.0, errors[3 * len(errors) // 4]) if errors else 0.0
        return self._structure


def _remaining(share: float, factor: float) -> float:
    """Return the share saved when what remains is by a factor more or less."""
    return 1 - (1 - share) * factor


def _differ(one: float, other: float) -> bool:
    return abs(one - other) > 1e-9 + 1e-3 * max(abs(one), abs(other))
