"""What HAProxy is told about a server: a weight that falls with its load, a state, a reason.

HAProxy configuration manual, section 5.2, "agent-check": one line of words. `up` and `down` are the
health, `ready`, `drain` and `maint` the operator's state, `40%` the share of the configured weight,
and what is behind `#` is a description.
"""

from __future__ import annotations

import dataclasses

FALLS_FROM = 0.85
"""Share of a threshold from which the weight falls; it is at the floor as far above it."""
BACK_BELOW = 0.9
"""Share of the threshold below which a server that was said to be down is up again."""
LONGEST_REASON = 120


@dataclasses.dataclass(frozen=True)
class CheckReading:
    """A server at one moment: percent, percent, per second, and what they should not exceed.

    Loads are smoothed; None is not measured. `admin` is ready, drain or maint, `reason` why;
    `share` what an operator left of its weight, 1 for all. `silent` says that it does not speak
    any more, `unknown` that nothing is known of it; both are the reason in words.
    """

    cpu: float | None = None
    memory: float | None = None
    requests: float | None = None
    cpu_threshold: float = 80.0
    memory_threshold: float = 90.0
    request_threshold: float = 1000.0
    admin: str = "ready"
    reason: str = ""
    share: float = 1.0
    in_flight: int | None = None
    silent: str = ""
    unknown: str = ""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What is said: `admin` is empty where it is left as it is, `percent` None likewise."""

    admin: str
    up: bool
    percent: int | None
    reason: str

    def line(self, ready: bool) -> bytes:
        """Return the line; with `ready`, it also undoes a drain or maintenance.

        It is not said without need: it would undo what an operator has decided in HAProxy, too.
        """
        words: list[str] = []
        if self.admin in ("drain", "maint"):
            words.append(self.admin)
        elif self.admin == "ready" and ready:
            words.append("ready")
        # With drain alone HAProxy would not show the reason, and one that is down would stay so.
        words.append("up" if self.up else "down")
        if self.percent is not None:
            words.append(f"{self.percent}%")
        text = " ".join(words)
        if self.reason:
            text += f" #{_plain(self.reason)}"
        return text.encode("ascii") + b"\n"


class Steering:
    """Makes answers of readings: full weight, then less and less, down to a floor of percent.

    `down_above`: down above a threshold, until all is well below. Raises ValueError.
    """

    def __init__(self, floor: int = 10, down_above: bool = False) -> None:
        if isinstance(floor, bool) or not 1 <= floor <= 100:
            raise ValueError(f"floor is {floor!r}, it must be percent, 1 to 100")
        self._floor = floor
        self._down_above = down_above
        self._down = False

    def answer(self, reading: CheckReading, last: int | None = None) -> Answer:
        """Return the answer; `last` is the percent said before, which holds for one unknown."""
        if reading.unknown:
            return Answer("", True, last, reading.unknown)
        if reading.admin in ("drain", "maint"):
            return Answer(reading.admin, True, None, reading.reason or reading.admin)
        if reading.silent:
            return Answer("ready", True, self._percent(self._floor, reading), reading.silent)
        loads = [
            (name, value, threshold)
            for name, value, threshold in (
                ("cpu", reading.cpu, reading.cpu_threshold),
                ("memory", reading.memory, reading.memory_threshold),
                ("requests", reading.requests, reading.request_threshold),
            )
            if value is not None
        ]
        if not loads:
            self._down = False
            return Answer("ready", True, self._percent(100.0, reading), "no load is measured")
        weights = [(self._weight(*load), number) for number, load in enumerate(loads)]
        weight, worst = min(weights)
        above = [load for load in loads if load[1] > load[2]]
        if above:
            self._down = self._down_above
        elif all(value <= BACK_BELOW * threshold for _, value, threshold in loads):
            self._down = False
        reason = ", ".join(_words(*load) for load in above)
        if not reason and weight < 100.0:
            reason = _words(*loads[worst])
        if reading.share != 1.0:
            reason = ", ".join(
                filter(None, (reason, reading.reason or "weight set by an operator"))
            )
        if self._down:
            return Answer("ready", False, None, reason or "not well below the thresholds yet")
        return Answer("ready", True, self._percent(weight, reading), reason)

    def _weight(self, name: str, value: float, threshold: float) -> float:
        least, most = FALLS_FROM * threshold, (2.0 - FALLS_FROM) * threshold
        if name != "requests":
            # No percentage gets above 100, so the floor must be reached there.
            most = max(threshold, min(100.0, most))
        if value <= least:
            return 100.0
        if value >= most:
            return float(self._floor)
        way = (value - least) / (most - least)
        # Smooth at both ends, so that a load that wavers there changes next to nothing.
        return 100.0 - (100.0 - self._floor) * way * way * (3.0 - 2.0 * way)

    def _percent(self, weight: float, reading: CheckReading) -> int:
        # 0 % would take it out altogether; only an operator's weight of 0 does.
        return max(1, round(weight * reading.share)) if reading.share > 0 else 0


def _words(name: str, value: float, threshold: float) -> str:
    sign = ">" if value > threshold else "of"
    if name == "requests":
        return f"requests {value:.4g}/s {sign} {threshold:.4g}/s"
    return f"{name} {value:.0f}% {sign} {threshold:.0f}%"


def _plain(text: str) -> str:
    """Return text as HAProxy can show it: one line of printable ASCII."""
    line = " ".join(text.split())[:LONGEST_REASON]
    return "".join(each if " " <= each <= "~" else "?" for each in line)
