"""The counters of INFO commandstats, latencystats and errorstats, and what they grew by.

A line is `cmdstat_config|get:calls=2,usec=9,usec_per_call=4.50,rejected_calls=0,failed_calls=0`,
`latency_percentiles_usec_get:p50=1.003,p99=2.007` or `errorstat_OOM:count=3`; see
https://redis.io/docs/latest/commands/info/.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from perftui.snapshot import FIRST_SAMPLE, Absent, CommandUse, ErrorRate, Maybe, State

WINDOW = 10.0
"""Seconds that the rates are means of, once there has been so much."""

NO_FAILURES = Absent(
    State.UNAVAILABLE, "this server does not count failed and rejected calls; Redis 6.2 does"
)
NOT_EXECUTED = Absent(State.NOT_COLLECTED, "all calls of the last seconds were rejected")
NEVER_EXECUTED = Absent(State.NOT_COLLECTED, "the server has no time of this command yet")
NO_ERRORS = Absent(State.UNAVAILABLE, "this server does not count its errors; Redis 6.2 does")


@dataclass(frozen=True)
class Counts:
    """What was counted for one command; `usec` in microseconds, failures None before 6.2."""

    calls: int = 0
    usec: int = 0
    failed: int | None = 0
    rejected: int | None = 0


@dataclass(frozen=True)
class Statistics:
    """One reading of a server at `time`, seconds of a clock that never goes back.

    `p99` is in seconds by name of a command; the three flags say which sections the server has,
    and whether it keeps a histogram.
    """

    time: float
    run_id: str
    commands: dict[str, Counts] = field(default_factory=dict)
    p99: dict[str, float] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    has_errors: bool = False
    has_latency: bool = False
    has_percentile: bool = False


def parse_statistics(payload: bytes, now: float) -> Statistics:
    """Return what an INFO with these sections says; lines of an unknown form are left out."""
    found = Statistics(
        now,
        run_id="",
        has_errors=b"# Errorstats" in payload,
        has_latency=b"# Latencystats" in payload,
    )
    run_id, percentile = "", False
    for line in payload.decode("utf-8", "backslashreplace").splitlines():
        if line.startswith("cmdstat_"):
            name, values = _values(line, "cmdstat_", ":calls=")
            found.commands[_shown(name)] = _counts(values)
        elif line.startswith("latency_percentiles_usec_"):
            name, values = _values(line, "latency_percentiles_usec_", ":p")
            percentile = percentile or bool(values)
            if (p99 := _number(values.get("p99", ""))) is not None:
                found.p99[_shown(name)] = p99 / 1e6
        elif line.startswith("errorstat_"):
            name, values = _values(line, "errorstat_", ":count=")
            found.errors[name] = _whole(values.get("count", "")) or 0
        elif line.startswith("run_id:"):
            run_id = line[7:]
    return Statistics(
        found.time,
        run_id,
        found.commands,
        found.p99,
        found.errors,
        found.has_errors,
        found.has_latency,
        percentile,
    )


class StatisticsWindow:
    """Readings of the last 10 seconds; the growth from the oldest to the newest is what counts."""

    def __init__(self) -> None:
        self._readings: deque[Statistics] = deque()

    def restart(self) -> None:
        """Forget everything: the next reading is the first."""
        self._readings.clear()

    def add(self, reading: Statistics) -> None:
        """Take a reading; after a restart of the server or CONFIG RESETSTAT it is the first."""
        readings = self._readings
        if readings and _went_back(readings[-1], reading):
            readings.clear()
        readings.append(reading)
        while len(readings) > 1 and readings[1].time <= reading.time - WINDOW:
            readings.popleft()

    def commands(self, no_p99: Absent) -> Maybe[tuple[CommandUse, ...]]:
        """Return what was called, by falling share of the server's time.

        `no_p99` is why a command has no percentile where the server has none at all.
        """
        pair = self._pair()
        if pair is None:
            return FIRST_SAMPLE
        before, after, seconds = pair
        found = []
        for name, now in after.commands.items():
            past = before.commands.get(name, Counts())
            calls, usec = now.calls - past.calls, now.usec - past.usec
            failed = _growth(past.failed, now.failed)
            rejected = _growth(past.rejected, now.rejected)
            if not (calls or failed or rejected):
                continue
            p99: Maybe[float] = no_p99
            if after.p99:
                p99 = after.p99.get(name, NEVER_EXECUTED)
            found.append(
                CommandUse(
                    name=name,
                    calls_rate=calls / seconds,
                    seconds=usec / calls / 1e6 if calls else NOT_EXECUTED,
                    percent=usec / seconds / 1e4,
                    failed_rate=NO_FAILURES if failed is None else failed / seconds,
                    rejected_rate=NO_FAILURES if rejected is None else rejected / seconds,
                    p99=p99,
                )
            )
        return tuple(sorted(found, key=lambda one: (-one.percent, -one.calls_rate, one.name)))

    def errors(self) -> Maybe[tuple[ErrorRate, ...]]:
        """Return all errors since the server began, the most frequent of the last seconds first."""
        if self._readings and not self._readings[-1].has_errors:
            return NO_ERRORS
        pair = self._pair()
        if pair is None:
            return FIRST_SAMPLE
        before, after, seconds = pair
        found = [
            ErrorRate(name, (count - before.errors.get(name, 0)) / seconds, count)
            for name, count in after.errors.items()
        ]
        return tuple(sorted(found, key=lambda one: (-one.rate, -one.count, one.name)))

    def _pair(self) -> tuple[Statistics, Statistics, float] | None:
        if len(self._readings) < 2:
            return None
        before, after = self._readings[0], self._readings[-1]
        seconds = after.time - before.time
        return (before, after, seconds) if seconds > 0 else None


def _went_back(before: Statistics, after: Statistics) -> bool:
    # A command or an error that is gone was set back to nothing too.
    return (
        before.run_id != after.run_id
        or any(
            after.commands.get(name, Counts()).calls < counts.calls
            or after.commands.get(name, Counts()).usec < counts.usec
            for name, counts in before.commands.items()
        )
        or any(after.errors.get(name, 0) < count for name, count in before.errors.items())
    )


def _growth(before: int | None, after: int | None) -> int | None:
    return None if after is None else max(0, after - (before or 0))


def _counts(values: dict[str, str]) -> Counts:
    return Counts(
        calls=_whole(values.get("calls", "")) or 0,
        usec=_whole(values.get("usec", "")) or 0,
        failed=_whole(values.get("failed_calls", "")),
        rejected=_whole(values.get("rejected_calls", "")),
    )


def _values(line: str, start: str, mark: str) -> tuple[str, dict[str, str]]:
    """Return name and numbers of a line; the name of a module's command may have a colon."""
    end = line.rfind(mark)
    if end < 0:
        return line[len(start) :], {}
    pairs = (pair.partition("=") for pair in line[end + 1 :].split(","))
    return line[len(start) : end], {name: value for name, _, value in pairs}


def _shown(name: str) -> str:
    return name.replace("|", " ").upper()


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
