"""Rules for the machine: CPU, memory, pressure, swap. A limit that is set speaks for it.

Readings of the whole machine have no group: they may explain any symptom.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from perftui.analysis.alerting.rule import Kind, Levels, Reading, Rule
from perftui.analysis.alerting.rules import evidence
from perftui.format import measure
from perftui.snapshot import Absent, Cgroup, Maybe, Snapshot, Stall

HOST, LIMIT = "host", "cgroup limit"
SOURCES = frozenset({"host", "cgroup"})
HOST_ONLY = frozenset({"host"})
PANE = "resources"
THRASHING = 5.0
"""Percent of time that all tasks wait for memory, from which on swapping in means distress."""


def limits(snapshot: Snapshot) -> Cgroup | None:
    """Return the control group where there is one that can be read."""
    cgroup = snapshot.resources.cgroup
    return None if isinstance(cgroup, Absent) else cgroup


def cpu_limit(snapshot: Snapshot) -> float | None:
    """Return the limit of the control group in cores, None where none is set.

    One that is as large as the machine limits nothing: then the machine speaks.
    """
    cgroup, host = limits(snapshot), snapshot.host
    if cgroup is None or isinstance(cgroup.cpu_limit, Absent) or cgroup.cpu_limit is None:
        return None
    if not isinstance(host, Absent) and cgroup.cpu_limit >= host.cpus:
        return None
    return cgroup.cpu_limit


def memory_limit(snapshot: Snapshot) -> int | None:
    """Return the limit of the control group in bytes, None where none is set; see cpu_limit."""
    cgroup, memory = limits(snapshot), snapshot.resources.memory
    if cgroup is None or isinstance(cgroup.memory_limit, Absent) or cgroup.memory_limit is None:
        return None
    if not isinstance(memory, Absent) and cgroup.memory_limit >= memory.total:
        return None
    return cgroup.memory_limit


def _one(subject: str, value: Maybe[float], window: float = 0.0) -> Iterator[Reading]:
    if not isinstance(value, Absent):
        yield Reading(subject, value, window=window)


def _cpu(snapshot: Snapshot) -> Iterable[Reading]:
    cgroup, cpu = limits(snapshot), snapshot.resources.cpu
    if cgroup is not None and cpu_limit(snapshot) is not None:
        return _one(LIMIT, cgroup.cpu_percent)
    return () if isinstance(cpu, Absent) else _one(HOST, cpu.percent)


def _memory(snapshot: Snapshot) -> Iterable[Reading]:
    cgroup, memory = limits(snapshot), snapshot.resources.memory
    if cgroup is not None and memory_limit(snapshot) is not None:
        return _one(LIMIT, cgroup.memory_percent)
    return () if isinstance(memory, Absent) else _one(HOST, memory.percent)


def _stall(snapshot: Snapshot, resource: str) -> Stall | None:
    pressure = snapshot.resources.pressure
    if isinstance(pressure, Absent):
        return None
    found = {"cpu": pressure.cpu, "memory": pressure.memory, "io": pressure.io}[resource]
    return None if isinstance(found, Absent) else found


def _memory_pressure(snapshot: Snapshot) -> Iterable[Reading]:
    stall = _stall(snapshot, "memory")
    return () if stall is None else _one(HOST, stall.full_avg10, 10.0)


def _cpu_pressure(snapshot: Snapshot) -> Iterable[Reading]:
    stall = _stall(snapshot, "cpu")
    # Tasks that wait because of their limit are told by the limit's own rules.
    if stall is None or cpu_limit(snapshot) is not None:
        return ()
    return _one(HOST, stall.some_avg60, 60.0)


def _load(snapshot: Snapshot) -> Iterable[Reading]:
    cpu = snapshot.resources.cpu
    if _stall(snapshot, "cpu") is not None or cpu_limit(snapshot) is not None:
        return ()
    if isinstance(cpu, Absent) or isinstance(cpu.load, Absent) or isinstance(snapshot.host, Absent):
        return ()
    return _one(HOST, cpu.load[0] / max(1, snapshot.host.cpus), 60.0)


def _io_pressure(snapshot: Snapshot) -> Iterable[Reading]:
    stall = _stall(snapshot, "io")
    return () if stall is None else _one(HOST, stall.full_avg60, 60.0)


def _iowait(snapshot: Snapshot) -> Iterable[Reading]:
    cpu = snapshot.resources.cpu
    if isinstance(cpu, Absent) or _stall(snapshot, "io") is not None:
        return ()
    return _one(HOST, cpu.iowait_percent)


def _steal(snapshot: Snapshot) -> Iterable[Reading]:
    cpu = snapshot.resources.cpu
    return () if isinstance(cpu, Absent) else _one(HOST, cpu.steal_percent)


def _swap_in(snapshot: Snapshot) -> Iterable[Reading]:
    swap, stall = snapshot.resources.swap, _stall(snapshot, "memory")
    if isinstance(swap, Absent) or isinstance(swap.in_rate, Absent):
        return ()
    if stall is None or isinstance(stall.full_avg10, Absent):
        return ()
    # Pages that come back at leisure harm nobody.
    return _one(HOST, swap.in_rate if stall.full_avg10 > THRASHING else 0.0)


def cores(count: float) -> str:
    """Return a number of cores in words."""
    return f"{count:g} {'core' if count == 1 else 'cores'}"


def _of(reading: Reading) -> str:
    return " of the limit" if reading.subject == LIMIT else ""


def busy(snapshot: Snapshot, reading: Reading) -> tuple[str, ...]:
    """Return the limit, if the reading is of it, and who uses the CPU."""
    limit = cpu_limit(snapshot)
    of_limit: tuple[str, ...] = ()
    if reading.subject == LIMIT and limit is not None:
        of_limit = (f"the control group may use {cores(limit)}",)
    return (*of_limit, *evidence.top_by_cpu(snapshot), *evidence.top_calls(snapshot))


def _full(snapshot: Snapshot, reading: Reading) -> tuple[str, ...]:
    limit = memory_limit(snapshot)
    of_limit: tuple[str, ...] = ()
    if reading.subject == LIMIT and limit is not None:
        of_limit = (f"the control group may use {measure(limit, 'bytes')}",)
    return (*of_limit, *evidence.top_by_memory(snapshot))


def _waiting(snapshot: Snapshot, reading: Reading) -> tuple[str, ...]:
    if isinstance(snapshot.processes, Absent):
        return ()
    stuck = [row for row in snapshot.processes.rows if row.state == "D"]
    return tuple(f"{row.name} ({row.pid}) waits for the disk" for row in stuck[: evidence.LINES])


def resource_rules() -> tuple[Rule, ...]:
    """Return the rules for the machine and the limit on it, with memories of their own."""
    return (
        Rule(
            id="R09",
            name="high_memory",
            title="Memory",
            kind=Kind.UTILISATION,
            unit="percent",
            levels=Levels(90.0, 85.0, 95.0, 90.0),
            measure=_memory,
            message=lambda r, level: f"memory at {r.value:.1f} %{_of(r)}, limit {level:g} %",
            hint=lambda r: (
                "8 Processes sorted by memory shows the largest; "
                + ("at the limit the kernel kills one" if r.subject == LIMIT else "free some")
            ),
            sources=SOURCES,
            pane=PANE,
            smoothing=10.0,
            hold=60.0,
            keep=120.0,
            evidence=_full,
        ),
        Rule(
            id="R10",
            name="high_cpu",
            title="CPU",
            kind=Kind.UTILISATION,
            unit="percent",
            levels=Levels(80.0, 75.0, 95.0, 85.0),
            measure=_cpu,
            message=lambda r, level: f"CPU at {r.value:.1f} %{_of(r)}, limit {level:g} %",
            hint=lambda r: "choose the busiest Python process in 8 Processes, p profiles it",
            sources=SOURCES,
            pane=PANE,
            smoothing=60.0,
            hold=60.0,
            keep=120.0,
            evidence=busy,
        ),
        Rule(
            id="R11",
            name="memory_pressure",
            title="Memory pressure",
            kind=Kind.SATURATION,
            unit="percent",
            levels=Levels(5.0, 3.0, 20.0, 12.0),
            measure=_memory_pressure,
            message=lambda r, level: (
                f"all tasks wait for memory {r.value:.1f} % of the time, limit {level:g} %"
            ),
            hint=lambda r: "8 Processes sorted by memory: a leak, or too many workers",
            sources=HOST_ONLY,
            pane=PANE,
            hold=20.0,
            keep=60.0,
            evidence=_full,
        ),
        Rule(
            id="R12",
            name="cpu_pressure",
            title="CPU pressure",
            kind=Kind.SATURATION,
            unit="percent",
            levels=Levels(25.0, 20.0, 60.0, 50.0),
            measure=_cpu_pressure,
            message=lambda r, level: (
                f"some task waits for a CPU {r.value:.0f} % of the time, limit {level:g} %"
            ),
            hint=lambda r: "8 Processes: fewer workers, or more cores",
            sources=SOURCES,
            pane=PANE,
            hold=60.0,
            keep=120.0,
            evidence=busy,
        ),
        Rule(
            id="R12b",
            name="cpu_load",
            title="Load",
            kind=Kind.SATURATION,
            unit="x",
            levels=Levels(2.0, 1.6),
            measure=_load,
            message=lambda r, level: (
                f"{r.value:.1f} tasks want each core, limit {level:g}; this system does not tell "
                "how long they wait"
            ),
            hint=lambda r: "8 Processes: fewer workers, or more cores",
            sources=SOURCES,
            pane=PANE,
            hold=60.0,
            keep=120.0,
            evidence=busy,
        ),
        Rule(
            id="R13",
            name="io_pressure",
            title="Disk pressure",
            kind=Kind.SATURATION,
            unit="percent",
            levels=Levels(10.0, 8.0, 40.0, 30.0),
            measure=_io_pressure,
            message=lambda r, level: (
                f"all tasks wait for disks {r.value:.0f} % of the time, limit {level:g} %"
            ),
            hint=lambda r: "1 Resources shows the traffic; processes in state D wait for it",
            sources=HOST_ONLY,
            pane=PANE,
            hold=60.0,
            keep=120.0,
            evidence=_waiting,
        ),
        Rule(
            id="R13b",
            name="iowait",
            title="Waiting for disks",
            kind=Kind.SATURATION,
            unit="percent",
            levels=Levels(40.0, 20.0),
            measure=_iowait,
            message=lambda r, level: (
                f"CPUs idle {r.value:.0f} % of the time because they wait for disks, "
                f"limit {level:g} %"
            ),
            hint=lambda r: "1 Resources shows the traffic; processes in state D wait for it",
            sources=HOST_ONLY,
            pane=PANE,
            smoothing=60.0,
            hold=60.0,
            keep=120.0,
            evidence=_waiting,
        ),
        Rule(
            id="R15",
            name="cpu_steal",
            title="Stolen CPU time",
            kind=Kind.SATURATION,
            unit="percent",
            levels=Levels(10.0, 5.0),
            measure=_steal,
            message=lambda r, level: (
                f"other virtual machines take {r.value:.0f} % of the CPU time, limit {level:g} %"
            ),
            hint=lambda r: "nothing here is the cause: move to another host, or ask its operator",
            sources=HOST_ONLY,
            pane=PANE,
            smoothing=60.0,
            hold=120.0,
            keep=300.0,
        ),
        Rule(
            id="R16b",
            name="swap_in",
            title="Swapping",
            kind=Kind.SATURATION,
            unit="bytes/s",
            levels=Levels(crit=1.0, crit_clear=1.0),
            measure=_swap_in,
            message=lambda r, level: (
                f"{measure(r.value, 'bytes/s')} come back from swap while all tasks wait for memory"
                if r.value > level
                else "tasks do not wait for what comes back from swap any more"
            ),
            hint=lambda r: "8 Processes sorted by memory: end or restart the largest",
            sources=HOST_ONLY,
            pane=PANE,
            # Memory has to be short for as long as under R11: one page alone is no distress.
            smoothing=10.0,
            hold=20.0,
            keep=600.0,
            evidence=_full,
        ),
    )
