"""Tells before anything is attached whether a process may be profiled, and what would permit it.

The rules are those of ptrace(2), "Ptrace access mode checking", for a reader of memory
(PTRACE_MODE_ATTACH_REALCREDS), and of Yama, see the kernel's
Documentation/admin-guide/LSM/Yama.rst. They are an estimate: a security module may refuse what they
permit, and prctl(PR_SET_PTRACER) permits what they refuse without anybody being able to see it.
"""

from __future__ import annotations

import msgspec

from perftui.snapshot import Absent, State

CAP_SYS_PTRACE = 1 << 19
"""Bit in the capability sets of /proc/PID/status, see capabilities(7)."""

FIRST_USER_NAMESPACE = "user:[4026531837]"
"""The user namespace that the system began with: all others are below it."""


class Viewer(msgspec.Struct, frozen=True):
    """Who would profile: py-spy as this user starts it.

    `uid` and `gid` are the real ones, `capabilities` the permitted set that py-spy gets, with those
    of its file. `user_namespace` is as /proc/PID/ns/user names it, empty when unknown.
    `ptrace_scope` is Yama's, 0 without Yama. `py_spy` is its path, empty when it is missing.
    `root_only`: the system, macOS, has none of these rules and lets nobody but root.
    """

    uid: int
    gid: int
    user: str
    capabilities: int
    user_namespace: str
    ptrace_scope: int
    py_spy: str
    root_only: bool = False


class Subject(msgspec.Struct, frozen=True):
    """What /proc tells of a process without a privilege.

    `uids` and `gids` are the real, effective and saved ones, None when they cannot be read.
    `dumpable` is false where the kernel gave its files to root, `tracer` the process that holds it.
    `namespace_pid` is its id in its own pid namespace when that is another one than here, else 0.
    `program` is false for kernel threads, `container` how its container or unit is called, and
    `contained` whether it is a container.
    """

    pid: int
    state: str = "S"
    uids: tuple[int, int, int] | None = None
    gids: tuple[int, int, int] | None = None
    capabilities: int = 0
    dumpable: bool = True
    tracer: int = 0
    user_namespace: str = ""
    namespace_pid: int = 0
    program: bool = True
    container: str = ""
    contained: bool = False


class Verdict(msgspec.Struct, frozen=True):
    """Whether a process may be profiled: `word` in a few words, `problem` with reason and fix.

    `problem` is also there for one that may be read but not paused; then `permitted` is true.
    """

    permitted: bool
    word: str
    problem: Absent | None = None


class Checked(msgspec.Struct, frozen=True):
    """What an attempt to read a process found: why it failed, or its Python and its threads."""

    problem: Absent | None
    python: str = ""
    threads: int = 0


YES = Verdict(True, "yes")


def verdict(subject: Subject, viewer: Viewer, python: bool = True) -> Verdict:
    """Return whether a process may be profiled, by the rules alone."""
    pid = subject.pid
    if not viewer.py_spy:
        return _no(
            "no py-spy",
            State.UNAVAILABLE,
            "py-spy is not installed",
            "install it beside perftui: pip install py-spy",
        )
    if not subject.program:
        return _no(
            "kernel thread",
            State.UNAVAILABLE,
            f"process {pid} is a thread of the kernel, not a program",
            "choose a Python process",
        )
    if subject.state in ("Z", "X"):
        return _no(
            "has ended", State.UNAVAILABLE, f"process {pid} has exited", "choose another process"
        )
    if not python:
        return _no(
            "not Python",
            State.UNAVAILABLE,
            f"process {pid} is not a Python program py-spy can read",
            "choose a Python process; its children are found with O, the whole tree",
        )
    refusal = _refusal(subject, viewer)
    if refusal is not None:
        return refusal
    if subject.state == "T":
        return _no(
            "stopped",
            State.UNAVAILABLE,
            f"process {pid} is stopped by a signal",
            f"let it run: kill -CONT {pid}",
        )
    if subject.tracer:
        held = Absent(
            State.UNAVAILABLE,
            f"process {subject.tracer} traces it: it can be read but not paused",
            f"end process {subject.tracer}, or profile in mode auto or safe (M)",
        )
        return Verdict(True, f"held by {subject.tracer}", held)
    return YES


