"""How full the mounted file systems are, asked so that a hung one holds up nobody."""

from __future__ import annotations

import errno
import os
import queue
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from perftui.snapshot import Absent, FileSystem, FileSystems, Maybe, State
from perftui.sources.proc_file import read_proc_file
from perftui.sources.source import SourceError

WITHOUT_DATA = frozenset(
    (
        "autofs",
        "binfmt_misc",
        "bpf",
        "cgroup",
        "cgroup2",
        "configfs",
        "debugfs",
        "devfs",
        "devpts",
        "devtmpfs",
        "efivarfs",
        "fuse.gvfsd-fuse",
        "fuse.lxcfs",
        "fuse.portal",
        "fusectl",
        "hugetlbfs",
        "mqueue",
        "nsfs",
        "proc",
        "pstore",
        "rpc_pipefs",
        "securityfs",
        "selinuxfs",
        "sysfs",
        "tracefs",
    )
)
"""Kinds that keep nothing; asking `autofs` would even mount what is behind it."""
IMAGES = frozenset(("cdfs", "cramfs", "erofs", "iso9660", "romfs", "squashfs"))
"""Kinds that are always full, since nobody can write to them, whatever their options say."""
UNIONS = frozenset(("aufs", "fuse.fuse-overlayfs", "overlay"))
"""Kinds that show the numbers of the file system which they write to."""
SAME_PART = 1000
"""Two of the same size are the same where their free space differs by less than this part of it."""
MEMORY_PLACES = frozenset({"/tmp", "/dev/shm", "/run", "/var/tmp"})
"""Where a file system in memory fills up without anybody having meant it as memory."""
MOST_MOUNTS = 200
PATIENCE = 1.0
"""Seconds that all mount points together may take; NFS and FUSE block for ever when hung."""

NO_INODES = Absent(State.UNAVAILABLE, "this file system has no fixed number of files")


class Mount(NamedTuple):
    """One line of the mount table; `device` is unique to a file system, `root` is inside it."""

    point: str
    kind: str
    source: str
    device: str
    root: str
    read_only: bool


class Usage(Protocol):
    """The fields of statvfs(3) that are used here."""

    @property
    def f_frsize(self) -> int: ...
    @property
    def f_blocks(self) -> int: ...
    @property
    def f_bfree(self) -> int: ...
    @property
    def f_bavail(self) -> int: ...
    @property
    def f_files(self) -> int: ...
    @property
    def f_ffree(self) -> int: ...
    @property
    def f_favail(self) -> int: ...


class FileSystemsSource:
    """File systems that hold data and can be written to, each once.

    `mounts` lists them and `statvfs` asks one, on a thread that is given up when it hangs; a mount
    point that hangs is not asked again until that thread has come back.
    """

    name = "file_systems"
    deadline = 3.0

    def __init__(
        self,
        interval: float = 10.0,
        mounts: Callable[[], list[Mount]] | None = None,
        statvfs: Callable[[str], Usage] = os.statvfs,
        patience: float = PATIENCE,
    ) -> None:
        self.interval = interval
        self._mounts = mounts or MountTable()
        self._statvfs = statvfs
        self._patience = patience
        self._worker: _Worker | None = None
        self._hung: dict[str, _Worker] = {}

    def sample(self) -> FileSystems:
        """Return all that answer; raises SourceError when the mount table cannot be read."""
        try:
            mounts = chosen_mounts(self._mounts())
        except OSError as error:
            raise SourceError(
                State.UNAVAILABLE,
                f"the mount table cannot be read: {error.strerror}",
                "check: cat /proc/self/mountinfo",
            ) from error
        self._hung = {point: worker for point, worker in self._hung.items() if worker.busy}
        answered: list[tuple[Mount, Usage]] = []
        refused = []
        end = time.monotonic() + self._patience
        for mount in mounts:
            if mount.point in self._hung:
                continue
            answer = self._ask(mount.point, end)
            if isinstance(answer, OSError):
                # What is gone by now, or lies hidden below another mount, is no fault.
                hidden = answer.errno in (errno.ENOENT, errno.ENOTDIR)
                if mount.point not in self._hung and not hidden:
                    refused.append((mount.point, answer.strerror or "it answers with an error"))
            elif answer.f_blocks > 0:
                answered.append((mount, answer))
        rows = [_row(mount, usage) for mount, usage in _told_once(answered)]
        listed = {mount.point for mount in mounts}
        hung = tuple(sorted(self._hung.keys() & listed))
        return FileSystems(tuple(rows), hung, tuple(refused))

    def close(self) -> None:
        """Let the thread end; one that hangs is left behind."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.end()

    def _ask(self, point: str, end: float) -> Usage | OSError:
        worker = self._worker
        if worker is None:
            worker = self._worker = _Worker(self._statvfs)
        # What comes after a slow one still gets a moment of its own.
        answer = worker.ask(point, max(0.05, end - time.monotonic()))
        if isinstance(answer, TimeoutError):
            self._hung[point] = worker
            worker.end()
            self._worker = None
        return answer


class _Worker:
    """A thread that asks one file system after the other."""

    def __init__(self, statvfs: Callable[[str], Usage]) -> None:
        self._statvfs = statvfs
        self._questions: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Usage | OSError] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="statvfs", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether the thread has not come back yet from where it was sent."""
        return self._thread.is_alive()

    def ask(self, point: str, seconds: float) -> Usage | OSError:
        self._questions.put(point)
        try:
            return self._answers.get(timeout=seconds)
        except queue.Empty:
            return TimeoutError(f"{point} does not answer")

    def end(self) -> None:
        self._questions.put(None)

    def _run(self) -> None:
        while (point := self._questions.get()) is not None:
            try:
                self._answers.put(self._statvfs(point))
            except OSError as error:
                self._answers.put(error)


