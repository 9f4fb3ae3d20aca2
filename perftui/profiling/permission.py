"""Permission for a profiler of the same user to attach to this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

_PR_SET_PTRACER = 0x59616D61
_ANY = 2 ** (8 * 8 if sys.maxsize > 2**32 else 8 * 4) - 1

_tracers: list[int] = []


def allow_profiling(tracer: int | None = None) -> bool:
    """Let a py-spy of the same user attach to this process where Yama's ptrace_scope is 1.

    PR_SET_PTRACER of prctl(2) names the one process that may, with its descendants; without
    `tracer`, a process id, any may. Processes forked later do the same for themselves. Returns
    whether the kernel took it: False where there is no Yama, where no permission is needed or
    where this does not help. Needs no privilege and never raises.
    """
    set_tracer = _set_tracer()
    if set_tracer is None:
        return False
    if not _tracers:
        os.register_at_fork(after_in_child=_again)
    _tracers[:] = [_ANY if tracer is None else tracer]
    return set_tracer(_tracers[0])


def _again() -> None:
    set_tracer = _set_tracer()
    if set_tracer is not None:
        set_tracer(_tracers[0])


def _set_tracer() -> Callable[[int], bool] | None:
    if sys.platform != "linux":
        return None
    try:
        import ctypes

        prctl = ctypes.CDLL(None).prctl
    except (ImportError, OSError, AttributeError):
        # An interpreter without libffi or linked without a shared C library.
        return None
    return lambda tracer: prctl(_PR_SET_PTRACER, ctypes.c_ulong(tracer), 0, 0, 0) == 0
