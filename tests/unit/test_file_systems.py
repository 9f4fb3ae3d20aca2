"""File systems and descriptors: what fills up."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perftui.snapshot import Absent, FileSystems
from perftui.sources.descriptors import UNLIMITED, DescriptorsSource, soft_limit
from perftui.sources.file_systems import (
    FileSystemsSource,
    Mount,
    MountTable,
    chosen_mounts,
    parse_mountinfo,
)
from perftui.sources.source import SourceError
from perftui.sources.vmstat import parse_vmstat, read_vmstat

TABLE = rb"""22 28 0:20 / /sys rw,nosuid - sysfs sysfs rw
28 1 259:1 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p1 rw
30 28 259:1 /srv/data /mnt/bound\040here rw - ext4 /dev/nvme0n1p1 rw
31 28 7:1 / /snap/core ro - squashfs /dev/loop1 ro
32 28 0:30 / /tmp rw - tmpfs tmpfs rw
33 28 0:31 / /run/user/0 rw - tmpfs tmpfs rw
34 28 0:40 / /mnt/nfs rw - nfs4 server:/export rw
35 28 0:41 / /auto rw - autofs systemd-1 rw
broken
"""


def mount(point: str, device: str = "8:1") -> Mount:
    return Mount(point, "ext4", "/dev/sda1", device, "/", False)


def usage(**changes: int) -> SimpleNamespace:
    figures = {
        "f_frsize": 4096, "f_blocks": 1000, "f_bfree": 300, "f_bavail": 200,
        "f_files": 100, "f_ffree": 10, "f_favail": 10,
    }  # fmt: skip
    return SimpleNamespace(**figures | changes)


@pytest.fixture
def freed() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_each_file_system_that_holds_data_is_chosen_once() -> None:
    assert [each.point for each in chosen_mounts(parse_mountinfo(TABLE))] == [
        "/",
        "/mnt/nfs",
        "/tmp",
    ]
    assert "/mnt/bound here" in {each.point for each in parse_mountinfo(TABLE)}


def test_what_is_mounted_over_another_one_hides_it() -> None:
    assert [m.device for m in chosen_mounts([mount("/data", "8:1"), mount("/data", "8:2")])] == [
        "8:2"
    ]


@given(st.binary(max_size=300))
def test_any_mount_table_can_be_read(content: bytes) -> None:
    chosen_mounts(parse_mountinfo(content))


def test_percent_is_as_df_counts_it() -> None:
    source = FileSystemsSource(mounts=lambda: [mount("/")], statvfs=lambda point: usage())

    (row,) = source.sample().rows
    source.close()

    assert row.used_percent == pytest.approx(100 * 700 / 900)
    assert row.available == 200 * 4096
    assert row.inodes_percent == pytest.approx(90.0)


def test_a_file_system_without_a_fixed_number_of_files() -> None:
    source = FileSystemsSource(mounts=lambda: [mount("/")], statvfs=lambda point: usage(f_files=0))

    assert isinstance(source.sample().rows[0].inodes_percent, Absent)
    source.close()


def test_a_mount_that_hangs_holds_up_nobody(freed: threading.Event) -> None:
    asked: list[str] = []

    def statvfs(point: str) -> SimpleNamespace:
        asked.append(point)
        if point == "/hung" and not freed.is_set():
            freed.wait(20)
        return usage()

    mounts = [mount("/hung", "8:1"), mount("/ok", "8:2")]
    source = FileSystemsSource(mounts=lambda: mounts, statvfs=statvfs, patience=0.2)
    begun = time.monotonic()

    first, second = source.sample(), source.sample()

    assert time.monotonic() - begun < 5
    assert first.hung == second.hung == ("/hung",)
    assert [row.mount for row in second.rows] == ["/ok"]
    assert asked.count("/hung") == 1

    freed.set()
    deadline = time.monotonic() + 10
    while (third := source.sample()).hung and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [row.mount for row in third.rows] == ["/hung", "/ok"]
    source.close()


def test_one_that_may_not_be_asked_is_named_with_the_reason() -> None:
    def denied(point: str) -> SimpleNamespace:
        raise PermissionError(13, "Permission denied")

    source = FileSystemsSource(mounts=lambda: [mount("/secret")], statvfs=denied)

    sample = source.sample()
    assert sample.rows == ()
    assert sample.refused == (("/secret", "Permission denied"),)
    assert sample.hung == ()
    source.close()


def test_one_that_is_gone_by_now_is_left_out() -> None:
    def gone(point: str) -> SimpleNamespace:
        raise FileNotFoundError(2, "No such file or directory")

    source = FileSystemsSource(mounts=lambda: [mount("/gone")], statvfs=gone)

    assert source.sample() == FileSystems(())
    source.close()


def test_a_mount_table_that_is_missing_is_a_reason() -> None:
    def missing() -> list[Mount]:
        raise FileNotFoundError(2, "No such file or directory")

    with pytest.raises(SourceError, match="mount table"):
        FileSystemsSource(mounts=missing).sample()


def test_this_machine_has_a_file_system() -> None:
    source = FileSystemsSource()
    rows = source.sample().rows
    source.close()

    assert rows
    assert all(0 <= row.used_percent <= 100 for row in rows)


def test_descriptors_of_this_process_are_counted() -> None:
    source = DescriptorsSource(budget=10.0)
    pairs = [socket.socketpair() for _ in range(50)]
    try:
        found = source.sample()
        mine = [row for row in source._rows.values() if row.pid == os.getpid()]
        assert mine[0].open == pytest.approx(len(os.listdir("/proc/self/fd")), abs=2)
    finally:
        for pair in pairs:
            for end in pair:
                end.close()

    assert found.readable >= 1
    assert not isinstance(found.open, Absent)
    assert not isinstance(found.limit, Absent)
    assert 0 < found.open < found.limit


def proc_with(tmp_path: Path, **opened: int) -> str:
    """Return a /proc of processes with so many open files, of 100 each may have."""
    for pid, count in opened.items():
        directory = tmp_path / pid.removeprefix("p")
        (directory / "fd").mkdir(parents=True)
        for number in range(count):
            (directory / "fd" / str(number)).touch()
        (directory / "limits").write_text(
            "Limit                     Soft Limit           Hard Limit           Units     \n"
            "Max open files            100                  4096                 files     \n"
        )
        (directory / "comm").write_text(f"worker-{directory.name}\n")
    return str(tmp_path)


def test_processes_take_turns_when_there_are_too_many(tmp_path: Path) -> None:
    source = DescriptorsSource(
        proc=proc_with(tmp_path, **{f"p{pid}": 5 for pid in range(10, 60)}), budget=0.0
    )
    assert source.sample().readable == 1
    for _ in range(60):
        found = source.sample()

    assert found.readable == 50
    assert len(found.rows) == 20


def test_limits_of_open_files() -> None:
    assert soft_limit(
        b"Max cpu time unlimited\nMax open files            1024   4096  files\n"
    ) == (1024)
    assert (
        soft_limit(b"Max open files            unlimited            unlimited files") == UNLIMITED
    )
    assert soft_limit(b"") == UNLIMITED


def test_counters_of_distress() -> None:
    assert parse_vmstat(b"nr_free 3\npswpin 7\npswpout 9\noom_kill 1\nswap_ra 4\n") == {
        "pswpin": 7,
        "pswpout": 9,
        "oom_kill": 1,
    }
    assert read_vmstat("/nowhere") == {}


def of_kind(point: str, kind: str, device: str, root: str = "/") -> Mount:
    return Mount(point, kind, kind, device, root, False)


@pytest.mark.parametrize("kind", ["squashfs", "iso9660", "erofs"])
def test_an_image_is_full_by_nature_whatever_its_options_say(kind: str) -> None:
    assert chosen_mounts([of_kind("/snap/core", kind, "7:1")]) == []


def test_the_disks_of_a_host_come_before_ten_thousand_containers() -> None:
    containers = [
        of_kind(f"/var/lib/docker/overlay2/{number}/merged", "overlay", f"0:{number}")
        for number in range(10_000)
    ]
    disks = [of_kind("/", "ext4", "8:1"), of_kind("/var/log", "ext4", "8:2")]

    chosen = [each.point for each in chosen_mounts([*containers, *disks])]

    assert len(chosen) == 200
    assert {"/", "/var/log"} <= set(chosen)


@pytest.mark.parametrize(
    ("mounts", "expected"),
    [
        # Inside a container: the image over the disk of the host, and a file of that disk.
        (
            [of_kind("/", "overlay", "0:9"), of_kind("/etc/hosts", "ext4", "8:1", "/var/x/hosts")],
            ["/"],
        ),
        # On the host: the disk, and the roots of two containers.
        (
            [
                of_kind("/", "ext4", "8:1"),
                of_kind("/var/lib/docker/overlay2/a/merged", "overlay", "0:10"),
                of_kind("/var/lib/docker/overlay2/b/merged", "overlay", "0:11"),
            ],
            ["/"],
        ),
        # Two disks that happen to be alike are two.
        ([of_kind("/a", "ext4", "8:1"), of_kind("/b", "ext4", "8:2")], ["/a", "/b"]),
    ],
)
def test_who_shows_the_numbers_of_another_one_is_told_once(
    mounts: list[Mount], expected: list[str]
) -> None:
    source = FileSystemsSource(mounts=lambda: mounts, statvfs=lambda point: usage())

    assert [row.mount for row in source.sample().rows] == expected
    source.close()


def test_a_volume_of_the_size_of_the_image_is_one_of_its_own() -> None:
    mounts = [of_kind("/", "overlay", "0:9"), of_kind("/data", "ext4", "8:2")]
    left = {"/": 200, "/data": 100}
    source = FileSystemsSource(
        mounts=lambda: mounts, statvfs=lambda point: usage(f_bavail=left[point])
    )

    assert [row.mount for row in source.sample().rows] == ["/", "/data"]
    source.close()


def test_a_mount_table_is_parsed_when_it_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    table = [TABLE]
    monkeypatch.setattr("perftui.sources.file_systems.read_proc_file", lambda path: table[0])
    mounts = MountTable()

    first = mounts()
    assert mounts() is first
    table[0] = TABLE.replace(b"/mnt/nfs", b"/mnt/new")
    assert "/mnt/new" in {each.point for each in mounts()}


def test_all_processes_that_are_near_their_limit_are_told(tmp_path: Path) -> None:
    opened = {f"p{pid}": 60 if pid < 35 else 5 for pid in range(10, 60)}
    source = DescriptorsSource(proc=proc_with(tmp_path, **opened), budget=10.0)

    rows = source.sample().rows

    assert {row.pid for row in rows} == set(range(10, 35))
    assert {row.open for row in rows} == {60}


def test_a_process_of_another_user_is_not_counted(tmp_path: Path) -> None:
    proc = proc_with(tmp_path, p10=5, p11=5)
    # What may not be read fails like what is missing.
    (tmp_path / "11" / "limits").unlink()

    assert DescriptorsSource(proc=proc, budget=10.0).sample().readable == 1
