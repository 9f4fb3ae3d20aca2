"""Writes a profile as a speedscope document: https://www.speedscope.app/file-format-schema.json."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

from perftui.profiling.flame import LEFT_OUT
from perftui.snapshot import Absent, Place, ProfiledThread, Stack, Stacks, TopCalls

SCHEMA = "https://www.speedscope.app/file-format-schema.json"
EXPORTER = "perftui"


class _Frame(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    name: str
    file: str = ""
    line: int = 0


class _Shared(msgspec.Struct, frozen=True):
    frames: list[_Frame]


class _Profile(msgspec.Struct, frozen=True, rename="camel"):
    type: str
    name: str
    unit: str
    start_value: float
    end_value: float
    samples: list[tuple[int, ...]]
    weights: list[float]


class _Document(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    schema: str = msgspec.field(name="$schema")
    shared: _Shared
    profiles: list[_Profile]
    name: str
    exporter: str
    active_profile_index: int | None = None


def speedscope_document(calls: TopCalls) -> bytes:
    """Return the JSON of a profile: one sampled profile a thread, weights in CPU seconds.

    The busiest thread comes first and is the one that is shown. Every distinct stack is one
    sample, and equal beginnings are neighbours, as the order in time is not known. Stacks that
    were left out are a profile of their own. Without stacks there is no profile in it.
    """
    stacks = Stacks((), ()) if isinstance(calls.stacks, Absent) else calls.stacks
    frames = [_frame(place) for place in stacks.places]
    shares: dict[int, list[Stack]] = {}
    for stack in stacks.stacks:
        if stack.places:
            shares.setdefault(stack.thread, []).append(stack)
    several = len({thread.pid for thread in calls.threads}) > 1
    profiles = [
        _profile(
            _thread_name(calls.threads, number, several),
            sorted((stack.places, stack.seconds) for stack in own),
        )
        for number, own in shares.items()
    ]
    profiles.sort(key=lambda profile: (-profile.end_value, profile.name))
    if stacks.left_out > 0:
        profiles.append(_profile(LEFT_OUT.function, [((len(frames),), stacks.left_out)]))
        frames.append(_frame(LEFT_OUT))
    document = _Document(
        schema=SCHEMA,
        shared=_Shared(frames),
        profiles=profiles,
        name=_text(f"{calls.pid} {calls.command}"),
        exporter=EXPORTER,
        active_profile_index=0 if profiles else None,
    )
    return msgspec.json.encode(document)


def _profile(name: str, weighted: Iterable[tuple[tuple[int, ...], float]]) -> _Profile:
    samples: list[tuple[int, ...]] = []
    weights: list[float] = []
    for places, seconds in weighted:
        samples.append(places)
        weights.append(seconds)
    return _Profile("sampled", name, "seconds", 0.0, math.fsum(weights), samples, weights)


def _thread_name(threads: tuple[ProfiledThread, ...], number: int, several: bool) -> str:
    """Return the name as py-spy writes it, so that whoever reads its documents reads this one."""
    if not 0 <= number < len(threads):
        return f"Thread {number}"
    thread = threads[number]
    process = f"Process {thread.pid} " if several else ""
    name = f' "{_text(thread.name)}"' if thread.name else ""
    return f"{process}Thread {thread.tid}{name}"


def _frame(place: Place) -> _Frame:
    return _Frame(_text(place.function), _text(place.file), place.line)


def _text(text: str) -> str:
    """Return the text without what UTF-8 cannot hold: bytes of a name that were no text."""
    return text.encode("utf-8", "backslashreplace").decode()
