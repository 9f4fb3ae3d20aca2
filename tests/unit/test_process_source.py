"""ProcessSource on real children and on fake trees: churn, reuse of pids, hostile names, budget."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
import pytest
from process_tree import KERNEL_THREAD, ProcessTree, stat_line

from perftui.snapshot import FIRST_SAMPLE, Process, ProcessTable, State
from perftui.sources.processes.details import read_guarded
from perftui.sources.processes.fallback import PsutilScan
from perftui.sources.processes.scan import KERNEL_THREAD_TURNS, LinuxScan
from perftui.sources.processes.source import ProcessSource
from perftui.sources.source import SourceError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

Spawn = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start children that end with the test; each says on its standard output that it is ready."""
    children: list[subprocess.Popen[bytes]] = []

    def start(*command: str, wait: bool = True) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(command, stdout=subprocess.PIPE)
        children.append(child)
        if wait:
            assert child.stdout is not None
            assert child.stdout.readline()
        return child

    yield start
    for child in children:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


@pytest.fixture
def tree(tmp_path: Path) -> ProcessTree:
    return ProcessTree(tmp_path)


def python(code: str) -> tuple[str, str, str]:
    return sys.executable, "-c", code


def row_of(table: ProcessTable, pid: int) -> Process:
    return next(row for row in table.rows if row.pid == pid)


def scan_of(tree: ProcessTree, **options: object) -> LinuxScan:
    return LinuxScan(str(tree.root), 0.04, **options)  # type: ignore[arg-type]


def test_own_row_agrees_with_psutil() -> None:
    row = row_of(ProcessSource().sample(), os.getpid())
    peer = psutil.Process()
    assert row.ppid == os.getppid()
    assert row.name == Path("/proc/self/comm").read_text().rstrip("\n")
    assert row.command == " ".join(peer.cmdline())
    assert row.user == pwd.getpwuid(os.geteuid()).pw_name
    assert row.state == "R"
    assert row.memory_rss == pytest.approx(peer.memory_info().rss, rel=0.1)
    assert row.threads == peer.num_threads()
    assert row.started == pytest.approx(peer.create_time(), abs=1.5)
    assert row.cpu_percent == FIRST_SAMPLE
    assert row.python


def test_table_counts_what_it_shows() -> None:
    table = ProcessSource().sample()
    assert {row.pid for row in table.rows} >= {os.getpid(), 1}
    assert table.total == len(table.rows)
    assert table.threads == sum(row.threads for row in table.rows)
    assert table.running == sum(row.state == "R" for row in table.rows) >= 1
    assert 0 <= table.scan_seconds < 5


