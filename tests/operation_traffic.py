"""A service of twenty operations as different as real ones, for judging rules by simulation.

Calls arrive at random and take log-normal times. They are counted in the buckets that services
report and in the slots that the monitor adds windows up from.
"""

from __future__ import annotations

import functools
import math
import random
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

from perftui.analysis.alerting.engine import AlertEngine
from perftui.analysis.alerting.rules.operations import operation_rules
from perftui.metrics.buckets import DEFAULT
from perftui.snapshot import Alert, AlertState, Service, Snapshot, SourceStatus, State
from perftui.sources.operation_slots import OperationSlots
from perftui.sources.packed_counts import layout

OPERATIONS = 20
SPREAD_BETWEEN = 1.2
"""Standard deviation of the logarithm of the medians, which makes about 20 ms to 1 s."""
MIDDLE = math.sqrt(0.02 * 1.0)
RAREST, BUSIEST = 0.3, 20.0
"""Calls per second."""
SPREADS = (0.5, 1.0)
"""Standard deviations of the logarithm of the times of one operation, from even to ragged."""
SLOWER = 5.0
STEP = 10.0
FLOOR = 0.05
"""Seconds of p95 below which the rule is silent by design."""
BUSINESS = {60.0: 900.0, 300.0: 3000.0}
"""Seconds of ordinary business, by window: what is rare takes half an hour to be known."""
BEGIN = 1_800_000_000.0
PLACE = layout(DEFAULT)
WELL = (SourceStatus("services", State.OK, "", "", 0.1, 0.01, 2.0, 0, 10),)
NORMAL = NormalDist()


@dataclass
class Calls:
    """How often an operation is called a second, how long it takes and how evenly; `slower` times
    that while it is in trouble."""

    rate: float
    median: float
    spread: float
    slower: float = 1.0

    @property
    def p95(self) -> float:
        """Seconds in which 95 of 100 calls are done."""
        return self.slower * self.median * math.exp(self.spread * NORMAL.inv_cdf(0.95))

    @property
    def window(self) -> float:
        """Seconds of the window by which the rule judges so many calls."""
        return 60.0 if self.rate * 60.0 >= 100 else 300.0


class Traffic:
    """The service; `all_slower` is a factor for everything, such as a busy machine makes."""

    def __init__(self, seed: int, operations: int = OPERATIONS) -> None:
        self.random = chance = random.Random(seed)
        self.calls = {
            f"operation {number}": Calls(
                math.exp(chance.uniform(math.log(RAREST), math.log(BUSIEST))),
                MIDDLE * chance.lognormvariate(0.0, SPREAD_BETWEEN),
                chance.uniform(*SPREADS),
            )
            for number in range(operations)
        }
        self.all_slower = 1.0
        self.seconds = 0.0
        self._slots = OperationSlots(lag=0.0)

    def go_on(self, seconds: float = STEP) -> Snapshot:
        """Let time pass and return what the monitor then knows."""
        growths = {name: self._counted(calls, seconds) for name, calls in self.calls.items()}
        begin, self.seconds = self.seconds, self.seconds + seconds
        self._slots.watched_since(begin)
        self._slots.add_packed(PLACE, growths, begin, self.seconds)
        self._slots.advance(self.seconds)
        service = Service("shop", 1, ("box",), 0.1, self._slots.windows(self.calls))
        return Snapshot(
            1, BEGIN + self.seconds, 1000.0 + self.seconds, services=(service,), sources=WELL
        )

    def _counted(self, calls: Calls, seconds: float) -> int:
        count = self._arrivals(calls.rate * seconds)
        scale = calls.slower * self.all_slower * calls.median
        below = _below(scale, calls.spread)
        found = [0] * (len(DEFAULT) + 1)
        for _ in range(count):
            found[bisect_left(below, self.random.random())] += 1
        return PLACE.pack(count, 0, 0, count * scale, found)

    def _arrivals(self, mean: float) -> int:
        """Return how many calls arrive by chance where so many are expected (Poisson)."""
        if mean > 50:
            return max(0, round(self.random.gauss(mean, math.sqrt(mean))))
        count, product, limit = -1, 1.0, math.exp(-mean)
        while product > limit:
            count += 1
            product *= self.random.random()
        return count


@functools.lru_cache(maxsize=200)
def _below(median: float, spread: float) -> tuple[float, ...]:
    """Return the shares of calls that do not take longer than each bound."""
    return tuple(NORMAL.cdf(math.log(bound / median) / spread) for bound in DEFAULT)


def judged(
    traffic: Traffic, engine: AlertEngine, seconds: float, step: float = STEP
) -> Iterator[tuple[Alert, ...]]:
    """Yield the alerts that fire after each step."""
    for _ in range(round(seconds / step)):
        alerts, _ = engine.update(traffic.go_on(step))
        yield tuple(alert for alert in alerts if alert.state is AlertState.FIRING)


def new_engine() -> AlertEngine:
    """Return an engine with the rules for operations as the catalogue has them."""
    return AlertEngine(operation_rules())


def false_alarms(seed: int, evaluations: int, step: float = STEP) -> tuple[set[str], int]:
    """Return rule and subject of what fired although all was well, and how many judgements."""
    traffic = Traffic(seed)
    found: set[str] = set()
    for firing in judged(traffic, new_engine(), evaluations * step, step):
        found |= {f"{alert.rule} {alert.subject}" for alert in firing}
    return found, evaluations * len(traffic.calls)


class Trial:
    """One operation of twenty becomes slower after ordinary business that made it known.

    `found_after` is in windows of the rule, None when it did not fire within three; `others` are
    the alerts of operations that stayed as they were. The operation is one whose slow p95 passes
    the floor, below which an alert is not wanted, and lies within the bounds of the histogram:
    beyond them nobody knows how slow it is.
    """

    def __init__(self, seed: int) -> None:
        traffic, engine = Traffic(seed), new_engine()
        # Well above the floor, or it is a matter of chance on which side of it a window is.
        passing = [
            name
            for name, calls in traffic.calls.items()
            if 1.5 * FLOOR < SLOWER * calls.p95 < DEFAULT[-1]
        ]
        chosen = traffic.random.choice(passing)
        calls = traffic.calls[chosen]
        self.calls = calls
        self.subject = f"shop/{chosen}"
        self.others: set[str] = set()
        self.early = False
        self.found_after: float | None = None
        for firing in judged(traffic, engine, BUSINESS[calls.window]):
            self._note(firing)
            self.early |= any(alert.subject == self.subject for alert in firing)
        calls.slower = SLOWER
        begin = traffic.seconds
        for firing in judged(traffic, engine, 3 * calls.window):
            self._note(firing)
            if any(alert.rule == "R03" and alert.subject == self.subject for alert in firing):
                self.found_after = (traffic.seconds - begin) / calls.window
                break

    def _note(self, firing: tuple[Alert, ...]) -> None:
        self.others |= {f"{a.rule} {a.subject}" for a in firing if a.subject != self.subject}
