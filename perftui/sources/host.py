"""The machine as a whole: CPU, memory, swap, disks, network and pressure."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from perftui.snapshot import (
    FIRST_SAMPLE,
    Absent,
    Cpu,
    Disk,
    Host,
    Maybe,
    Memory,
    Network,
    Pressure,
    State,
    Swap,
)
from perftui.sources.block_devices import whole_disks
from perftui.sources.counter_rate import counter_rate, summed_rate
from perftui.sources.cpu_times import CoreTimes, core_times, cpu_between
from perftui.sources.pressure import read_pressure
from perftui.sources.source import SourceError
from perftui.sources.vmstat import NO_OOM_COUNT, NO_SWAP_COUNT, read_vmstat

PAGE_SIZE = os.sysconf("SC_PAGE_SIZE") if sys.platform == "linux" else 4096
NO_DISK = Absent(State.UNAVAILABLE, "this system counts no disk traffic")
NO_NETWORK = Absent(State.UNAVAILABLE, "there is no network interface but loopback")
NO_LOAD = Absent(State.UNAVAILABLE, "this system has no load average")
LINUX_ONLY_PRESSURE = Absent(
    State.UNAVAILABLE, f"pressure stall information exists on Linux only, not on {sys.platform}"
)


class HostReading(msgspec.Struct, frozen=True):
    """One look at the machine."""

    host: Host
    cpu: Cpu
    memory: Memory
    swap: Swap
    disk: Maybe[Disk]
    network: Maybe[Network]
    pressure: Maybe[Pressure]


class _Traffic(NamedTuple):
    """Byte counters by device at one moment of the monotonic clock."""

    time: float
    incoming: dict[str, int]
    outgoing: dict[str, int]


class HostSource:
    """CPU, memory, swap, disk, network and pressure of the machine.

    Rates are those between two samples of this object: psutil's own interval state is shared by
    the whole process and therefore not used.
    """

    name = "host"
    deadline = 1.0

    def __init__(self, interval: float = 1.0) -> None:
        self.interval = interval
        self._cores: list[CoreTimes] | None = None
        self._disk: _Traffic | None = None
        self._network: _Traffic | None = None
        self._swapped: tuple[float, Mapping[str, int]] | None = None
        self._listed_disks: frozenset[str] = frozenset()
        self._whole_disks: frozenset[str] = frozenset()

    def sample(self) -> HostReading:
        """Return one reading; rates are FIRST_SAMPLE the first time.

        Raises SourceError where the system's counters are missing or may not be read.
        """
        try:
            cpu, cores = self._sample_cpu()
            events = read_vmstat() if sys.platform == "linux" else {}
            memory = _memory(events.get("oom_kill", NO_OOM_COUNT))
            swap = self._sample_swap(events)
        except FileNotFoundError as error:
            raise SourceError(
                State.UNAVAILABLE, f"{error.filename} does not exist", "mount -t proc proc /proc"
            ) from error
        except PermissionError as error:
            raise SourceError(
                State.DENIED, f"{error.filename} may not be read", f"check: ls -l {error.filename}"
            ) from error
        return HostReading(
            host=_host(cores),
            cpu=cpu,
            memory=memory,
            swap=swap,
            disk=self._sample_disk(),
            network=self._sample_network(),
            pressure=read_pressure() if sys.platform == "linux" else LINUX_ONLY_PRESSURE,
        )

    def close(self) -> None:
        """Nothing is held between two samples."""

    def _sample_cpu(self) -> tuple[Cpu, int]:
        import psutil

        cores = [core_times(times._asdict()) for times in psutil.cpu_times(percpu=True)]
        cpu = cpu_between(self._cores, cores, _load())
        self._cores = cores
        return cpu, len(cores)

    def _sample_swap(self, events: Mapping[str, int]) -> Swap:
        import psutil

        before, now = self._swapped, (time.monotonic(), events)
        self._swapped = now
        rates: list[Maybe[float]] = []
        for name in ("pswpin", "pswpout"):
            if name not in events:
                rates.append(NO_SWAP_COUNT)
            elif before is None or name not in before[1]:
                rates.append(FIRST_SAMPLE)
            else:
                pages = counter_rate(before[1][name], events[name], now[0] - before[0])
                rates.append(pages if isinstance(pages, Absent) else pages * PAGE_SIZE)
        swap = psutil.swap_memory()
        return Swap(
            100 * swap.used / swap.total if swap.total else 0.0, swap.used, swap.total, *rates
        )

    def _sample_disk(self) -> Maybe[Disk]:
        import psutil

        try:
            counters = psutil.disk_io_counters(perdisk=True, nowrap=False)
        except (OSError, NotImplementedError, RuntimeError, ValueError):
            counters = {}
        names = self._disks_of(frozenset(counters))
        if not names:
            self._disk = None
            return NO_DISK
        before = self._disk
        now = _Traffic(
            time.monotonic(),
            {name: counters[name].read_bytes for name in names},
            {name: counters[name].write_bytes for name in names},
        )
        self._disk = now
        return Disk(*_rates(before, now))

    def _disks_of(self, listed: frozenset[str]) -> frozenset[str]:
        if sys.platform != "linux":
            return listed
        # sysfs is asked only when a device came or went: it costs more than the counters.
        if listed != self._listed_disks:
            self._whole_disks = whole_disks(listed)
            self._listed_disks = listed
        return self._whole_disks

    def _sample_network(self) -> Maybe[Network]:
        import psutil

        try:
            counters = psutil.net_io_counters(pernic=True, nowrap=False)
        except OSError as error:
            self._network = None
            return Absent(State.UNAVAILABLE, f"network counters: {error.strerror}")
        names = [name for name in counters if name not in ("lo", "lo0")]
        if not names:
            self._network = None
            return NO_NETWORK
        before = self._network
        now = _Traffic(
            time.monotonic(),
            {name: counters[name].bytes_recv for name in names},
            {name: counters[name].bytes_sent for name in names},
        )
        self._network = now
        return Network(*_rates(before, now))


def _rates(before: _Traffic | None, now: _Traffic) -> tuple[Maybe[float], Maybe[float]]:
    if before is None:
        return FIRST_SAMPLE, FIRST_SAMPLE
    seconds = now.time - before.time
    return (
        summed_rate(before.incoming, now.incoming, seconds),
        summed_rate(before.outgoing, now.outgoing, seconds),
    )


def _host(cores: int) -> Host:
    import platform

    system = platform.uname()
    return Host(
        name=system.node,
        system=system.system,
        kernel=system.release,
        cpus=cores,
        uptime=_uptime(),
    )


def _uptime() -> float:
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    import psutil

    return max(0.0, time.time() - psutil.boot_time())


def _load() -> Maybe[tuple[float, float, float]]:
    try:
        return os.getloadavg()
    except OSError:
        return NO_LOAD


def _memory(oom_kills: Maybe[int]) -> Memory:
    import psutil

    memory = psutil.virtual_memory()
    used = memory.total - memory.available
    return Memory(
        percent=100 * used / memory.total if memory.total else 0.0,
        used=used,
        total=memory.total,
        available=memory.available,
        oom_kills=oom_kills,
    )
