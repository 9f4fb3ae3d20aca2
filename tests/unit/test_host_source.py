"""HostSource: agreement with /proc, own intervals, counters that go back, pressure, disks."""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perftui.snapshot import FIRST_SAMPLE, Absent, Disk, Network, Pressure, Stall, State
from perftui.sources import pressure as pressure_module
from perftui.sources.block_devices import whole_disks
from perftui.sources.counter_rate import TOO_SOON, WENT_BACK, counter_rate, summed_rate
from perftui.sources.cpu_times import NO_IOWAIT, NO_STEAL, core_times, cpu_between
from perftui.sources.host import NO_DISK, NO_NETWORK, HostReading, HostSource
from perftui.sources.pressure import (
    NO_FULL,
    NO_FULL_CPU,
    NO_PRESSURE,
    PRESSURE_OFF,
    parse_stall,
    read_pressure,
)
from perftui.sources.source import SourceError

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

IDLE = {"user": 0.0, "nice": 0.0, "system": 0.0, "idle": 0.0, "iowait": 0.0, "irq": 0.0,
        "softirq": 0.0, "steal": 0.0, "guest": 0.0, "guest_nice": 0.0}  # fmt: skip


def measured(value: float | Absent) -> float:
    assert not isinstance(value, Absent), value
    return value


@pytest.fixture
def load() -> Iterator[None]:
    """Keep about one core busy, so that there is something to agree about."""
    end = threading.Event()

    def burn() -> None:
        while not end.is_set():
            sum(range(10_000))

    thread = threading.Thread(target=burn)
    thread.start()
    yield
    end.set()
    thread.join()


def proc_stat() -> list[int]:
    """Return busy and total jiffies of the machine: idle and iowait are not busy."""
    numbers = [int(field) for field in Path("/proc/stat").read_text().split()[1:9]]
    return [sum(numbers) - numbers[3] - numbers[4], sum(numbers)]


def test_first_sample_has_no_rates_but_all_the_rest() -> None:
    reading = HostSource().sample()
    assert reading.cpu.percent == FIRST_SAMPLE
    assert reading.cpu.per_core == FIRST_SAMPLE
    assert reading.host.cpus >= 1
    assert reading.host.uptime > 0
    assert reading.host.name == os.uname().nodename
    assert reading.memory.total > reading.memory.used > 0
    assert not isinstance(reading.cpu.load, Absent)
    if isinstance(reading.disk, Disk):
        assert reading.disk == Disk(FIRST_SAMPLE, FIRST_SAMPLE)
    if isinstance(reading.network, Network):
        assert reading.network == Network(FIRST_SAMPLE, FIRST_SAMPLE)


@LINUX
@pytest.mark.usefixtures("load")
def test_cpu_percent_agrees_with_proc_stat() -> None:
    source = HostSource()
    differences = []
    for _ in range(3):
        before = proc_stat()
        source.sample()
        time.sleep(0.6)
        cpu = source.sample().cpu
        after = proc_stat()
        expected = 100 * (after[0] - before[0]) / (after[1] - before[1])
        assert expected > 10
        differences.append(abs(measured(cpu.percent) - expected))
        cores = cpu.per_core
        assert not isinstance(cores, Absent)
        assert sum(cores) / len(cores) == pytest.approx(measured(cpu.percent), abs=3)
    assert min(differences) <= 2, differences


