"""What a CodeProfiler of a service found, as it is reported."""

from __future__ import annotations

import msgspec


class ReportedCall(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One function; wall seconds without and with callees, calls without recursive ones."""

    function: str
    file: str
    line: int
    calls: int
    own: float
    total: float


class ProfileReading(msgspec.Struct, frozen=True):
    """The heaviest functions of a profile that has been recorded for `window` seconds.

    `seconds` are the wall seconds spent in all `functions`, `count` their calls. Without `running`
    there is a profiler and it does not run. `note` says what is not in it.
    """

    running: bool = False
    python: str = ""
    window: float = 0.0
    seconds: float = 0.0
    functions: int = 0
    count: int = 0
    note: str = ""
    calls: tuple[ReportedCall, ...] = ()
