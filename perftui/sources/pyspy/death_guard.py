"""Has a program killed by the kernel when the one that started it dies, whatever that waits for.

py-spy ends by itself after a while, but not when its target died in the middle of a pause: it then
waits for ever for a thread that cannot stop any more.
"""

from __future__ import annotations

import functools
import shutil
import sys


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
