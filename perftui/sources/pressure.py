"""Pressure stall information, see the kernel's Documentation/accounting/psi.rst."""

from __future__ import annotations

import errno
import os

from perftui.snapshot import Absent, Maybe, Pressure, Stall, State
from perftui.sources.proc_file import read_proc_file

NO_PRESSURE = Absent(
    State.UNAVAILABLE,
    "this kernel offers no pressure stall information",
    "boot with psi=1 (needs Linux 4.20 built with CONFIG_PSI=y)",
)
PRESSURE_OFF = Absent(
    State.UNAVAILABLE, "pressure stall information is switched off", "boot with psi=1"
)
NO_FULL_CPU = Absent(
    State.UNAVAILABLE, "full CPU pressure is not defined for the machine as a whole"
)
NO_FULL = Absent(State.UNAVAILABLE, "this kernel does not report full pressure here")


def read_pressure(directory: str = "/proc/pressure") -> Maybe[Pressure]:
    """Return the pressure on CPU, memory and I/O; Absent where the kernel has none of the three."""
    cpu = _read_stall(os.path.join(directory, "cpu"), NO_FULL_CPU)
    memory = _read_stall(os.path.join(directory, "memory"), NO_FULL)
    io = _read_stall(os.path.join(directory, "io"), NO_FULL)
    if isinstance(cpu, Absent) and cpu == memory == io:
        return cpu
    return Pressure(cpu, memory, io)


def parse_stall(text: str, no_full: Absent) -> Stall:
    """Return the averages of one pressure file; `no_full` stands for a missing `full` line.

    The kernel prints a `full` line of zeros for the CPU of the whole machine, where it is not
    defined; `NO_FULL_CPU` therefore overrides that line. Raises ValueError on another format.
    """
    lines = {}
    for line in text.splitlines():
        kind, *fields = line.split()
        lines[kind] = dict(field.split("=", 1) for field in fields)
    try:
        some, full = lines["some"], lines.get("full")
        if full is None or no_full is NO_FULL_CPU:
            return Stall(float(some["avg10"]), float(some["avg60"]), no_full, no_full)
        return Stall(
            float(some["avg10"]), float(some["avg60"]), float(full["avg10"]), float(full["avg60"])
        )
    except KeyError as missing:
        raise ValueError(f"no {missing} in pressure file") from missing


def _read_stall(path: str, no_full: Absent) -> Maybe[Stall]:
    try:
        return parse_stall(read_proc_file(path).decode("ascii"), no_full)
    except ValueError:
        return Absent(State.UNAVAILABLE, f"{path} has an unknown format")
    except (FileNotFoundError, NotADirectoryError):
        return NO_PRESSURE
    except PermissionError:
        return Absent(State.DENIED, f"{path} may not be read", f"check with: cat {path}")
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EINVAL):
            return PRESSURE_OFF
        return Absent(State.UNAVAILABLE, f"{path} cannot be read: {error.strerror}")
