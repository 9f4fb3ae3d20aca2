"""Profiles made by hand and by hypothesis, for tests of what is computed from stacks."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from perftui.snapshot import Place, ProfiledThread, Stack, Stacks, TopCalls

HOSTILE = (
    "",
    ";",
    "a;b",
    "new\nline",
    "tab\t7",
    "worker 12",
    "\x1b[31mred",
    "[bold]",
    "\u2028",
    "\udc80",
    "é 3 4",
)


def profile(
    places: Sequence[Place],
    stacks: Sequence[Stack],
    threads: Sequence[ProfiledThread] = (ProfiledThread(7, 7, "MainThread", 1.0, 100),),
    left_out: float = 0.0,
) -> TopCalls:
    """Return a profile of pid 7 with these stacks."""
    seconds = sum(stack.seconds for stack in stacks) + left_out
    return TopCalls(
        pid=7,
        command="python shop.py",
        python="3.11.7",
        calls=(),
        window=5.0,
        samples=sum(stack.samples for stack in stacks),
        errors=0,
        cores=1.0,
        mode="exact",
        rate_wanted=100.0,
        rate_reached=98.0,
        coverage_percent=96.0,
        pause_percent=1.6,
        seconds=seconds,
        threads=tuple(threads),
        processes=(7,),
        stacks=Stacks(tuple(places), tuple(stacks), left_out),
    )


def named(*paths: tuple[str, float], file: str = "/srv/shop/shop.py") -> TopCalls:
    """Return a profile from paths such as `main>load>parse` and their seconds.

    A function may have a line, `parse:12`; it is 1 where it has none.
    """
    numbers: dict[Place, int] = {}
    stacks = []
    for path, seconds in paths:
        places = []
        for frame in path.split(">"):
            function, _, line = frame.partition(":")
            places.append(numbers.setdefault(Place(function, file, int(line or 1)), len(numbers)))
        stacks.append(Stack(0, tuple(places), seconds, max(1, round(seconds * 100))))
    return profile(tuple(numbers), stacks)


_TEXT = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=6), st.sampled_from("abcd"))
_FILES = st.sampled_from(
    ["", "/srv/shop/price.py", "/srv/shop/sub/price.py", "/usr/lib/python3.11/json/decoder.py",
     "/v/lib/python3.11/site-packages/redis/client.py", "libc.so.6", "<string>", "a;\n.py"]
)  # fmt: skip


@st.composite
def profiles(draw: st.DrawFn) -> TopCalls:
    """Return any profile: recursion, empty stacks, hostile names, equal threads."""
    places = draw(
        st.lists(
            st.builds(Place, _TEXT, _FILES, st.integers(0, 3)), min_size=1, max_size=8, unique=True
        )
    )
    threads = draw(
        st.lists(
            st.builds(
                ProfiledThread, st.sampled_from([7, 8]), st.sampled_from([0, 7, 9]), _TEXT,
                st.just(0.5), st.just(3),
            ),
            min_size=1, max_size=3,
        )
    )  # fmt: skip
    stacks = draw(
        st.lists(
            st.builds(
                Stack,
                st.integers(0, len(threads) - 1),
                st.lists(st.integers(0, len(places) - 1), max_size=7).map(tuple),
                st.floats(1e-4, 10.0),
                st.integers(1, 50),
            ),
            max_size=10,
        )
    )
    left_out = draw(st.sampled_from([0.0, 0.0, 0.5]))
    return profile(places, stacks, threads, left_out)
