"""Children to profile, and stand-ins for py-spy that misbehave or replay a recorded window."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from perftui.snapshot import TopCalls
from perftui.sources.pyspy.source import ProfileSource
from perftui.sources.source import SourceError

# By CPU time, not by the clock, so that a busy machine does not change the shares.
SPLIT = """
import time

def seventy():
    end = time.thread_time() + 0.0035
    while time.thread_time() < end:
        pass

def twenty():
    end = time.thread_time() + 0.0010
    while time.thread_time() < end:
        pass

def ten():
    end = time.thread_time() + 0.0005
    while time.thread_time() < end:
        pass

def main():
    while True:
        seventy()
        twenty()
        ten()

main()
"""

IDLE_THREADS = """
import queue, socket, threading, time

def sleeping():
    time.sleep(3600)

def waiting(event=threading.Event()):
    event.wait()

def getting(items=queue.Queue()):
    items.get()

def reading(ends=socket.socketpair()):
    ends[0].recv(1)

def busy():
    while True:
        sum(range(1000))

for number in range(THREADS):
    job = (sleeping, waiting, getting, reading)[number % 4]
    threading.Thread(target=job, daemon=True).start()
busy()
"""

HEADER = "py-spy> Sampling process 100 times a second for 10 seconds. Press Control-C to exit."
DUMP = (
    r"Process 1: x\nPython v3.11.7 (/usr/bin/python3.11)\n\n"
    r"Thread 1 (active+gil): \"MainThread\"\n    work (a.py:3)\n    main (a.py:9)\n"
)

Spawn = Callable[..., "subprocess.Popen[bytes]"]


@contextlib.contextmanager
def children() -> Iterator[Spawn]:
    """Start children that end with the test, whatever state they are in."""
    started: list[subprocess.Popen[bytes]] = []

    def spawn(*command: str) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        started.append(child)
        return child

    try:
        yield spawn
    finally:
        for child in started:
            child.kill()
            child.wait()


def python_child(spawn: Spawn, program: str) -> int:
    """Start a Python program and return its process id once the interpreter is up."""
    child = spawn(sys.executable, "-c", program)
    time.sleep(0.2)
    return child.pid


def recordings_of(pid: int) -> list[int]:
    """Return the process ids of every py-spy that records a process."""
    found: list[int] = []
    wanted = [b"record", str(pid).encode()]
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
            if all(word in words for word in wanted):
                found.append(int(name))
    return found


def table_within(source: ProfileSource, seconds: float) -> TopCalls:
    """Return the first table that comes; errors on the way are waited out."""
    end = time.monotonic() + seconds
    while True:
        try:
            return source.sample()
        except SourceError as error:
            if time.monotonic() > end:
                pytest.fail(f"no table within {seconds} s: {error}")


def error_within(source: ProfileSource, seconds: float) -> SourceError:
    """Return the first error that comes; tables on the way are dropped."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            source.sample()
        except SourceError as error:
            return error
    pytest.fail(f"no error within {seconds} s")


def stand_in(directory: Path, record: str, dump: str = f'printf "{DUMP}"') -> str:
    """Write a program that is called like py-spy; `record` is shell text, it writes to `$out`.

    It leaves the arguments of every recording in the file `recordings` of the directory.
    """
    path = directory / "py-spy"
    path.write_text(
        "#!/bin/sh\n"
        f'if [ "$1" = dump ]; then {dump}; exit; fi\n'
        f'echo "$*" >> {directory}/recordings\n'
        'while [ $# -gt 0 ]; do [ "$1" = --output ] && out=$2; shift; done\n'
        f"{record}\n"
    )
    path.chmod(0o755)
    return str(path)


def recorded_flags(directory: Path) -> list[set[str]]:
    """Return the flags of every recording that a stand-in was started for."""
    always = {"--format", "--pid", "--rate", "--duration", "--output"}
    lines = (directory / "recordings").read_text().splitlines()
    return [{word for word in line.split() if word.startswith("--")} - always for line in lines]


def replay(document: object, log: str = "Samples: 4 Errors: 0") -> str:
    """Return shell text of a py-spy that writes a document when it is interrupted."""
    text = document if isinstance(document, str) else json.dumps(document)
    finish = (
        f"cat > $out <<'END'\n{text}\nEND\necho \"py-spy> Wrote speedscope file. {log}\"\nexit 0"
    )
    return (
        f"trap 'stop=1' INT\necho '{HEADER}'\nwhile [ -z \"$stop\" ]; do sleep 0.02; done\n{finish}"
    )


def refusal_to_profile() -> str:
    """Return why this machine does not let tests profile a child, empty when it does."""
    with children() as spawn:
        source = ProfileSource(mode="exact")
        source.set_target(python_child(spawn, "while True: pass"))
        try:
            source.sample()
        except SourceError as error:
            return f"{error.absent.reason}: {error.absent.fix}"
        finally:
            source.close()
    return ""


def suspend(pid: int) -> None:
    """Stop a process as Ctrl-Z would."""
    os.kill(pid, signal.SIGSTOP)
