"""Runs a function in a forked child and hands back what it returned."""

from __future__ import annotations

import os
import pickle
import select
import signal
import traceback
from collections.abc import Callable
from typing import Any


def in_child(function: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Return what the function returns in the child; it must be picklable.

    Raises RuntimeError with the child's traceback, TimeoutError for a child that hangs.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            answer = (True, function())
        except BaseException:
            answer = (False, traceback.format_exc())
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(pickle.dumps(answer))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        ready, _, _ = select.select([pipe], [], [], seconds)
        if not ready:
            os.kill(pid, signal.SIGKILL)
        payload = pipe.read()
    os.waitpid(pid, 0)
    if not ready:
        raise TimeoutError(f"the child did not answer within {seconds} s")
    good, answer = pickle.loads(payload)
    if not good:
        raise RuntimeError(answer)
    return answer
