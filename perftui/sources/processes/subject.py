"""Reads what decides whether a process may be profiled: of the process, and of whoever asks."""

from __future__ import annotations

import os
import struct

from perftui.profiling.profilable import Subject, Viewer
from perftui.sources.processes.container import container_of
from perftui.sources.processes.details import read_guarded, system_user_name

_CAPABILITY_XATTR = "security.capability"
_EFFECTIVE = 1
_REVISIONS = {0x01000000: 1, 0x02000000: 2, 0x03000000: 2}
"""How many 32-bit words a set has in each revision of the attribute, see linux/capability.h."""

_PROGRAM_SIZE = 4096


class SubjectReader:
    """Reads the processes below `proc` as py-spy, the program at `py_spy`, would find them."""

    def __init__(self, py_spy: str | None, proc: str = "/proc") -> None:
        self._py_spy = py_spy
        self._proc = proc

    def viewer(self) -> Viewer:
        """Return who would profile."""
        uid, gid = os.getuid(), os.getgid()
        status = _fields(_read(f"{self._proc}/self/status") or b"")
        return Viewer(
            uid=uid,
            gid=gid,
            user=system_user_name(uid),
            capabilities=_capabilities_of_py_spy(status, os.geteuid(), self._py_spy),
            user_namespace=_link(f"{self._proc}/self/ns/user"),
            ptrace_scope=_number(_read(f"{self._proc}/sys/kernel/yama/ptrace_scope")),
            py_spy="" if self._py_spy is None else os.path.realpath(self._py_spy),
            root_only=os.uname().sysname == "Darwin",
        )

    def read(self, pid: int) -> Subject:
        """Return what is known of a process; one that is gone has state X."""
        directory = f"{self._proc}/{pid}"
        text = _read(f"{directory}/status")
        if text is None:
            hidden = os.path.exists(directory) and os.path.exists(f"{self._proc}/self/status")
            return Subject(pid, state="?" if hidden or not _has_proc(self._proc) else "X")
        status = _fields(text)
        container = container_of(
            (_read(f"{directory}/cgroup") or b"").decode("utf-8", "backslashreplace")
        )
        uids, gids = _ids(status.get("Uid", "")), _ids(status.get("Gid", ""))
        inner = status.get("NSpid", "").split()
        return Subject(
            pid=pid,
            state=status.get("State", "?")[:1],
            uids=uids,
            gids=gids,
            capabilities=_hex(status.get("CapPrm", "")),
            dumpable=_is_dumpable(directory, uids),
            tracer=int(status["TracerPid"]) if status.get("TracerPid", "").isdigit() else 0,
            user_namespace=_link(f"{directory}/ns/user"),
            namespace_pid=int(inner[-1]) if len(inner) > 1 and inner[-1].isdigit() else 0,
            # Only programs have memory of their own.
            program="VmSize" in status or status.get("State", "")[:1] in "ZX",
            container=container.name,
            contained=container.is_container,
        )


def file_capabilities(attribute: bytes) -> int:
    """Return the permitted set of a security.capability attribute; 0 for what is not one.

    The layout is struct vfs_cap_data of linux/capability.h: a word of revision and flags, then for
    each word of the sets the permitted and the inheritable one, all little-endian.
    """
    if len(attribute) < 4:
        return 0
    (magic,) = struct.unpack_from("<I", attribute)
    words = _REVISIONS.get(magic & 0xFF000000, 0)
    # Without the flag a program has to raise them by itself, which py-spy does not.
    if not magic & _EFFECTIVE or len(attribute) < 4 + 8 * words:
        return 0
    permitted = [struct.unpack_from("<I", attribute, 4 + 8 * word)[0] for word in range(words)]
    return sum(int(word) << (32 * index) for index, word in enumerate(permitted))


def _capabilities_of_py_spy(status: dict[str, str], euid: int, py_spy: str | None) -> int:
    """Return what py-spy may do once it was started, see capabilities(7) on execve()."""
    bounding = _hex(status.get("CapBnd", ""))
    if euid == 0:
        return bounding | _hex(status.get("CapInh", ""))
    ambient = _hex(status.get("CapAmb", ""))
    if py_spy is None or status.get("NoNewPrivs", "0") == "1":
        return ambient
    try:
        attribute = os.getxattr(os.path.realpath(py_spy), _CAPABILITY_XATTR)
    except (OSError, AttributeError):
        # No such attribute, or a system without them.
        return ambient
    return (file_capabilities(attribute) & bounding) or ambient


def _is_dumpable(directory: str, uids: tuple[int, int, int] | None) -> bool:
    """Whether the kernel left the files of a process to its user, see proc_pid(5)."""
    if uids is None:
        return True
    try:
        return os.stat(f"{directory}/ns").st_uid == uids[1]
    except OSError:
        return True


def _read(path: str) -> bytes | None:
    try:
        return read_guarded(path, _PROGRAM_SIZE)
    except OSError:
        return None


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _has_proc(proc: str) -> bool:
    return os.path.exists(f"{proc}/self/status")


def _fields(status: bytes) -> dict[str, str]:
    """Return the lines `name: value` of /proc/PID/status."""
    found = {}
    for line in status.decode("utf-8", "backslashreplace").split("\n"):
        name, colon, value = line.partition(":")
        if colon:
            found[name] = value.strip()
    return found


def _ids(text: str) -> tuple[int, int, int] | None:
    words = text.split()
    if len(words) < 3 or not all(word.isdigit() for word in words[:3]):
        return None
    return int(words[0]), int(words[1]), int(words[2])


def _hex(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return 0


def _number(text: bytes | None) -> int:
    try:
        return int(text or b"0")
    except ValueError:
        return 0
