"""What a profiler has seen: calls, threads, stacks, and how it was asked to look."""

from __future__ import annotations

from perftui.snapshot.part import Absent, Maybe, Part, State


class Call(Part, frozen=True, gc=False):
    """One row of a profile: a function, or a line, a file, a module where that was asked for.

    `own` and `total` are CPU seconds without and with callees, the percents of all that was
    sampled. `file` is empty and `line` 0 where the row has none. `thread` is the name of the only
    thread that the row speaks of, empty for all.
    """

    function: str
    file: str
    line: int
    own_percent: float
    total_percent: float
    own: float = 0.0
    total: float = 0.0
    thread: str = ""


class Place(Part, frozen=True, gc=False):
    """A line of a function that was seen on a stack; `line` 0 and `file` empty when unknown."""

    function: str
    file: str
    line: int


class ProfiledThread(Part, frozen=True, gc=False):
    """A thread that was sampled; `cores` is the CPU time it used per second.

    `tid` is its id in the innermost pid namespace, or what the profiler calls it.
    """

    pid: int
    tid: int
    name: str
    cores: Maybe[float]
    samples: int


class Stack(Part, frozen=True, gc=False):
    """One distinct stack: positions in `Stacks.places`, outermost first, and CPU seconds.

    `thread` is a position in `TopCalls.threads`.
    """

    thread: int
    places: tuple[int, ...]
    seconds: float
    samples: int


class Stacks(Part, frozen=True):
    """The distinct stacks of a profile, most CPU time first.

    `left_out` are the CPU seconds of further stacks, which were too many to keep.
    """

    places: tuple[Place, ...]
    stacks: tuple[Stack, ...]
    left_out: float = 0.0


class ProfileRequest(Part, frozen=True):
    """How a process shall be profiled, and what of it is looked at.

    `mode` is auto, exact (pauses for each sample) or safe (never). `gil`: only threads that hold
    the lock of the interpreter; `idle`: waiting threads too, whose samples then count wall time;
    `native`: C frames as well; `subprocesses`: the whole tree. `window` are the seconds of the
    sliding window, 0 for all since the last reset. `stacks`: whether TopCalls.stacks is wanted.
    """

    mode: str = "auto"
    gil: bool = False
    idle: bool = False
    native: bool = False
    subprocesses: bool = False
    window: float = 5.0
    stacks: bool = False


NOT_LOOKED_AT = Absent(State.NOT_COLLECTED, "nothing shows it, so it is not kept")
NOT_PROFILED = Absent(
    State.NOT_COLLECTED,
    "the process does not profile itself",
    "start a CodeProfiler in it and give it to its Reporter",
)


class TopCalls(Part, frozen=True):
    """What one process, or a tree of them, spent its CPU time on during the last `window` seconds.

    `source` is py-spy or cProfile. `seconds` is the CPU time that the percents are of, wall time
    when idle threads count. `processes` are the ids of those that were seen, `request` what was
    asked for, `since_reset` whether the window has no other begin than the last reset.
    """

    pid: int
    command: str
    python: str
    calls: tuple[Call, ...]
    window: float
    samples: int
    errors: int
    cores: Maybe[float]
    mode: str
    rate_wanted: float
    rate_reached: float
    coverage_percent: float
    pause_percent: Maybe[float]
    note: str = ""
    source: str = "py-spy"
    seconds: float = 0.0
    threads: tuple[ProfiledThread, ...] = ()
    processes: tuple[int, ...] = ()
    stacks: Maybe[Stacks] = NOT_LOOKED_AT
    request: ProfileRequest = ProfileRequest()
    since_reset: bool = False
