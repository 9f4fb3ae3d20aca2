"""CgroupSource on trees of both versions, as they look on hosts and inside containers."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perftui.snapshot import FIRST_SAMPLE, Absent, State
from perftui.sources.cgroup.files import parse_flat, parse_limit, parse_quota
from perftui.sources.cgroup.layout import (
    CgroupMount,
    Membership,
    find_group,
    parse_memberships,
    parse_mounts,
)
from perftui.sources.cgroup.source import (
    NO_CPU_LIMIT,
    NO_MEMORY_LIMIT,
    NO_MEMORY_USAGE,
    NO_THROTTLING,
    CgroupSource,
)
from perftui.sources.counter_rate import WENT_BACK
from perftui.sources.source import SourceError

MIB = 1 << 20
V2_MOUNT = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"


class Tree:
    """A fake root directory with /proc and a control group file system."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def process(self, cgroup: str, mountinfo: str, pid: str = "self") -> None:
        self.write(f"proc/{pid}/cgroup", cgroup)
        self.write("proc/self/mountinfo", "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n" + mountinfo)

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def group(self, path: str, **files: str) -> None:
        for name, text in files.items():
            self.write(f"sys/fs/cgroup{path}/{name.replace('__', '.')}", text)

    def source(self, pid: int | None = None) -> CgroupSource:
        return CgroupSource(pid, root=str(self.root))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def cpu_stat(usage: int, periods: int = 0, throttled: int = 0) -> str:
    return (
        f"usage_usec {usage}\nuser_usec 1\nsystem_usec 1\nnr_periods {periods}\n"
        f"nr_throttled {throttled}\nthrottled_usec 5\n"
    )


def container(tree: Tree) -> None:
    """A container of version 2 with a namespace of its own: half a core and 64 MiB."""
    tree.process("0::/\n", V2_MOUNT)
    tree.group(
        "", cpu__max="50000 100000\n", cpu__stat=cpu_stat(1_000_000, 10, 2),
        memory__max=f"{64 * MIB}\n", memory__current=f"{40 * MIB}\n",
        memory__stat=f"anon 1\nfile 2\ninactive_file {8 * MIB}\n",
    )  # fmt: skip


def test_container_with_limits(tree: Tree) -> None:
    container(tree)
    source = tree.source()
    begun = time.monotonic()
    first = source.sample()
    assert (first.version, first.path, first.cpu_limit) == (2, "/", 0.5)
    assert (first.cpu_cores, first.cpu_percent) == (FIRST_SAMPLE, FIRST_SAMPLE)
    assert first.throttled_percent == FIRST_SAMPLE
    assert (first.memory_limit, first.memory_used) == (64 * MIB, 32 * MIB)
    assert first.memory_percent == 50

    time.sleep(0.1)
    tree.group("", cpu__stat=cpu_stat(1_050_000, 20, 7))
    second = source.sample()
    assert isinstance(second.cpu_cores, float)
    assert 0.05 / (time.monotonic() - begun) <= second.cpu_cores <= 0.5
    assert second.cpu_percent == pytest.approx(200 * second.cpu_cores)
    assert second.throttled_percent == 50


def test_processes_killed_at_the_limit(tree: Tree) -> None:
    container(tree)
    assert isinstance(tree.source().sample().oom_kills, Absent)

    tree.group("", memory__events="low 0\nhigh 0\nmax 5\noom 2\noom_kill 3\n")
    assert tree.source().sample().oom_kills == 3


def test_limit_changed_while_running_counts_at_once(tree: Tree) -> None:
    container(tree)
    source = tree.source()
    source.sample()
    tree.group("", cpu__max="200000 100000\n", memory__max="max\n")
    changed = source.sample()
    assert (changed.cpu_limit, changed.memory_limit) == (2.0, None)


