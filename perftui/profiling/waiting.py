"""Tells places in the code where a thread waits from places where it computes.

A sampler takes a thread for running while it falls asleep, while it wakes up and while it queues
for a CPU, and what it then sees on top of the stack is the call that waits. Python shows a wait in
C as a line of its caller, so what tells it is the text of that line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from perftui.profiling.speedscope import Frame

Waits: TypeAlias = Callable[[Frame], bool]
"""Whether a thread whose innermost frame this is waits rather than computes."""

# Only calls that do next to nothing but wait. Reading files, connecting, running a query may wait
# or compute, and `get` and `join` mostly belong to dictionaries and strings.
_WAITING_CALL = re.compile(
    r"""(?:^|[^\w])(?:
        (?:u?sleep | select | poll | epoll_wait | accept | recv(?:_into|from|from_into|msg)?
         | acquire | wait | wait_for | waitpid | wait3 | wait4 | communicate | getaddrinfo
         | sigwait\w* | pause | _wait_for_tstate_lock)\s*\(
      | \w*queue\w*\.get\s*\(
      | \w+\.get\s*\(\s*(?:block|timeout)\s*=
    )
    | ^\s*with\s+[\w.]*(?:lock|cond|condition|mutex|semaphore)\s*:""",
    re.VERBOSE | re.IGNORECASE,
)

# For code whose text cannot be read: functions by file and its directory. Files directly in the
# directory of the standard library have none here, because its name differs between versions.
_KNOWN = {
    "threading.py": {"wait", "acquire", "_wait_for_tstate_lock"},
    "queue.py": {"get", "put"},
    "selectors.py": {"select"},
    "socket.py": {"accept", "readinto"},
    "subprocess.py": {"_try_wait", "_wait"},
    "futures/thread.py": {"_worker"},
    "multiprocessing/connection.py": {"_recv", "_poll"},
    "multiprocessing/synchronize.py": {"__enter__"},
}
_LIBRARY = re.compile(r"(?:python\d[\d.]*t?|lib)", re.IGNORECASE)


def waiting_line(line: str) -> bool:
    """Whether a line of Python source holds a call that only waits."""
    return _WAITING_CALL.search(line.partition("#")[0]) is not None


def known_wait(frame: Frame) -> bool:
    """Whether the frame is a waiting place of the standard library, by file and function."""
    directory, _, file = frame.file.replace("\\", "/").rpartition("/")
    parent = directory.rpartition("/")[2]
    functions = _KNOWN.get(file if _LIBRARY.fullmatch(parent) else f"{parent}/{file}", ())
    return frame.name.rpartition(".")[2] in functions
