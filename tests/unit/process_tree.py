"""A directory like /proc with processes that a test can create, change and end."""

from __future__ import annotations

import shutil
from pathlib import Path

KERNEL_THREAD = 0x00200000


def stat_line(
    pid: int,
    name: str | bytes = "worker",
    *,
    state: str = "S",
    ppid: int = 1,
    flags: int = 0,
    ticks: int = 0,
    threads: int = 1,
    start: int = 100,
    rss: int = 10,
    stack: int = 7,
) -> bytes:
    """Return the content of /proc/PID/stat with 52 fields, see proc_pid_stat(5)."""
    comm = name.encode() if isinstance(name, str) else name
    head = f"{state} {ppid} {pid} {pid} 0 -1 {flags} 1 2 3 4 {ticks} 0 0 0 20 0 {threads} 0 "
    tail = f"{start} 4096 {rss} 18446744073709551615 1 2 {stack} " + " ".join(["0"] * 24)
    return b"%d (%b) " % (pid, comm) + (head + tail).encode() + b"\n"


class ProcessTree:
    """Writes processes under `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, pid: int, stat: bytes, cmdline: bytes = b"/bin/worker\0", uid: int = 0) -> None:
        directory = self.root / str(pid)
        directory.mkdir(exist_ok=True)
        (directory / "stat").write_bytes(stat)
        (directory / "cmdline").write_bytes(cmdline)
        (directory / "status").write_text(f"Name:\tx\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t0\n")

    def link_program(self, pid: int, target: str) -> None:
        (self.root / str(pid) / "exe").symlink_to(target)

    def end(self, pid: int) -> None:
        shutil.rmtree(self.root / str(pid))