def test_counters_that_go_back_and_idle_periods(tree: Tree) -> None:
    container(tree)
    source = tree.source()
    source.sample()
    tree.group("", cpu__stat=cpu_stat(10, 1, 0))
    back = source.sample()
    assert (back.cpu_cores, back.cpu_percent) == (WENT_BACK, WENT_BACK)
    assert back.throttled_percent == WENT_BACK
    assert source.sample().throttled_percent == 0.0


def test_no_limit_is_none_and_percent_says_why(tree: Tree) -> None:
    tree.process("0::/user.slice/session.scope\n", V2_MOUNT)
    tree.group("", cpu__stat="usage_usec 7\n")
    tree.group("/user.slice", cpu__max="max 100000\n", memory__max="max\n")
    tree.group(
        "/user.slice/session.scope", cpu__max="max 100000\n", cpu__stat=cpu_stat(5),
        memory__max="max\n", memory__current="3000\n", memory__stat="inactive_file 5000\n",
    )  # fmt: skip
    reading = tree.source().sample()
    assert (reading.cpu_limit, reading.memory_limit) == (None, None)
    assert (reading.cpu_percent, reading.throttled_percent) == (NO_CPU_LIMIT, NO_CPU_LIMIT)
    assert (reading.memory_used, reading.memory_percent) == (0, NO_MEMORY_LIMIT)
    assert reading.path == "/user.slice/session.scope"


def test_tightest_ancestor_limit_counts_with_its_own_usage(tree: Tree) -> None:
    tree.process("0::/pod/box/leaf\n", V2_MOUNT)
    tree.group("", cpu__stat="usage_usec 9\n")
    tree.group("/pod", cpu__max="150000 100000\n", memory__max=f"{32 * MIB}\n",
               memory__current=f"{16 * MIB}\n", cpu__stat=cpu_stat(0, 5, 5))  # fmt: skip
    tree.group("/pod/box", cpu__max="400000 100000\n", memory__max=f"{128 * MIB}\n")
    tree.group("/pod/box/leaf", cpu__max="max 100000\n", memory__max="max\n",
               memory__current=f"{MIB}\n", cpu__stat=cpu_stat(0))  # fmt: skip
    source = tree.source()
    source.sample()
    tree.group("/pod", cpu__stat=cpu_stat(0, 9, 6))
    reading = source.sample()
    assert (reading.cpu_limit, reading.memory_limit) == (1.5, 32 * MIB)
    assert reading.memory_percent == 50
    assert reading.throttled_percent == 25
    assert reading.path == "/pod/box/leaf"


def test_root_group_of_version_2_accounts_no_memory(tree: Tree) -> None:
    tree.process("0::/\n", V2_MOUNT)
    tree.group("", cpu__stat="usage_usec 7\n", cgroup__procs="1\n")
    reading = tree.source().sample()
    assert reading.memory_used == NO_MEMORY_USAGE
    assert (reading.cpu_limit, reading.cpu_cores) == (None, FIRST_SAMPLE)


def test_memory_controller_not_handed_on_falls_back_to_the_parent(tree: Tree) -> None:
    tree.process("0::/app.slice/one\n", V2_MOUNT)
    tree.group("/app.slice", memory__max="max\n", memory__current="5000\n")
    tree.group("/app.slice/one", cpu__stat="usage_usec 7\n")
    assert tree.source().sample().memory_used == 5000


V1_MOUNTS = (
    "32 31 0:29 {root} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 {root} /sys/fs/cgroup/memory rw master:3 - cgroup cgroup rw,memory\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
)
SENTINEL = "9223372036854771712\n"


