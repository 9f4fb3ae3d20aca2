"""Merges sampled stacks to distinct ones: of any recent windows, and of all since a begin.

Every distinct stack of a thread exists once, as one row that windows point to. So merging thirty
windows compares no frames, and what a snapshot gets of a stack is the tuple that is there already.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from perftui.profiling.speedscope import Profile, ThreadKey
from perftui.snapshot import Place, Stack, Stacks

MOST_SHOWN = 3_000
"""Stacks in a snapshot, those with most time: a picture of flames has no room for more."""

MOST_KEPT = 12_000
"""Stacks kept since the last reset."""

MOST_PLACES = 50_000
"""Places in the code from which on those of forgotten stacks are given up."""


class Row:
    """A distinct stack of a thread, and what it used since the begin; used by one thread."""

    __slots__ = ("places", "samples", "seconds", "thread")

    def __init__(self, thread: ThreadKey, places: tuple[int, ...]) -> None:
        self.thread = thread
        self.places = places
        self.seconds = 0.0
        self.samples = 0


WindowStacks: TypeAlias = dict[Row, tuple[float, int]]
"""CPU seconds and samples of the stacks of one window."""


class StackTable:
    """The distinct stacks of one program, at most `most` since its begin; used by one thread."""

    def __init__(self, most: int = MOST_KEPT, most_places: int = MOST_PLACES) -> None:
        self._most = most
        self._most_places = most_places
        self._rows: dict[tuple[ThreadKey, tuple[int, ...]], Row] = {}
        self._numbers: dict[tuple[str, str, int], int] = {}
        self._places: list[Place] = []
        self._shown_places: tuple[Place, ...] = ()
        self._left_out = 0.0

    def add(self, profile: Profile, weights: Sequence[float]) -> WindowStacks:
        """Add a window, with the CPU seconds that a sample of each thread stands for."""
        window: WindowStacks = {}
        numbers = [self._number(frame.name, frame.file, frame.line) for frame in profile.frames]
        for thread, weight in zip(profile.threads, weights, strict=True):
            if weight <= 0:
                continue
            key = thread.key
            for stack, count in thread.stacks:
                if not stack:
                    continue
                places = tuple([numbers[place] for place in stack])
                row = self._rows.get((key, places))
                if row is None:
                    row = self._rows[key, places] = Row(key, places)
                row.seconds += weight * count
                row.samples += count
                seconds, samples = window.get(row, (0.0, 0))
                window[row] = seconds + weight * count, samples + count
        return window

    def prune(self, windows: Iterable[WindowStacks]) -> None:
        """Drop the stacks with the least time if there are too many, but none of these windows."""
        if len(self._rows) <= self._most and len(self._places) <= self._most_places:
            return
        live = {row for window in windows for row in window}
        # Room for a while, or the next window would have all of it sorted again.
        kept = heapq.nlargest(self._most * 3 // 4, self._rows.values(), key=lambda row: row.seconds)
        chosen = live.union(kept)
        for row in self._rows.values():
            if row not in chosen:
                self._left_out += row.seconds
        self._rows = {(row.thread, row.places): row for row in chosen}
        if len(self._places) > self._most_places:
            self._renumber()

    def of_windows(
        self, windows: Iterable[WindowStacks], threads: Sequence[ThreadKey], most: int = MOST_SHOWN
    ) -> Stacks:
        """Return the stacks of some windows; those of no thread of `threads` are left out."""
        merged: WindowStacks = {}
        for window in windows:
            for row, (seconds, samples) in window.items():
                known_seconds, known_samples = merged.get(row, (0.0, 0))
                merged[row] = known_seconds + seconds, known_samples + samples
        return self._shown(
            [(seconds, samples, row) for row, (seconds, samples) in merged.items()],
            threads,
            most,
            0.0,
        )

    def of_all(self, threads: Sequence[ThreadKey], most: int = MOST_SHOWN) -> Stacks:
        """Return the stacks since the begin; those of no thread of `threads` are left out."""
        rows = [(row.seconds, row.samples, row) for row in self._rows.values()]
        return self._shown(rows, threads, most, self._left_out)

    def _shown(
        self,
        rows: list[tuple[float, int, Row]],
        threads: Sequence[ThreadKey],
        most: int,
        left_out: float,
    ) -> Stacks:
        positions = {key: position for position, key in enumerate(threads)}
        chosen = heapq.nlargest(
            most,
            (row for row in rows if row[2].thread in positions),
            key=lambda row: row[0],
        )
        all_seconds = sum(seconds for seconds, _, _ in rows)
        shown_seconds = sum(seconds for seconds, _, _ in chosen)
        if len(chosen) < len(rows):
            left_out += max(0.0, all_seconds - shown_seconds)
        if len(self._shown_places) != len(self._places):
            self._shown_places = tuple(self._places)
        stacks = tuple(
            [
                Stack(positions[row.thread], row.places, seconds, samples)
                for seconds, samples, row in chosen
            ]
        )
        return Stacks(self._shown_places, stacks, left_out)

    def _number(self, function: str, file: str, line: int) -> int:
        number = self._numbers.get((function, file, line))
        if number is None:
            number = self._numbers[function, file, line] = len(self._places)
            self._places.append(Place(function, file, line))
        return number

    def _renumber(self) -> None:
        """Forget the places of no stack; snapshots that are out keep their own."""
        old = self._places
        self._numbers, self._places, self._shown_places = {}, [], ()
        for row in self._rows.values():
            row.places = tuple(
                [
                    self._number(old[place].function, old[place].file, old[place].line)
                    for place in row.places
                ]
            )
        self._rows = {(row.thread, row.places): row for row in self._rows.values()}
