"""CPU use between two readings of the kernel's time counters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from perftui.snapshot import FIRST_SAMPLE, Absent, Cpu, Maybe, State
from perftui.sources.counter_rate import TOO_SOON

NO_IOWAIT = Absent(State.UNAVAILABLE, "this system does not count I/O wait")
NO_STEAL = Absent(State.UNAVAILABLE, "this system does not count stolen time")


class CoreTimes(NamedTuple):
    """Seconds one core has spent since boot; None where the system does not count it."""

    user: float
    system: float
    idle: float
    iowait: float | None
    steal: float | None


def core_times(counters: Mapping[str, float]) -> CoreTimes:
    """Return the times of one core from its named counters.

    proc_stat(5): time of guests is already inside `user` and `nice`, so `guest` and
    `guest_nice` are left out. Interrupts count as system time.
    """
    return CoreTimes(
        user=counters["user"] + counters.get("nice", 0.0),
        system=counters["system"] + counters.get("irq", 0.0) + counters.get("softirq", 0.0),
        idle=counters["idle"],
        iowait=counters.get("iowait"),
        steal=counters.get("steal"),
    )


def cpu_between(
    before: Sequence[CoreTimes] | None,
    after: Sequence[CoreTimes],
    load: Maybe[tuple[float, float, float]],
) -> Cpu:
    """Return the CPU use between two readings, Absent when there is nothing to compare with.

    Waiting for I/O is idle time; stolen time is busy time, as it is missing to the machine. After
    a core was added or removed the readings cannot be compared.
    """
    if before is None or len(before) != len(after):
        return _unknown(FIRST_SAMPLE, load)
    spent = [_spent(old, new) for old, new in zip(before, after, strict=True)]
    total = sum(_total(core) for core in spent)
    if total <= 0:
        return _unknown(TOO_SOON, load)
    iowait = [core.iowait for core in spent if core.iowait is not None]
    steal = [core.steal for core in spent if core.steal is not None]
    return Cpu(
        percent=100 * sum(_busy(core) for core in spent) / total,
        per_core=tuple(_core_percent(core) for core in spent),
        user_percent=100 * sum(core.user for core in spent) / total,
        system_percent=100 * sum(core.system for core in spent) / total,
        iowait_percent=100 * sum(iowait) / total if iowait else NO_IOWAIT,
        steal_percent=100 * sum(steal) / total if steal else NO_STEAL,
        load=load,
    )


def _unknown(why: Absent, load: Maybe[tuple[float, float, float]]) -> Cpu:
    return Cpu(why, why, why, why, why, why, load)


def _spent(before: CoreTimes, after: CoreTimes) -> CoreTimes:
    return CoreTimes(
        user=_growth(before.user, after.user),
        system=_growth(before.system, after.system),
        idle=_growth(before.idle, after.idle),
        iowait=_optional_growth(before.iowait, after.iowait),
        steal=_optional_growth(before.steal, after.steal),
    )


def _growth(before: float, after: float) -> float:
    # proc_stat(5): iowait, and with it idle, can decrease in certain conditions.
    return max(0.0, after - before)


def _optional_growth(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else _growth(before, after)


def _busy(core: CoreTimes) -> float:
    return core.user + core.system + (core.steal or 0.0)


def _total(core: CoreTimes) -> float:
    return _busy(core) + core.idle + (core.iowait or 0.0)


def _core_percent(core: CoreTimes) -> float:
    total = _total(core)
    return 100 * _busy(core) / total if total else 0.0