def test_cpu_percent_is_of_one_core_and_agrees_with_proc(spawn: Spawn) -> None:
    busy = spawn(*python("print('ready', flush=True)\nwhile True: pass"))
    idle = spawn(*python("import time; print('ready', flush=True); time.sleep(60)"))
    source = ProcessSource()

    def ticks() -> int:
        fields = Path(f"/proc/{busy.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    differences = []
    for _ in range(3):
        source.sample()
        before, begun = ticks(), time.monotonic()
        time.sleep(0.7)
        after, ended = ticks(), time.monotonic()
        table = source.sample()
        expected = 100 * (after - before) / os.sysconf("SC_CLK_TCK") / (ended - begun)
        percent = row_of(table, busy.pid).cpu_percent
        assert isinstance(percent, float)
        assert percent > 5
        differences.append(abs(percent - expected))
        assert row_of(table, idle.pid).cpu_percent == pytest.approx(0, abs=3)
    assert min(differences) < 5, differences


def test_child_born_between_two_samples_has_a_percent_at_once(spawn: Spawn) -> None:
    source = ProcessSource()
    source.sample()
    busy = spawn(*python("print('ready', flush=True)\nwhile True: pass"))
    time.sleep(0.4)
    percent = row_of(source.sample(), busy.pid).cpu_percent
    assert isinstance(percent, float)
    assert 5 < percent < 130


@pytest.mark.parametrize("name", [b"a) R (b\n", b"\xff\xfe(", b"[/x]", b")", b"\x1b[31m"])
def test_hostile_name_of_a_real_child(spawn: Spawn, name: bytes) -> None:
    code = f"""
import sys, time
open('/proc/self/comm', 'wb').write({name!r})
print('ready', flush=True)
time.sleep(60)
"""
    child = spawn(*python(code), "\x1b[2J[/red] b\nc", "\udcff")
    row = row_of(ProcessSource().sample(), child.pid)
    assert row.name == name.decode("utf-8", "backslashreplace")
    assert row.state in "SR"
    assert row.ppid == os.getpid()
    assert row.command.endswith("\x1b[2J[/red] b\nc \\xff")
    assert msgspec.json.decode(msgspec.json.encode(row), type=Process) == row


def test_script_with_an_interpreter_line_is_python(spawn: Spawn, tmp_path: Path) -> None:
    script = tmp_path / "gunicorn"
    script.write_text(
        f"#!{sys.executable}\nimport time\nprint('ready', flush=True)\ntime.sleep(60)\n"
    )
    script.chmod(0o755)
    child = spawn(str(script), "app:app")
    row = row_of(ProcessSource().sample(), child.pid)
    assert row.python
    assert row.name == "gunicorn"
    assert row.command.endswith("gunicorn app:app")


def test_program_that_executes_another_gets_its_new_command(spawn: Spawn) -> None:
    child = spawn(
        "sh", "-c", "echo ready; read line < /proc/self/stat; sleep 0.3; exec sleep 60"
    )  # fmt: skip
    source = ProcessSource()
    assert row_of(source.sample(), child.pid).name == "sh"
    limit = time.monotonic() + 10
    while (row := row_of(source.sample(), child.pid)).name == "sh":
        assert time.monotonic() < limit
        time.sleep(0.05)
    assert (row.name, row.command, row.python) == ("sleep", "sleep 60", False)


def test_zombie_is_shown_and_keeps_its_command(spawn: Spawn) -> None:
    child = spawn("sh", "-c", "echo ready; exec sleep 60")
    source = ProcessSource()
    source.sample()
    child.send_signal(signal.SIGKILL)
    limit = time.monotonic() + 10
    while (row := row_of(source.sample(), child.pid)).state != "Z":
        assert time.monotonic() < limit
        time.sleep(0.02)
    assert row.memory_rss == 0
    late = row_of(ProcessSource().sample(), child.pid)
    assert (late.state, late.command) == ("Z", f"[{late.name}]")
    child.wait()
    assert child.pid not in {row.pid for row in source.sample().rows}


def test_scanning_survives_processes_that_come_and_go() -> None:
    code = """
import os, sys
print('ready', flush=True)
while True:
    pids = [os.posix_spawn('/bin/true', ['true'], {}) for _ in range(8)]
    for pid in pids:
        os.waitpid(pid, 0)
"""
    churn = subprocess.Popen(python(code), stdout=subprocess.PIPE)
    try:
        assert churn.stdout is not None
        assert churn.stdout.readline()
        source = ProcessSource()
        seen: set[int] = set()
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            seen |= {row.pid for row in source.sample().rows}
        assert len(seen) > len(source.sample().rows) + 5
    finally:
        churn.kill()
        churn.communicate()


def test_pid_that_is_used_again_is_another_process(tree: ProcessTree) -> None:
    scan = scan_of(tree)
    tree.write(5, stat_line(5, "old", ticks=900, start=100), b"old\0")
    before = scan.scan().rows[0]
    time.sleep(0.11)
    tree.write(5, stat_line(5, "new", ticks=3, start=2000), b"new\0--fresh\0")
    after = scan.scan().rows[0]
    assert (before.command, after.command) == ("old", "new --fresh")
    assert after.cpu_percent == FIRST_SAMPLE
    assert after.started - before.started == pytest.approx(19, abs=1)


def test_process_that_ends_is_forgotten(tree: ProcessTree) -> None:
    scan = scan_of(tree)
    tree.write(5, stat_line(5))
    tree.write(6, stat_line(6))
    assert [row.pid for row in sorted(scan.scan().rows, key=lambda row: row.pid)] == [5, 6]
    tree.end(5)
    assert [row.pid for row in scan.scan().rows] == [6]
    tree.end(6)
    with pytest.raises(SourceError, match="no processes"):
        scan.scan()


def test_details_are_read_once_while_nothing_changes(tree: ProcessTree) -> None:
    scan = scan_of(tree)
    tree.write(5, stat_line(5, ticks=1), b"first\0")
    scan.scan()
    tree.write(5, stat_line(5, ticks=2), b"second\0")
    assert scan.scan().rows[0].command == "first"
    tree.write(5, stat_line(5, ticks=3, stack=8), b"third\0")
    assert scan.scan().rows[0].command == "third"
    tree.write(5, stat_line(5, "renamed", ticks=3, stack=8), b"fourth\0")
    assert scan.scan().rows[0].command == "fourth"


def test_user_and_program_come_from_the_tree(tree: ProcessTree) -> None:
    tree.write(5, stat_line(5), uid=0)
    tree.link_program(5, "/usr/bin/python3.12")
    tree.write(6, stat_line(6), uid=2**31 - 7)
    rows = {row.pid: row for row in scan_of(tree).scan().rows}
    assert (rows[5].user, rows[5].python) == ("root", True)
    assert (rows[6].user, rows[6].python) == (str(2**31 - 7), False)


def test_kernel_thread_needs_no_details_and_takes_turns_when_idle(tree: ProcessTree) -> None:
    reads: list[str] = []

    def read(path: str) -> bytes | None:
        reads.append(path)
        return read_guarded(path)

    tree.write(9, stat_line(9, "kworker/0:1", flags=KERNEL_THREAD), b"never read\0")
    tree.write(10, stat_line(10))
    scan = scan_of(tree, read=read)
    row = next(row for row in scan.scan().rows if row.pid == 9)
    assert (row.command, row.user, row.python) == ("[kworker/0:1]", "root", False)
    for _ in range(2):
        time.sleep(0.11)
        scan.scan()
    reads.clear()
    for _ in range(2 * KERNEL_THREAD_TURNS):
        scan.scan()
    assert sum("/9/" in path for path in reads) == 2
    assert sum("/10/" in path for path in reads) == 2 * KERNEL_THREAD_TURNS


def test_hidden_processes_are_left_out(tree: ProcessTree) -> None:
    def read(path: str) -> bytes | None:
        if "/6/" in path:
            raise PermissionError(13, "Permission denied", path)
        return read_guarded(path)

    tree.write(5, stat_line(5))
    tree.write(6, stat_line(6))
    scan = scan_of(tree, read=read)
    for _ in range(2):
        table = scan.scan()
        assert [row.pid for row in table.rows] == [5]
        assert table.total == 1
    tree.end(5)
    with pytest.raises(SourceError, match="hides all") as raised:
        scan.scan()
    assert raised.value.absent.state is State.DENIED


def test_no_proc_at_all(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as raised:
        ProcessSource(proc=str(tmp_path / "missing")).sample()
    assert raised.value.absent.state is State.UNAVAILABLE
    assert raised.value.absent.fix.startswith("mount -t proc")


def test_errors_of_the_machine_are_not_taken_for_a_process_that_ended(tree: ProcessTree) -> None:
    def read(path: str) -> bytes | None:
        raise OSError(24, "Too many open files", path)

    tree.write(5, stat_line(5))
    with pytest.raises(OSError, match="Too many"):
        scan_of(tree, read=read).scan()


class Meter:
    """Counts stat reads, each of which takes `cost` seconds of a CPU clock that a test owns."""

    def __init__(self, cost: float) -> None:
        self.cost = cost
        self.clock = 0.0
        self.pids: list[int] = []

    def read(self, path: str) -> bytes | None:
        self.clock += self.cost
        self.pids.append(int(path.split("/")[-2]))
        return read_guarded(path)

    def tick(self, scan: LinuxScan) -> tuple[ProcessTable, list[int]]:
        self.pids.clear()
        table = scan.scan()
        return table, list(self.pids)


def test_ten_thousand_processes_stay_in_the_budget(tree: ProcessTree) -> None:
    count, budget, cost = 10_000, 0.04, 20e-6
    for pid in range(1, count + 1):
        (tree.root / str(pid)).mkdir()
        (tree.root / str(pid) / "stat").write_bytes(stat_line(pid))
    meter = Meter(cost)
    scan = LinuxScan(str(tree.root), budget, read=meter.read, cpu_clock=lambda: meter.clock)
    table, read = meter.tick(scan)
    assert len(read) == len(table.rows) == count
    # A newcomer counts as several units but costs one read on this clock: the first estimate is
    # low by that factor and has to settle.
    for _ in range(25):
        time.sleep(0.005)
        table, read = meter.tick(scan)
    assert len(read) <= budget / cost * 1.1
    assert len(read) == len(set(read))
    assert len(table.rows) == table.total == count

    busy = [3, 5000, 9999]
    everything: set[int] = set()
    for turn in range(1, 16):
        for pid in busy:
            (tree.root / str(pid) / "stat").write_bytes(stat_line(pid, ticks=turn))
        time.sleep(0.11)
        table, read = meter.tick(scan)
        everything |= set(read)
        assert len(read) <= budget / cost * 1.1
        assert table.scan_seconds > 0.11
        if turn > 8:
            assert set(busy) <= set(read)
            assert row_of(table, 5000).cpu_percent not in (0.0, FIRST_SAMPLE)
    assert len(everything) == count
    tree.write(20_000, stat_line(20_000))
    table, read = meter.tick(scan)
    assert 20_000 in read
    assert row_of(table, 20_000).command == "/bin/worker"
    assert table.total == count + 1


def test_burst_of_newcomers_waits_for_its_budget(tree: ProcessTree) -> None:
    meter = Meter(0.0002)
    scan = LinuxScan(str(tree.root), 0.04, read=meter.read, cpu_clock=lambda: meter.clock)
    for pid in range(1, 301):
        tree.write(pid, stat_line(pid))
    meter.tick(scan)
    for pid in range(301, 601):
        tree.write(pid, stat_line(pid))
    table, _ = meter.tick(scan)
    assert table.total == 600
    assert len(table.rows) < 600
    for _ in range(12):
        table, _ = meter.tick(scan)
    assert len(table.rows) == 600


def test_fallback_has_the_same_shape(spawn: Spawn) -> None:
    busy = spawn(*python("print('ready', flush=True)\nwhile True: pass"))
    scan = PsutilScan(budget=10.0)
    first = row_of(scan.scan(), busy.pid)
    assert first.cpu_percent == FIRST_SAMPLE
    time.sleep(0.4)
    table = scan.scan()
    row = row_of(table, busy.pid)
    assert isinstance(row.cpu_percent, float)
    assert row.cpu_percent > 5
    mine = row_of(ProcessSource().sample(), busy.pid)
    assert (row.ppid, row.name, row.command, row.user, row.python) == (
        mine.ppid, mine.name, mine.command, mine.user, mine.python,
    )  # fmt: skip
    assert row.state in "RS"
    assert row.memory_rss == pytest.approx(mine.memory_rss, rel=0.1)
    assert row.started == pytest.approx(mine.started, abs=1.5)
    assert table.total == len(table.rows)


def test_fallback_keeps_an_expensive_table_and_tells_its_age() -> None:
    scan = PsutilScan(budget=1e-5)
    scan.scan()
    second = scan.scan()
    time.sleep(0.1)
    third = scan.scan()
    assert third.rows is second.rows
    assert third.scan_seconds >= 0.1


def test_one_table_fits_the_wire() -> None:
    table = ProcessSource().sample()
    assert msgspec.json.decode(msgspec.json.encode(table), type=ProcessTable) == table