def chosen_mounts(mounts: Iterable[Mount]) -> list[Mount]:
    """Return the mounts that hold data and can fill up, each file system once."""
    found: dict[str, Mount] = {}
    # What is mounted over another one hides it.
    visible = {mount.point: mount for mount in mounts}
    for mount in visible.values():
        if mount.read_only or mount.kind in WITHOUT_DATA or mount.kind in IMAGES:
            continue
        if mount.kind in ("tmpfs", "ramfs") and mount.point not in MEMORY_PLACES:
            continue
        known = found.get(mount.device)
        # A bind mount shows a part of the same file system at another place.
        if known is None or _rank(mount) < _rank(known):
            found[mount.device] = mount
    # A host of containers has thousands of unions, which must not crowd out the disks.
    ranked = sorted(found.values(), key=lambda each: (_is_union(each), each.point.count("/"), each))
    return sorted(ranked[:MOST_MOUNTS])


def _is_union(mount: Mount) -> bool:
    return mount.kind in UNIONS and mount.point != "/"


def _told_once(answered: list[tuple[Mount, Usage]]) -> list[tuple[Mount, Usage]]:
    """Return the file systems without those that show the numbers of another one.

    In a container that is the disk of the host, of which single files are mounted over those of the
    image; on the host it is the root of each container. The one with the shortest path stays.
    """
    sizes: dict[tuple[int, int], list[tuple[Mount, Usage]]] = {}
    kept: set[str] = set()
    by_length = sorted(answered, key=lambda pair: (len(pair[0].point), pair[0].point))
    for mount, usage in by_length:
        others = sizes.setdefault((usage.f_blocks, usage.f_frsize), [])
        for other, known in others:
            union = mount.kind in UNIONS or other.kind in UNIONS
            apart = abs(usage.f_bavail - known.f_bavail)
            if union and apart * SAME_PART <= usage.f_blocks:
                break
        else:
            others.append((mount, usage))
            kept.add(mount.point)
    return [(mount, usage) for mount, usage in answered if mount.point in kept]


def _rank(mount: Mount) -> tuple[bool, int, str]:
    return mount.root != "/", len(mount.point), mount.point


def parse_mountinfo(content: bytes) -> list[Mount]:
    """Return the lines of /proc/self/mountinfo, see proc_pid_mountinfo(5); odd ones left out."""
    mounts = []
    for line in content.decode("utf-8", "surrogateescape").splitlines():
        front, separator, back = line.partition(" - ")
        fields, rest = front.split(" "), back.split(" ")
        if not separator or len(fields) < 6 or len(rest) < 2:
            continue
        options = (*fields[5].split(","), *(rest[2].split(",") if len(rest) > 2 else ()))
        mounts.append(
            Mount(
                point=_unescaped(fields[4]),
                kind=rest[0],
                source=_unescaped(rest[1]),
                device=fields[2],
                root=_unescaped(fields[3]),
                read_only="ro" in options,
            )
        )
    return mounts


def _unescaped(text: str) -> str:
    # The kernel writes space, tab, newline and backslash as three octal digits.
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), text)


class MountTable:
    """The mounts of this system; the same table, often a long one, is not parsed again."""

    def __init__(self) -> None:
        self._content = b""
        self._mounts: list[Mount] = []

    def __call__(self) -> list[Mount]:
        """Return all mounts; raises OSError where the table cannot be read."""
        if sys.platform != "linux":
            return _mounts_of_psutil()
        content = read_proc_file("/proc/self/mountinfo")
        if content != self._content:
            self._content, self._mounts = content, parse_mountinfo(content)
        return self._mounts


def _mounts_of_psutil() -> list[Mount]:
    import psutil

    mounts = []
    for part in psutil.disk_partitions(all=False):
        read_only = "ro" in part.opts.split(",")
        mounts.append(Mount(part.mountpoint, part.fstype, part.device, part.device, "/", read_only))
    return mounts


def _row(mount: Mount, usage: Usage) -> FileSystem:
    used, files = usage.f_blocks - usage.f_bfree, usage.f_files - usage.f_ffree
    inodes: Maybe[float] = NO_INODES
    if usage.f_files > 0:
        inodes = _percent(files, usage.f_favail)
    return FileSystem(
        mount=mount.point,
        device=mount.source,
        kind=mount.kind,
        total=usage.f_blocks * usage.f_frsize,
        available=usage.f_bavail * usage.f_frsize,
        used_percent=_percent(used, usage.f_bavail),
        inodes_percent=inodes,
    )


def _percent(used: int, available: int) -> float:
    """Return the percent as `df` does: what is reserved for root counts neither way."""
    whole = used + available
    return 100 * used / whole if whole > 0 else 100.0
