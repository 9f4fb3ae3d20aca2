"""What a profile is made of: how a process is sampled, and which process it is."""

from __future__ import annotations

import msgspec

from perftui.profiling.pause_budget import Mode


class Options(msgspec.Struct, frozen=True):
    """How a process is sampled; a change of any of these begins anew.

    `rate` is the most samples per second, `refresh` the seconds between two tables, `opening`
    whether the begin is sampled faster than that; the rest is as in ProfileRequest.
    """

    mode: Mode
    rate: int
    refresh: float
    gil: bool = False
    idle: bool = False
    native: bool = False
    subprocesses: bool = False
    opening: bool = True


class Identity(msgspec.Struct, frozen=True):
    """Which process it was that once had an id."""

    pid: int
    started: int