@LINUX
def test_memory_agrees_with_meminfo() -> None:
    memory = HostSource().sample().memory
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    total, available = (1024 * int(lines[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
    assert memory.total == total
    assert memory.used == pytest.approx(total - available, abs=total / 100)
    assert memory.percent == pytest.approx(100 * memory.used / memory.total)


def test_two_sources_do_not_disturb_each_other() -> None:
    one, other = HostSource(), HostSource()
    one.sample()
    time.sleep(0.2)
    psutil.cpu_percent()
    assert other.sample().cpu.percent == FIRST_SAMPLE
    assert 0 <= measured(one.sample().cpu.percent) <= 100


def test_guest_time_is_not_counted_twice_and_iowait_is_idle() -> None:
    after = IDLE | {"user": 3.0, "guest": 3.0, "system": 1.0, "idle": 4.0, "iowait": 1.0,
                    "steal": 1.0}  # fmt: skip
    cpu = cpu_between([core_times(IDLE)], [core_times(after)], (0.0, 0.0, 0.0))
    assert cpu.percent == pytest.approx(50)
    assert cpu.user_percent == pytest.approx(30)
    assert cpu.system_percent == pytest.approx(10)
    assert cpu.iowait_percent == pytest.approx(10)
    assert cpu.steal_percent == pytest.approx(10)


def test_system_without_iowait_and_steal_says_so() -> None:
    before = core_times({"user": 1.0, "nice": 0.0, "system": 1.0, "idle": 1.0})
    after = core_times({"user": 2.0, "nice": 0.0, "system": 1.0, "idle": 2.0})
    cpu = cpu_between([before], [after], (0.0, 0.0, 0.0))
    assert cpu.percent == pytest.approx(50)
    assert (cpu.iowait_percent, cpu.steal_percent) == (NO_IOWAIT, NO_STEAL)


def test_a_core_that_came_or_no_time_at_all_gives_no_percent() -> None:
    core = core_times(IDLE)
    assert cpu_between([core], [core, core], (0.0, 0.0, 0.0)).percent == FIRST_SAMPLE
    assert cpu_between([core], [core], (0.0, 0.0, 0.0)).percent == TOO_SOON


times = st.fixed_dictionaries({name: st.floats(0, 1e7) for name in IDLE})


@given(before=st.lists(times, min_size=1, max_size=4), data=st.data())
def test_percentages_stay_in_range_whatever_the_counters_do(
    before: list[dict[str, float]], data: st.DataObject
) -> None:
    after = data.draw(st.lists(times, min_size=len(before), max_size=len(before)))
    cpu = cpu_between(
        [core_times(core) for core in before], [core_times(core) for core in after], (0, 0, 0)
    )
    if isinstance(cpu.percent, Absent):
        assert cpu.percent == TOO_SOON
        return
    assert -1e-6 <= cpu.percent <= 100 + 1e-6
    parts = measured(cpu.user_percent) + measured(cpu.system_percent) + measured(cpu.steal_percent)
    assert parts == pytest.approx(cpu.percent, abs=1e-6)


def test_rates_and_counters_that_go_back() -> None:
    assert counter_rate(10, 30, 2.0) == 10
    assert counter_rate(30, 10, 2.0) == WENT_BACK
    assert counter_rate(10, 30, 0.0) == TOO_SOON
    assert summed_rate({"a": 1, "b": 10}, {"a": 3, "b": 14}, 2.0) == 3
    assert summed_rate({"a": 1, "b": 10}, {"a": 3, "b": 9}, 2.0) == WENT_BACK
    assert summed_rate({"a": 1}, {"a": 3, "new": 10**12}, 1.0) == 2
    assert summed_rate({"old": 1}, {"new": 3}, 1.0) == FIRST_SAMPLE


class _Net:
    def __init__(self, received: int, sent: int) -> None:
        self.bytes_recv = received
        self.bytes_sent = sent


class _Io:
    def __init__(self, read: int, written: int) -> None:
        self.read_bytes = read
        self.write_bytes = written


def test_network_leaves_loopback_out_and_survives_a_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    counters = {"lo": _Net(10**9, 10**9), "eth0": _Net(5000, 100), "eth1": _Net(0, 0)}
    monkeypatch.setattr(psutil, "net_io_counters", lambda **_: counters)
    source = HostSource()
    source.sample()
    counters = {"lo": _Net(10**12, 10**12), "eth0": _Net(5000, 90), "eth1": _Net(0, 0)}
    network = source.sample().network
    assert network == Network(0.0, WENT_BACK)
    counters = {"lo": _Net(0, 0)}
    assert source.sample().network == NO_NETWORK


def test_disk_counts_whole_disks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["sda", "sda1"]
    monkeypatch.setattr("perftui.sources.host.sys.platform", "linux")
    monkeypatch.setattr("perftui.sources.host.whole_disks", lambda listed: listed & {"sda"})
    counters = {name: _Io(0, 1000) for name in names}
    monkeypatch.setattr(psutil, "disk_io_counters", lambda **_: counters)
    source = HostSource()
    # Before the first reading, so that no clock of the source can have started earlier.
    begun = time.monotonic()
    source.sample()
    time.sleep(0.05)
    counters = {name: _Io(10**6, 1000) for name in names}
    disk = source.sample().disk
    assert isinstance(disk, Disk)
    assert 10**6 / (time.monotonic() - begun) <= measured(disk.read_rate) <= 10**6 / 0.05
    assert disk.write_rate == 0.0


def test_no_disk_counters_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: bool) -> None:
        raise NotImplementedError

    monkeypatch.setattr(psutil, "disk_io_counters", refuse)
    assert HostSource().sample().disk == NO_DISK


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (PermissionError(errno.EACCES, "denied", "/proc/stat"), State.DENIED),
        (FileNotFoundError(errno.ENOENT, "missing", "/proc/stat"), State.UNAVAILABLE),
    ],
)
def test_hidden_counters_are_a_source_error(
    monkeypatch: pytest.MonkeyPatch, error: OSError, state: State
) -> None:
    def refuse(**_: bool) -> None:
        raise error

    monkeypatch.setattr(psutil, "cpu_times", refuse)
    with pytest.raises(SourceError) as raised:
        HostSource().sample()
    assert raised.value.absent.state is state
    assert "/proc/stat" in raised.value.absent.reason


