"""Has a program killed by the kernel when the one that started it dies, whatever that waits for.

py-spy ends by itself after a while, but not when its target died in the middle of a pause: it then
waits for ever for a thread that cannot stop any more.
"""

from __future__ import annotations

import functools
import os
import shutil
import sys

_PROGRAM = (
    "import ctypes,os,sys\n"
    "ctypes.CDLL(None).prctl(1, 9)\n"
    "os.getppid() == int(sys.argv[1]) or os._exit(1)\n"
    "os.execv(sys.argv[2], sys.argv[2:])\n"
)


@functools.cache
def death_guard() -> tuple[str, ...]:
    """Return a command that runs another one under PR_SET_PDEATHSIG, () where there is none.

    See prctl(2) and setpriv(1); that of BusyBox does not know the option. A program with file
    capabilities loses the setting when it begins.
    """
    if sys.platform != "linux":
        return ()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return ()
    import subprocess

    guard = (setpriv, "--pdeathsig", "KILL")
    try:
        tried = subprocess.run(
            (*guard, setpriv, "--version"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return guard if tried.returncode == 0 else ()


def any_death_guard() -> tuple[str, ...]:
    """Return the same by means of Python where there is no better one: too slow for short runs."""
    guard = death_guard()
    if guard or sys.platform != "linux" or not sys.executable:
        return guard
    try:
        import ctypes  # noqa: F401
    except ImportError:
        return ()
    return (sys.executable, "-I", "-S", "-c", _PROGRAM, str(os.getpid()))
