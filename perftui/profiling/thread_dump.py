"""The stacks of all threads of a process at one moment: as py-spy tells them, sorted and folded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from perftui.profiling.modules import kind_of
from perftui.text import printable

MOST_VALUE = 200
"""Characters kept of the value of a local variable."""

MAIN = "MainThread"

_MARK = "…"


class LocalVariable(msgspec.Struct, frozen=True, gc=False):
    """A local variable of a frame; `value` is its repr() as far as py-spy goes, cut."""

    name: str
    value: str
    argument: bool


class DumpedFrame(msgspec.Struct, frozen=True):
    """One call on a stack; `line` 0 where it is unknown."""

    function: str
    file: str
    line: int
    variables: tuple[LocalVariable, ...] = ()


class DumpedThread(msgspec.Struct, frozen=True):
    """One thread; frames innermost first.

    `tid` is the id the system has for it in the innermost pid namespace, 0 when unknown; `ident` is
    what Python's threading calls it.
    """

    tid: int
    ident: int
    name: str
    active: bool
    owns_gil: bool
    frames: tuple[DumpedFrame, ...]

    @property
    def key(self) -> int:
        """What the thread is known by from one dump to the next."""
        return self.tid or self.ident


class ThreadDump(msgspec.Struct, frozen=True):
    """All threads of a process at the Unix time `taken`.

    `exact`: the process was paused meanwhile; else a stack may mix two moments. `attempts` is how
    often py-spy was asked, `variables` whether local variables were.
    """

    pid: int
    command: str
    taken: float
    exact: bool
    variables: bool
    attempts: int
    threads: tuple[DumpedThread, ...]


class ThreadGroup(msgspec.Struct, frozen=True):
    """Threads that stand at the same place; more than one only where all of them wait."""

    threads: tuple[DumpedThread, ...]

    @property
    def first(self) -> DumpedThread:
        """The thread that stands for all."""
        return self.threads[0]

    @property
    def frames(self) -> tuple[DumpedFrame, ...]:
        """The stack of every one of them, innermost first."""
        return self.threads[0].frames


class _Local(msgspec.Struct):
    name: str | None = None
    repr: str | None = None
    arg: bool = False


class _Frame(msgspec.Struct):
    name: str | None = None
    filename: str | None = None
    line: int | None = None
    locals: list[_Local] | None = None


class _Thread(msgspec.Struct):
    thread_id: int
    frames: list[_Frame]
    thread_name: str | None = None
    os_thread_id: int | None = None
    active: bool = False
    owns_gil: bool = False


_DECODER = msgspec.json.Decoder(list[_Thread])


def parse_dump(document: bytes) -> tuple[DumpedThread, ...]:
    """Return the threads of what `py-spy dump --json` printed; raises ValueError for anything else.

    The fields are those of py-spy 0.4; others are passed over.
    """
    try:
        threads = _DECODER.decode(document)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"no dump of threads: {error}") from error
    return tuple(
        DumpedThread(
            tid=thread.os_thread_id or 0,
            ident=thread.thread_id,
            name=thread.thread_name or "",
            active=thread.active,
            owns_gil=thread.owns_gil,
            frames=tuple(_frame(frame) for frame in thread.frames),
        )
        for thread in threads
    )


def grouped(threads: Iterable[DumpedThread]) -> tuple[ThreadGroup, ...]:
    """Return the threads as they are looked at: who holds the GIL, who runs, who waits.

    Waiting threads with equal stacks become one group; that of the main thread comes first, then
    the largest.
    """
    running: list[DumpedThread] = []
    waiting: dict[tuple[DumpedFrame, ...], list[DumpedThread]] = {}
    for thread in sorted(threads, key=_order):
        if thread.active or thread.owns_gil:
            running.append(thread)
        else:
            waiting.setdefault(thread.frames, []).append(thread)
    groups = sorted(waiting.values(), key=_group_order)
    return tuple(ThreadGroup(tuple(group)) for group in ([one] for one in running)) + tuple(
        ThreadGroup(tuple(group)) for group in groups
    )


def waiting_place(frames: Sequence[DumpedFrame]) -> DumpedFrame | None:
    """Return the frame that tells most of where a thread waits, None on an empty stack.

    Locks and conditions are what queues, pools and executors are made of, so the frames of
    `threading` on top of the stack say less than what called them.
    """
    for frame in frames:
        if not (kind_of(frame.file) == "standard" and _base(frame.file) == "threading.py"):
            return frame
    return frames[0] if frames else None


def stack_text(group: ThreadGroup) -> str:
    """Return the threads of a group and their stack as text, innermost call first."""
    lines = []
    for thread in group.threads:
        state = "active" if thread.active else "idle"
        lock = "+gil" if thread.owns_gil else ""
        lines.append(f'Thread {thread.key} ({state}{lock}): "{thread.name}"')
    for frame in group.frames:
        lines.append(f"    {frame.function} ({frame.file}:{frame.line})")
        lines += [f"        {one.name}: {one.value}" for one in frame.variables]
    # What comes from the process may hold line breaks and worse.
    return "\n".join(printable(line) for line in lines)


def _order(thread: DumpedThread) -> tuple[bool, bool, bool, int]:
    return (not thread.owns_gil, not thread.active, thread.name != MAIN, thread.key)


def _group_order(group: list[DumpedThread]) -> tuple[bool, int, int]:
    # The main thread is the first of its group.
    return (group[0].name != MAIN, -len(group), group[0].key)


def _frame(frame: _Frame) -> DumpedFrame:
    return DumpedFrame(
        function=frame.name or "",
        file=frame.filename or "",
        line=max(0, frame.line or 0),
        variables=tuple(
            LocalVariable(one.name or "", _cut(one.repr or ""), one.arg)
            for one in frame.locals or ()
        ),
    )


def _cut(value: str) -> str:
    return value if len(value) <= MOST_VALUE else value[: MOST_VALUE - 1] + _MARK


def _base(file: str) -> str:
    return file.replace("\\", "/").rpartition("/")[2]