def test_version_1_in_a_container_without_namespace(tree: Tree) -> None:
    tree.process(
        "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n1:name=systemd:/docker/abc\n0::/\n",
        V1_MOUNTS.format(root="/docker/abc"),
    )
    tree.group("/cpu,cpuacct", cpu__cfs_quota_us="25000\n", cpu__cfs_period_us="100000\n",
               cpu__stat="nr_periods 10\nnr_throttled 1\nthrottled_time 5\n",
               cpuacct__usage="1000000000\n")  # fmt: skip
    tree.group("/memory", memory__limit_in_bytes=SENTINEL, memory__usage_in_bytes=f"{10 * MIB}\n",
               memory__stat=f"inactive_file 0\nhierarchical_memory_limit {20 * MIB}\n"
               f"total_inactive_file {5 * MIB}\n")  # fmt: skip
    source = tree.source()
    first = source.sample()
    assert (first.version, first.path, first.cpu_limit) == (1, "/docker/abc", 0.25)
    assert (first.memory_limit, first.memory_used) == (20 * MIB, 5 * MIB)
    assert first.memory_percent == 25
    time.sleep(0.05)
    tree.group("/cpu,cpuacct", cpu__stat="nr_periods 14\nnr_throttled 4\nthrottled_time 5\n",
               cpuacct__usage="1010000000\n")  # fmt: skip
    second = source.sample()
    assert second.throttled_percent == 75
    assert isinstance(second.cpu_cores, float)
    assert 0 < second.cpu_cores <= 0.2


def test_version_1_sentinels_and_ancestors(tree: Tree) -> None:
    tree.process("5:cpu,cpuacct:/a/b\n4:memory:/a/b\n", V1_MOUNTS.format(root="/"))
    tree.group("/cpu,cpuacct/a", cpu__cfs_quota_us="300000\n", cpu__cfs_period_us="100000\n",
               cpuacct__usage="5\n")  # fmt: skip
    tree.group("/cpu,cpuacct/a/b", cpu__cfs_quota_us="-1\n", cpu__cfs_period_us="100000\n")
    for path in ("/memory/a", "/memory/a/b"):
        tree.group(path, memory__limit_in_bytes=SENTINEL, memory__usage_in_bytes="9\n",
                   memory__stat=f"hierarchical_memory_limit {SENTINEL}")  # fmt: skip
    reading = tree.source().sample()
    assert (reading.cpu_limit, reading.memory_limit) == (3.0, None)
    assert reading.throttled_percent == NO_THROTTLING
    assert reading.cpu_cores == FIRST_SAMPLE


def test_version_1_counts_cpu_in_a_separate_hierarchy(tree: Tree) -> None:
    mounts = (
        "1 0 0:1 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
        "2 0 0:2 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n"
    )
    tree.process("2:cpuacct:/a/b\n1:cpu:/a/b\n", mounts)
    tree.group("/cpu/a", cpu__cfs_quota_us="100000\n", cpu__cfs_period_us="100000\n")
    tree.group("/cpu/a/b", cpu__cfs_quota_us="-1\n", cpu__cfs_period_us="100000\n")
    tree.group("/cpuacct/a", cpuacct__usage="1000000000\n")
    tree.group("/cpuacct/a/b", cpuacct__usage="0\n")
    source = tree.source()
    source.sample()
    time.sleep(0.05)
    tree.group("/cpuacct/a", cpuacct__usage="1005000000\n")
    reading = source.sample()
    assert isinstance(reading.cpu_cores, float)
    assert 0 < reading.cpu_cores <= 0.1
    assert isinstance(reading.memory_limit, Absent)


def test_group_that_was_moved_or_deleted(tree: Tree) -> None:
    container(tree)
    source = tree.source()
    source.sample()
    tree.group("/new", cpu__max="100000 100000\n", cpu__stat=cpu_stat(5, 1, 1))
    tree.process("0::/new/gone (deleted)\n", V2_MOUNT)
    moved = source.sample()
    assert (moved.path, moved.cpu_limit) == ("/new/gone", 0.5)
    tree.group("", cpu__max="max 100000\n")
    reading = source.sample()
    assert (reading.cpu_limit, reading.cpu_cores) == (1.0, FIRST_SAMPLE)


def test_group_of_another_process(tree: Tree) -> None:
    tree.process("0::/other\n", V2_MOUNT, pid="77")
    tree.group("/other", cpu__max="70000 100000\n")
    assert tree.source(77).sample().cpu_limit == pytest.approx(0.7)
    with pytest.raises(SourceError, match="process 78 is gone"):
        tree.source(78).sample()


