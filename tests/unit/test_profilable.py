"""Whether a process may be profiled, told from /proc: rules, made trees, real ones."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest
from py_spy_fixture import children, python_child, suspend

from perftui.profiling.profilable import CAP_SYS_PTRACE, Subject, Viewer, verdict
from perftui.snapshot import State
from perftui.sources.processes.container import Container, container_of
from perftui.sources.processes.subject import SubjectReader, file_capabilities
from perftui.sources.pyspy.process import find_py_spy

HEX = "3f2a91c04d1e5b6c7d8e9f00112233445566778899aabbccddeeff0011223344"
FIRST, OTHER = "user:[4026531837]", "user:[4026532841]"
USER = Viewer(1000, 1000, "shop", 0, FIRST, 0, "/venv/bin/py-spy")
ROOT = Viewer(0, 0, "root", (1 << 40) - 1, FIRST, 0, "/venv/bin/py-spy")
CONTAINED_ROOT = Viewer(0, 0, "root", 0xA80425FB, FIRST, 0, "/venv/bin/py-spy")
OWN = Subject(7, uids=(1000,) * 3, gids=(1000,) * 3, user_namespace=FIRST)
ROOTS = Subject(7, uids=(0,) * 3, gids=(0,) * 3, capabilities=0xA80425FB, user_namespace=FIRST)


def but(struct_: Any, **changes: Any) -> Any:
    return msgspec.structs.replace(struct_, **changes)


@pytest.mark.parametrize(
    ("subject", "viewer", "word", "fix"),
    [
        (OWN, USER, "yes", ""),
        (OWN, ROOT, "yes", ""),
        (ROOTS, ROOT, "yes", ""),
        (but(OWN, dumpable=False), ROOT, "yes", ""),
        (OWN, but(ROOT, ptrace_scope=2), "yes", ""),
        (but(OWN, user_namespace=OTHER), ROOT, "yes", ""),
        (OWN, but(USER, capabilities=CAP_SYS_PTRACE, ptrace_scope=1), "yes", ""),
        (ROOTS, but(USER, capabilities=CAP_SYS_PTRACE), "yes", ""),
        (ROOTS, CONTAINED_ROOT, "yes", ""),
        (but(ROOTS, capabilities=(1 << 40) - 1), CONTAINED_ROOT, "no SYS_PTRACE", "--cap-add"),
        (ROOTS, but(CONTAINED_ROOT, ptrace_scope=1), "no SYS_PTRACE", "SYS_PTRACE"),
        (OWN, CONTAINED_ROOT, "no SYS_PTRACE", "docker run --cap-add SYS_PTRACE"),
        (but(OWN, user_namespace=FIRST), but(ROOT, user_namespace=OTHER), "user namespace",
         "nsenter -t 7"),
        (ROOTS, USER, "of root", "sudo setcap cap_sys_ptrace=ep /venv/bin/py-spy"),
        (but(OWN, uids=(1000, 33, 33)), USER, "other user", "start perftui with sudo"),
        (but(OWN, uids=None), USER, "hidden", "sudo"),
        (but(OWN, gids=(1000, 5, 5)), USER, "other group", "sudo"),
        (but(OWN, dumpable=False), USER, "protected", "sudo"),
        (but(OWN, capabilities=1 << 10), USER, "privileged", "setcap"),
        (OWN, but(USER, ptrace_scope=1), "ptrace_scope 1", "perftui.allow_profiling()"),
        (OWN, but(USER, ptrace_scope=1), "ptrace_scope 1", "kernel.yama.ptrace_scope=0"),
        (OWN, but(USER, ptrace_scope=2), "ptrace_scope 2", "sudo"),
        (OWN, but(ROOT, ptrace_scope=3), "ptrace_scope 3", "boot without it"),
        (OWN, but(USER, ptrace_scope=3), "ptrace_scope 3", "boot without it"),
        (but(OWN, state="T"), USER, "stopped", "kill -CONT 7"),
        (but(OWN, state="Z"), USER, "has ended", ""),
        (but(OWN, program=False), ROOT, "kernel thread", ""),
        (OWN, but(USER, py_spy=""), "no py-spy", "pip install py-spy"),
        (but(OWN, uids=None), but(USER, root_only=True), "needs root", "sudo"),
        (but(OWN, uids=None), but(USER, root_only=True, uid=0), "yes", ""),
    ],
)  # fmt: skip
def test_rules(subject: Subject, viewer: Viewer, word: str, fix: str) -> None:
    found = verdict(subject, viewer)
    assert found.word == word
    assert found.permitted is (word == "yes")
    if word == "yes":
        assert found.problem is None
    else:
        assert found.problem is not None
        assert fix in found.problem.fix
        assert found.problem.reason


def test_one_that_is_traced_may_be_read_but_not_paused() -> None:
    found = verdict(but(OWN, tracer=4711), USER)
    assert found.permitted
    assert found.word == "held by 4711"
    assert found.problem is not None
    assert "4711 traces it" in found.problem.reason


def test_what_is_not_python_is_not_asked_for_its_owner() -> None:
    found = verdict(ROOTS, USER, python=False)
    assert found.word == "not Python"
    assert not found.permitted


# Containers


@pytest.mark.parametrize(
    ("lines", "name", "contained"),
    [
        (f"12:memory:/docker/{HEX}\n1:name=systemd:/docker/{HEX}", "docker 3f2a91c04d1e", True),
        (f"0::/system.slice/docker-{HEX}.scope", "docker 3f2a91c04d1e", True),
        (f"0::/../{HEX}", "container 3f2a91c04d1e", True),
        (f"0::/kubepods/burstable/pod1b2c-33/{HEX}", "k8s 3f2a91c04d1e", True),
        ("0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1b2c_33.slice/"
         f"cri-containerd-{HEX}.scope", "k8s 3f2a91c04d1e", True),
        (f"0::/kubepods.slice/kubepods-pod9.slice/crio-{HEX}.scope", "k8s 3f2a91c04d1e", True),
        (f"4:cpu:/kubepods-besteffort-pod9.slice:cri-containerd:{HEX}", "containerd 3f2a91c04d1e",
         True),
        (f"0::/machine.slice/libpod-{HEX}.scope/container", "podman 3f2a91c04d1e", True),
        ("0::/user.slice/user-1000.slice/user@1000.service/user.slice/"
         f"libpod-{HEX}.scope/container", "podman 3f2a91c04d1e", True),
        (f"0::/libpod_parent/libpod-{HEX}", "podman 3f2a91c04d1e", True),
        (f"0::/default/{HEX}", "containerd 3f2a91c04d1e", True),
        (f"0::/system.slice/nerdctl-{HEX}.scope", "containerd 3f2a91c04d1e", True),
        (f"9:cpu:/ecs/0a1b/{HEX}", "ecs 3f2a91c04d1e", True),
        ("0::/ecs/task/0123456789abcdef0123456789abcdef-1234567890", "ecs 0123456789ab", True),
        (f"0::/docker/{'f' * 64}/docker/{HEX}", "docker 3f2a91c04d1e", True),
        ("0::/lxc/web-1/system.slice/cron.service", "lxc web-1", True),
        ("0::/lxc.payload.web-1/init.scope", "lxc web-1", True),
        ("0::/machine.slice/machine-debian\\x2d12.scope/payload", "nspawn debian-12", True),
        ("0::/machine.slice/systemd-nspawn@db.service/payload", "nspawn db", True),
        ("0::/system.slice/gunicorn.service", "gunicorn", False),
        ("0::/system.slice/system-postgresql.slice/postgresql@15-main.service",
         "postgresql@15-main", False),
        ("0::/user.slice/user-1000.slice/session-3.scope", "session-3", False),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-code.scope", "app-code",
         False),
        ("1:name=systemd:/\n0::/", "", False),
        ("", "", False),
        ("nonsense\n::\n7:cpu", "", False),
        ("0::/system.slice", "", False),
        ("0::/deadbeef", "", False),
    ],
)  # fmt: skip
def test_containers(lines: str, name: str, contained: bool) -> None:
    assert container_of(lines) == Container(name, contained)


# Files


def made(directory: Path, pid: str, status: str, cgroup: str = "0::/") -> None:
    process = directory / pid
    (process / "ns").mkdir(parents=True)
    (process / "ns" / "user").symlink_to(FIRST)
    (process / "status").write_text(status)
    (process / "cgroup").write_text(cgroup)


STATUS = (
    "Name:\tpython3\nState:\tS (sleeping)\nTracerPid:\t{tracer}\nUid:\t{uid}\nGid:\t7\t8\t9\t9\n"
    "NSpid:\t{ns}\nVmSize:\t  9000 kB\nCapPrm:\t0000000000080000\nCapBnd:\t000001ffffffffff\n"
)


def test_a_made_tree(tmp_path: Path) -> None:
    owner = os.getuid()
    made(tmp_path, "self", STATUS.format(tracer=0, uid="0\t0\t0\t0", ns="5"))
    made(
        tmp_path,
        "40",
        STATUS.format(tracer=99, uid=f"1\t{owner}\t3\t4", ns="40\t7"),
        f"0::/docker/{HEX}",
    )
    reader = SubjectReader("/nowhere/py-spy", str(tmp_path))
    assert reader.read(40) == Subject(
        40, "S", (1, owner, 3), (7, 8, 9), CAP_SYS_PTRACE, True, 99, FIRST, 7, True,
        "docker 3f2a91c04d1e", True,
    )  # fmt: skip
    # The kernel gives the files of a protected process to root: not to its effective user.
    made(tmp_path, "41", STATUS.format(tracer=0, uid="1\t77\t3\t4", ns="41"))
    assert not reader.read(41).dumpable
    assert reader.read(42).state == "X"
    made(tmp_path, "43", "Name:\tkworker\nState:\tI (idle)\nUid:\t0\t0\t0\t0\n")
    assert not reader.read(43).program
    made(tmp_path, "44", "nonsense\nUid:\tx\nTracerPid:\tx\nCapPrm:\tx\nState:\t\n")
    assert reader.read(44).uids is None
    yama = tmp_path / "sys" / "kernel" / "yama"
    yama.mkdir(parents=True)
    (yama / "ptrace_scope").write_text("1\n")
    viewer = reader.viewer()
    assert viewer.ptrace_scope == 1
    assert viewer.user_namespace == FIRST
    assert viewer.uid == os.getuid()
    if os.geteuid() == 0:
        assert viewer.capabilities & CAP_SYS_PTRACE


def test_without_proc_nothing_is_taken_for_gone(tmp_path: Path) -> None:
    assert SubjectReader(None, str(tmp_path)).read(1).state == "?"


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        (struct.pack("<IIIII", 0x02000001, 1 << 19, 0, 0, 0), 1 << 19),
        (struct.pack("<IIIII", 0x02000001, 0, 0, 1 << 6, 0), 1 << 38),
        (struct.pack("<IIIIII", 0x03000001, 1 << 19, 0, 0, 0, 1000), 1 << 19),
        (struct.pack("<III", 0x01000001, 1 << 19, 0), 1 << 19),
        (struct.pack("<IIIII", 0x02000000, 1 << 19, 0, 0, 0), 0),
        (struct.pack("<II", 0x02000001, 1 << 19), 0),
        (struct.pack("<IIIII", 0x09000001, 1 << 19, 0, 0, 0), 0),
        (b"", 0),
        (b"\x01", 0),
    ],
)
def test_capabilities_of_a_file(attribute: bytes, expected: int) -> None:
    assert file_capabilities(attribute) == expected


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc")
def test_real_processes() -> None:
    reader = SubjectReader(find_py_spy())
    with children() as spawn:
        pid = python_child(spawn, "import time; time.sleep(60)")
        subject = reader.read(pid)
        assert subject.uids == (os.getuid(),) * 3
        assert subject.program
        assert subject.dumpable
        assert subject.tracer == 0
        suspend(pid)
        stopped = reader.read(pid)
        while stopped.state != "T":
            stopped = reader.read(pid)
        viewer = reader.viewer()
        if verdict(subject, viewer).permitted:
            found = verdict(stopped, viewer)
            assert found.problem is not None
            assert found.problem.state is State.UNAVAILABLE
    assert reader.read(pid).state == "X"
