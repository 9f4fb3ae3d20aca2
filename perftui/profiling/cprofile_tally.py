"""Adds up what cProfile counted, over threads and over functions of the same name and place."""

from __future__ import annotations

from collections.abc import Iterable
from types import CodeType
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from _lsprof import profiler_entry, profiler_subentry

Place: TypeAlias = tuple[str, str, int]
"""Function, file, line of its `def`; file and line are empty and 0 for what is written in C."""

_OF_THE_PROFILER = "'_lsprof.Profiler' objects>"
_GENERATOR = 0x20 | 0x80 | 0x200
"""co_flags of generators, coroutines and asynchronous generators, see the inspect module."""


_hidden: dict[str, bool] = {}


def hide(file: str, *, calls: bool = True) -> None:
    """Take a file, as its code objects name it, for a part of the profiler itself.

    So are the `calls` that it makes, unless they are those that are to be profiled.
    """
    _hidden[file] = calls


class Times:
    """Calls of one function: all of them, those that are not recursive, and wall seconds.

    `own` is without callees, `total` with them; recursion counts once.
    """

    __slots__ = ("calls", "own", "primitive", "resumes", "total")

    def __init__(self) -> None:
        self.calls = 0
        self.primitive = 0
        self.own = 0.0
        self.total = 0.0
        self.resumes = False

    def add(self, entry: profiler_entry | profiler_subentry, sign: int = 1) -> None:
        """Add what cProfile says of a function, or take it off."""
        calls = sign * entry.callcount
        self.calls += calls
        self.primitive += calls - sign * entry.reccallcount
        self.own += sign * entry.inlinetime
        self.total += sign * entry.totaltime

    def merge(self, other: Times) -> None:
        """Add the calls of another thread."""
        self.calls += other.calls
        self.primitive += other.primitive
        self.own += other.own
        self.total += other.total
        self.resumes = self.resumes or other.resumes


class Tally:
    """Times by function and, with `edges`, by function and caller; without the profiler's own.

    What the files of the profiler itself call is taken off again.
    """

    def __init__(self, *, edges: bool = True) -> None:
        self.functions: dict[Place, Times] = {}
        self.callers: dict[Place, dict[Place, Times]] = {}
        self._edges = edges

    def add(self, entries: Iterable[profiler_entry]) -> None:
        """Add what one profiler's getstats() returned."""
        functions, callers, edges = self.functions, self.callers, self._edges
        taken_off: list[profiler_subentry] = []
        # Profiles have thousands of functions, so nothing is done twice here.
        for entry in entries:
            code = entry.code
            if isinstance(code, str):
                place = code, "", 0
            else:
                file = code.co_filename
                if file in _hidden:
                    if _hidden[file]:
                        taken_off += entry.calls or ()
                    continue
                place = code.co_qualname, file, code.co_firstlineno
            times = functions.get(place)
            if times is None:
                times = functions[place] = Times()
                if not isinstance(code, str):
                    times.resumes = bool(code.co_flags & _GENERATOR)
            times.add(entry)
            if edges:
                for called in entry.calls or ():
                    callers.setdefault(_place(called.code), {}).setdefault(place, Times()).add(
                        called
                    )
        for called in taken_off:
            found = functions.get(_place(called.code))
            if found is not None:
                found.add(called, -1)

    def merge(self, other: Tally) -> None:
        """Add another tally."""
        for place, times in other.functions.items():
            self.functions.setdefault(place, Times()).merge(times)
        if self._edges:
            for place, callers in other.callers.items():
                known = self.callers.setdefault(place, {})
                for caller, times in callers.items():
                    known.setdefault(caller, Times()).merge(times)

    def rows(self) -> list[tuple[Place, Times]]:
        """Return every function that somebody but the profiler called, in no order.

        Times are never negative, though several threads on one stack can make them so.
        """
        found = []
        for place, times in self.functions.items():
            if times.calls > 0 and not place[0].endswith(_OF_THE_PROFILER):
                if times.own < 0:
                    times.own = 0.0
                if times.total < 0:
                    times.total = 0.0
                found.append((place, times))
        return found


def _place(code: CodeType | str) -> Place:
    if isinstance(code, CodeType):
        return code.co_qualname, code.co_filename, code.co_firstlineno
    return code, "", 0


hide(hide.__code__.co_filename)