def make_block(root: Path, name: str, slaves: tuple[str, ...] = (), hidden: str = "0") -> None:
    (root / name / "slaves").mkdir(parents=True)
    (root / name / "hidden").write_text(f"{hidden}\n")
    for slave in slaves:
        (root / name / "slaves" / slave).touch()


def test_whole_disks_leaves_out_what_is_counted_elsewhere(tmp_path: Path) -> None:
    for name in ("sda", "nvme0n1", "loop0", "zram0", "ram0", "zd0", "cciss!c0d0"):
        make_block(tmp_path, name)
    make_block(tmp_path, "dm-0", slaves=("sda",))
    make_block(tmp_path, "bcache0", slaves=("nvme0n1",))
    make_block(tmp_path, "nvme0c0n1", hidden="1")
    listed = ["sda", "sda1", "nvme0n1", "nvme0n1p2", "loop0", "zram0", "ram0", "zd0", "dm-0",
              "bcache0", "nvme0c0n1", "cciss/c0d0", "cciss/c0d0p1"]  # fmt: skip
    assert whole_disks(listed, str(tmp_path)) == {"sda", "nvme0n1", "cciss/c0d0"}


def test_whole_disks_without_sysfs_goes_by_name(tmp_path: Path) -> None:
    listed = ["vda", "vda1", "nvme0n1", "nvme0n1p2", "xvda1", "dm-3"]
    assert whole_disks(listed, str(tmp_path / "none")) == {"vda", "nvme0n1", "xvda1"}


SOME = "some avg10=1.50 avg60=0.25 avg300=0.10 total=123\n"
FULL = "full avg10=0.75 avg60=0.50 avg300=0.10 total=12\n"


def test_pressure_is_read_and_full_cpu_is_not_a_zero(tmp_path: Path) -> None:
    for name in ("cpu", "memory", "io"):
        (tmp_path / name).write_text(SOME + FULL)
    (tmp_path / "io").write_text(SOME)
    assert read_pressure(str(tmp_path)) == Pressure(
        cpu=Stall(1.5, 0.25, NO_FULL_CPU, NO_FULL_CPU),
        memory=Stall(1.5, 0.25, 0.75, 0.5),
        io=Stall(1.5, 0.25, NO_FULL, NO_FULL),
    )


def test_kernel_without_pressure(tmp_path: Path) -> None:
    assert read_pressure(str(tmp_path / "pressure")) == NO_PRESSURE
    assert "psi=1" in NO_PRESSURE.fix


def test_pressure_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> bytes:
        raise OSError(errno.EOPNOTSUPP, "not supported", path)

    monkeypatch.setattr(pressure_module, "read_proc_file", refuse)
    assert read_pressure() == PRESSURE_OFF


def test_one_unreadable_pressure_file_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "cpu").write_text(SOME)
    (tmp_path / "memory").write_text("nonsense\n")
    pressure = read_pressure(str(tmp_path))
    assert isinstance(pressure, Pressure)
    assert isinstance(pressure.cpu, Stall)
    assert isinstance(pressure.memory, Absent)
    assert "unknown format" in pressure.memory.reason
    assert pressure.io == NO_PRESSURE


@given(st.text())
def test_parse_stall_refuses_or_reads_anything(text: str) -> None:
    try:
        stall = parse_stall(text, NO_FULL)
    except ValueError:
        return
    assert isinstance(stall, Stall)


def test_reading_can_be_written_and_read_back() -> None:
    import msgspec

    source = HostSource()
    source.sample()
    reading = source.sample()
    encoded = msgspec.msgpack.encode(reading)
    assert msgspec.msgpack.decode(encoded, type=HostReading) == reading
