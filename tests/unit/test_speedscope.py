"""What a speedscope document becomes, whatever names are in it and wherever it breaks off."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perftui.profiling.speedscope import EMPTY_PROFILE, Frame, Profile, parse_speedscope

HOSTILE = [
    "a;b;c",
    "new\nline",
    'quote " and " quote',
    "\x1b[31mred\x1b[0m",
    "[bold]markup[/bold]",
    "\N{GRINNING FACE} \N{ZERO WIDTH JOINER}",
    "name (file.py:7) 12",
    "",
    "\x00\x7f",
]
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(HOSTILE)


def document(profiles: list[dict[str, Any]], frames: list[dict[str, Any]]) -> bytes:
    """Write a document with the fields and in the order in which py-spy writes them."""
    return json.dumps(
        {
            "$schema": "https://www.speedscope.app/file-format-schema.json",
            "profiles": [
                {
                    "type": "sampled",
                    "name": profile["name"],
                    "unit": "seconds",
                    "startValue": 0.0,
                    "endValue": len(profile["samples"]) / 100,
                    "samples": profile["samples"],
                    "weights": [0.01] * len(profile["samples"]),
                }
                for profile in profiles
            ],
            "shared": {"frames": frames},
            "activeProfileIndex": None,
            "exporter": "py-spy@0.4.3",
            "name": "py-spy profile",
        }
    ).encode()


def frame(name: str, file: str = "a.py", line: int | None = 1) -> dict[str, Any]:
    return {"name": name, "file": file, "line": line, "col": None}


def resolved(profile: Profile, thread: int) -> Counter[tuple[Frame, ...]]:
    """Return the stacks of one thread with their frames looked up."""
    counts: Counter[tuple[Frame, ...]] = Counter()
    for stack, count in profile.threads[thread].stacks:
        counts[tuple(profile.frames[place] for place in stack)] += count
    return counts


@st.composite
def documents(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Draw threads and frames, equal frames among them included."""
    frames = draw(
        st.lists(st.builds(frame, names, names, st.none() | st.integers(0, 3)), max_size=6)
    )
    places = st.integers(0, max(0, len(frames) - 1))
    samples = st.lists(st.lists(places, max_size=5 if frames else 0), max_size=8)
    profile = st.fixed_dictionaries(
        {"tid": st.integers(1, 2**48), "thread": names, "samples": samples}
    )
    profiles = draw(st.lists(profile, max_size=3))
    for entry in profiles:
        entry["name"] = f'Thread {entry["tid"]} "{entry["thread"]}"'
    return profiles, frames


@given(documents())
def test_every_sample_and_every_name_survives(
    drawn: tuple[list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    profiles, frames = drawn
    profile = parse_speedscope(document(profiles, frames))
    looked_up = [Frame(entry["name"], entry["file"], entry["line"] or 0) for entry in frames]
    assert len(set(profile.frames)) == len(profile.frames)
    assert len(profile.threads) == len(profiles)
    for number, entry in enumerate(profiles):
        thread = profile.threads[number]
        assert (thread.tid, thread.name, thread.process) == (entry["tid"], entry["thread"], None)
        wanted = Counter(tuple(looked_up[place] for place in sample) for sample in entry["samples"])
        assert resolved(profile, number) == wanted
        assert thread.samples == sum(1 for sample in entry["samples"] if sample)


@given(documents(), st.data())
def test_a_document_that_breaks_off_is_refused(
    drawn: tuple[list[dict[str, Any]], list[dict[str, Any]]], data: st.DataObject
) -> None:
    whole = document(*drawn)
    end = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ValueError, match=r".+"):
        parse_speedscope(whole[:end])


@given(st.binary(max_size=60))
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_speedscope(data)


def test_no_samples_at_all() -> None:
    assert parse_speedscope(document([], [])) == EMPTY_PROFILE
    assert EMPTY_PROFILE.samples == 0


@pytest.mark.parametrize("name", HOSTILE)
def test_thread_of_a_child_process(name: str) -> None:
    written = f'Process 10841 Thread 10842 "{name}"'
    thread = parse_speedscope(document([{"name": written, "samples": []}], [])).threads[0]
    assert (thread.process, thread.tid, thread.name) == (10841, 10842, name)


def test_thread_without_system_id_has_its_handle() -> None:
    written = 'Thread 0x7F4B525E2F90 ""'
    thread = parse_speedscope(document([{"name": written, "samples": []}], [])).threads[0]
    assert (thread.tid, thread.name) == (0x7F4B525E2F90, "")


def test_a_name_of_another_form_is_kept_whole() -> None:
    thread = parse_speedscope(document([{"name": "all threads", "samples": []}], [])).threads[0]
    assert (thread.tid, thread.name, thread.process) == (0, "all threads", None)


def test_equal_frames_become_one() -> None:
    data = document(
        [{"name": 'Thread 1 ""', "samples": [[0, 1], [0, 2], [2, 1]]}],
        [frame("main"), frame("work"), frame("work")],
    )
    profile = parse_speedscope(data)
    assert profile.frames == (Frame("main", "a.py", 1), Frame("work", "a.py", 1))
    assert dict(profile.threads[0].stacks) == {(0, 1): 2, (1, 1): 1}


@pytest.mark.parametrize("place", [-1, 2, 10**20])
def test_a_stack_that_points_nowhere_is_refused(place: int) -> None:
    data = document([{"name": 'Thread 1 ""', "samples": [[0, place]]}], [frame("a"), frame("b")])
    with pytest.raises(ValueError, match="not in the profile"):
        parse_speedscope(data)


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b"null",
        b'{"profiles": [], "shared": {}}',
        b'{"profiles": [{"name": 1, "samples": []}], "shared": {"frames": []}}',
        b'{"profiles": [{"name": "", "samples": [[0.5]]}], "shared": {"frames": []}}',
        b'{"x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"profiles": [{"name": "\\ud800", "samples": []}], "shared": {"frames": []}}',
    ],
)
def test_json_that_is_no_profile_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_speedscope(data)