def test_outside_of_the_namespace_is_not_guessed(tree: Tree) -> None:
    tree.process("0::/../other\n", V2_MOUNT, pid="77")
    tree.group("", cpu__max="10000 100000\n")
    with pytest.raises(SourceError, match="outside") as raised:
        tree.source(77).sample()
    assert raised.value.absent.state is State.UNAVAILABLE
    tree.process("0::/\n", V2_MOUNT.replace("0:26 / ", "0:26 /../.. "))
    with pytest.raises(SourceError, match="outside"):
        tree.source().sample()


def test_system_without_control_groups(tree: Tree) -> None:
    with pytest.raises(SourceError, match="no control groups"):
        tree.source().sample()
    tree.process("0::/\n", "")
    with pytest.raises(SourceError, match="mounted") as raised:
        tree.source().sample()
    assert "mount -t cgroup2" in raised.value.absent.fix


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file_is_denied(tree: Tree) -> None:
    container(tree)
    (tree.root / "sys/fs/cgroup/cpu.max").chmod(0)
    with pytest.raises(SourceError, match=r"cpu\.max") as raised:
        tree.source().sample()
    assert raised.value.absent.state is State.DENIED


def test_permission_error_is_denied(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    container(tree)

    def refuse(path: str) -> bytes:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("perftui.sources.cgroup.files.read_proc_file", refuse)
    with pytest.raises(SourceError, match="may not be read") as raised:
        tree.source().sample()
    assert raised.value.absent.state is State.DENIED


@pytest.mark.skipif(sys.platform != "linux", reason="reads the own control group")
def test_the_real_machine() -> None:
    try:
        source = CgroupSource()
        source.sample()
    except SourceError as error:
        pytest.skip(str(error))
    time.sleep(0.15)
    reading = source.sample()
    assert reading.version in (1, 2)
    if isinstance(reading.cpu_cores, float):
        assert 0 <= reading.cpu_cores <= 1.5 * (os.cpu_count() or 1)


def test_mount_points_with_spaces_are_unescaped() -> None:
    line = r"30 24 0:26 / /mnt/a\040b rw - cgroup2 none rw"
    assert parse_mounts(line)[0].point == "/mnt/a b"


def test_version_1_controller_that_is_not_mounted_is_not_looked_for_in_version_2() -> None:
    members = parse_memberships("4:memory:/a\n0::/\n")
    mounts = parse_mounts(V2_MOUNT)
    assert find_group("memory", members, mounts) is None
    group = find_group("cpu", members, mounts)
    assert group is not None
    assert group.directories == ("/sys/fs/cgroup",)


names = st.text(
    st.characters(exclude_characters="/\n:\0", exclude_categories=("C", "Z")), min_size=1
)


@given(st.lists(names.filter(lambda name: name not in ("..", "."))))
def test_directories_walk_up_to_the_mount(parts: list[str]) -> None:
    path = "/" + "/".join(parts)
    member = Membership(2, frozenset(("unified",)), path)
    mount = CgroupMount(2, frozenset(("unified",)), "/", "/cg")
    group = find_group("cpu", [member], [mount])
    assert group is not None
    assert group.directories[0] == "/cg" + (path if parts else "")
    assert group.directories[-1] == "/cg"
    assert len(group.directories) == len(parts) + 1


@given(st.text())
def test_parsers_take_any_text(text: str) -> None:
    parse_memberships(text)
    parse_mounts(text)
    parse_flat(text)
    limit = parse_limit(text)
    assert limit is None or limit >= 0
    assert parse_quota(text, "100000") is None or float(text) > 0


@given(st.integers(0, 1 << 63), st.integers(1, 1 << 40), st.integers(1, 1 << 40))
def test_numbers_come_back(number: int, quota: int, period: int) -> None:
    assert parse_limit(f"{number}\n") == (None if number >= 1 << 60 else number)
    assert parse_quota(str(quota), str(period)) == quota / period
    assert parse_flat(f"a {number}\nb x\n") == {"a": number}
