"""Reads one speedscope document as py-spy writes it.

Format: https://www.speedscope.app/file-format-schema.json, profiles of type "sampled".
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TypeAlias

import msgspec

Stack: TypeAlias = tuple[int, ...]
"""Positions in `Profile.frames`, outermost caller first; empty when no frame could be read."""

ThreadKey: TypeAlias = tuple[int | None, int]
"""Process and thread id; the ids of threads repeat in the processes of different pid namespaces."""


class Frame(msgspec.Struct, frozen=True, gc=False):
    """A place in the code; `file` is empty for synthetic frames, `line` 0 when unknown."""

    name: str
    file: str
    line: int


class ThreadProfile(msgspec.Struct, frozen=True):
    """Samples of one thread: distinct stacks in order of first appearance, with their counts.

    `tid` is the id py-spy printed: the thread's id in the innermost pid namespace, or a pthread
    handle where that id is unknown, or 0 where the name could not be understood. `process` is
    None when the document holds one process only.
    """

    tid: int
    name: str
    process: int | None
    stacks: tuple[tuple[Stack, int], ...]

    @property
    def key(self) -> ThreadKey:
        """What tells this thread from all others of the profile."""
        return self.process, self.tid

    @property
    def samples(self) -> int:
        """Number of samples with at least one frame."""
        return sum(count for stack, count in self.stacks if stack)


class Profile(msgspec.Struct, frozen=True):
    """All threads of one document and the frames their stacks point to, each frame once."""

    frames: tuple[Frame, ...]
    threads: tuple[ThreadProfile, ...]

    @property
    def samples(self) -> int:
        """Number of samples of all threads."""
        return sum(thread.samples for thread in self.threads)


EMPTY_PROFILE = Profile((), ())


class _WireFrame(msgspec.Struct, frozen=True, gc=False):
    name: str
    file: str | None = None
    line: int | None = None


class _WireShared(msgspec.Struct, frozen=True, gc=False):
    frames: list[_WireFrame]


class _WireProfile(msgspec.Struct, frozen=True, gc=False):
    name: str
    samples: list[Stack]


class _WireDocument(msgspec.Struct, frozen=True, gc=False):
    profiles: list[_WireProfile]
    shared: _WireShared


_DECODER = msgspec.json.Decoder(_WireDocument)

# A thread may be called anything, line breaks and quotes included: the name runs to the last quote.
_THREAD = re.compile(r'(?:Process (\d+) )?Thread (0[xX][0-9a-fA-F]+|\d+)(?: "(.*)")?', re.DOTALL)

_PROCESS_FRAME = re.compile(r'process \d+:"')


def parse_speedscope(data: bytes) -> Profile:
    """Return what one document holds; a document without samples is an empty profile.

    Raises ValueError for anything that is not a whole document, as a killed py-spy leaves it.
    """
    try:
        document = _DECODER.decode(data)
    except RecursionError as error:
        raise ValueError("the profile is nested too deeply") from error
    frames, places = _distinct_frames(document.shared.frames)
    threads = tuple(_thread(profile, places) for profile in document.profiles)
    return Profile(frames, threads)


def of_process(profile: Profile, pid: int) -> Profile:
    """Return the profile with a process id for every thread, `pid` for those without one.

    The outermost frames with which py-spy tells the processes of a tree apart are taken off.
    """
    roots = frozenset(
        place
        for place, frame in enumerate(profile.frames)
        if not frame.file and not frame.line and _PROCESS_FRAME.match(frame.name)
    )
    threads = tuple(
        ThreadProfile(thread.tid, thread.name, pid, thread.stacks)
        if thread.process is None
        else ThreadProfile(
            thread.tid,
            thread.name,
            thread.process,
            tuple((_without(stack, roots), count) for stack, count in thread.stacks),
        )
        for thread in profile.threads
    )
    return Profile(profile.frames, threads)


def _without(stack: Stack, roots: frozenset[int]) -> Stack:
    first = 0
    while first < len(stack) and stack[first] in roots:
        first += 1
    return stack[first:]


def _distinct_frames(wire: list[_WireFrame]) -> tuple[tuple[Frame, ...], list[int]]:
    """Return the frames without repetition, and for each frame on the wire its place there."""
    seen: dict[tuple[str, str, int], int] = {}
    places = [
        seen.setdefault((frame.name, frame.file or "", frame.line or 0), len(seen))
        for frame in wire
    ]
    return tuple(Frame(*key) for key in seen), places


def _thread(profile: _WireProfile, places: list[int]) -> ThreadProfile:
    counts = Counter(profile.samples)
    stacks = tuple(counts.items())
    for stack in counts:
        # A negative place would silently read from the end of the list.
        if stack and not (min(stack) >= 0 and max(stack) < len(places)):
            raise ValueError("a stack points to a frame that is not in the profile")
    if places and places[-1] != len(places) - 1:
        merged: Counter[Stack] = Counter()
        for stack, count in stacks:
            merged[tuple(places[place] for place in stack)] += count
        stacks = tuple(merged.items())
    match = _THREAD.fullmatch(profile.name)
    if match is None:
        return ThreadProfile(0, profile.name, None, stacks)
    process, tid, name = match.groups()
    return ThreadProfile(
        tid=int(tid, 16) if tid[:2] in {"0x", "0X"} else int(tid),
        name=name or "",
        process=None if process is None else int(process),
        stacks=stacks,
    )