def _refusal(subject: Subject, viewer: Viewer) -> Verdict | None:
    """Return what the kernel has against the reading of a process, None when it has nothing."""
    pid = subject.pid
    if viewer.ptrace_scope >= 3:
        return _yama_refusal(subject, viewer)
    if _is_capable(subject, viewer):
        return None
    if viewer.root_only:
        if viewer.uid == 0:
            return None
        reason = "macOS lets only root read other processes"
        return _no("needs root", State.DENIED, reason, "start perftui with sudo")
    if viewer.uid == 0:
        return _root_refusal(subject, viewer)
    if subject.uids is None:
        return _no(
            "hidden",
            State.DENIED,
            f"/proc hides process {pid} from user {viewer.user}",
            _with_privilege(viewer),
        )
    if any(uid != viewer.uid for uid in subject.uids):
        owner = "root" if subject.uids[1] == 0 else f"another user ({subject.uids[1]})"
        return _no(
            "of root" if subject.uids[1] == 0 else "other user",
            State.DENIED,
            f"process {pid} belongs to {owner}, perftui runs as {viewer.user}",
            _with_privilege(viewer),
        )
    if subject.gids is not None and any(gid != viewer.gid for gid in subject.gids):
        return _no(
            "other group",
            State.DENIED,
            f"process {pid} runs with the rights of another group ({subject.gids[1]})",
            _with_privilege(viewer),
        )
    if not subject.dumpable:
        return _no(
            "protected",
            State.DENIED,
            f"process {pid} changed its user or made itself unreadable (PR_SET_DUMPABLE)",
            _with_privilege(viewer),
        )
    if subject.capabilities & ~viewer.capabilities:
        return _no(
            "privileged",
            State.DENIED,
            f"process {pid} has capabilities that user {viewer.user} has not",
            _with_privilege(viewer),
        )
    return _yama_refusal(subject, viewer)


def _root_refusal(subject: Subject, viewer: Viewer) -> Verdict | None:
    """Return the same for a root without the capability, as in a container."""
    pid = subject.pid
    if viewer.user_namespace and subject.user_namespace not in ("", viewer.user_namespace):
        return _no(
            "user namespace",
            State.DENIED,
            f"process {pid} runs in another user namespace",
            f"run perftui where process {pid} runs: nsenter -t {pid} -U -p -m, or docker exec",
        )
    own = subject.uids is not None and all(uid == 0 for uid in subject.uids)
    if own and not subject.capabilities & ~viewer.capabilities and viewer.ptrace_scope == 0:
        return None
    return _no(
        "no SYS_PTRACE",
        State.DENIED,
        "root has no CAP_SYS_PTRACE here, as in most containers",
        "docker run --cap-add SYS_PTRACE"
        " (Kubernetes: securityContext.capabilities.add: [SYS_PTRACE])",
    )


def _yama_refusal(subject: Subject, viewer: Viewer) -> Verdict | None:
    pid, scope = subject.pid, viewer.ptrace_scope
    if scope <= 0:
        return None
    if scope >= 3:
        return _no(
            "ptrace_scope 3",
            State.DENIED,
            "kernel.yama.ptrace_scope is 3: nobody may profile",
            "boot without it: it cannot be lowered while the system runs",
        )
    if scope == 2:
        return _no(
            "ptrace_scope 2",
            State.DENIED,
            "kernel.yama.ptrace_scope is 2: only root may profile",
            _with_privilege(viewer),
        )
    return _no(
        "ptrace_scope 1",
        State.DENIED,
        f"kernel.yama.ptrace_scope is 1: process {pid} itself has to permit it",
        "perftui.allow_profiling() in it, or sudo sysctl kernel.yama.ptrace_scope=0,"
        f" or {_with_privilege(viewer)}",
    )


def _is_capable(subject: Subject, viewer: Viewer) -> bool:
    """Whether CAP_SYS_PTRACE overrides all that follows."""
    if not viewer.capabilities & CAP_SYS_PTRACE:
        return False
    # It counts in the own user namespace and in those below.
    known = viewer.user_namespace and subject.user_namespace
    return (
        not known
        or subject.user_namespace == viewer.user_namespace
        or viewer.user_namespace == FIRST_USER_NAMESPACE
    )


def _with_privilege(viewer: Viewer) -> str:
    return f"start perftui with sudo, or: sudo setcap cap_sys_ptrace=ep {viewer.py_spy}"


def _no(word: str, state: State, reason: str, fix: str) -> Verdict:
    return Verdict(False, word, Absent(state, reason, fix))
