"""The breaker's states, and the memory tier's rules for fetches, without any server."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from perftui.cache.breaker import Breaker
from perftui.cache.coherence import Board, CoherenceState, LinkReport
from perftui.cache.coherent_memory import CoherentMemory, Token
from perftui.cache.memory_tier import MemoryTier


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_three_failures_in_a_row_open_it_and_one_that_is_certain() -> None:
    breaker = Breaker()
    for _ in range(5):
        breaker.failure()
        breaker.failure()
        breaker.success()
    assert breaker.closed
    for _ in range(3):
        breaker.failure()
    assert not breaker.closed
    certain = Breaker()
    certain.failure(certain=True)
    assert not certain.closed
    assert certain.opened == 1


def test_one_probe_after_pauses_that_double_up_to_the_longest() -> None:
    clock = Clock()
    breaker = Breaker(first=1.0, longest=3.0, clock=clock)
    breaker.failure(certain=True)
    for pause in (1.0, 2.0, 3.0, 3.0):
        clock.now += pause - 0.01
        assert not breaker.probe_due()
        clock.now += 0.02
        assert breaker.probe_due()
        assert not breaker.probe_due()
        breaker.failure(certain=True)
        breaker.probe_failed()
        assert breaker.seconds_left > 0
    breaker.success()
    assert breaker.closed
    assert breaker.seconds_left == 0
    breaker.failure(certain=True)
    assert breaker.seconds_left == 1.0


def memory_at(clock: Clock) -> CoherentMemory:
    return CoherentMemory(MemoryTier(clock=clock), clock)


def test_nothing_is_kept_before_it_may_be() -> None:
    memory = memory_at(Clock())
    assert memory.begin(b"k") is None
    assert not memory.store(b"k", None, b"v", math.inf, 1)
    memory.restart(math.inf)
    token = memory.begin(b"k")
    memory.restart(math.inf)
    assert not memory.store(b"k", token, b"v", math.inf, 1)


def test_nothing_lives_longer_than_the_longest() -> None:
    clock = Clock()
    memory = memory_at(clock)
    memory.restart(math.inf, 5.0)
    assert memory.store(b"k", memory.begin(b"k"), b"v", math.inf, 1)
    clock.now += 4.9
    assert memory.tier.get(b"k") is not None
    clock.now += 0.2
    assert memory.tier.get(b"k") is None


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "reply", "write", "tell", "glob", "flush"]), st.integers(0, 2)
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_order_answers_and_invalidations_come_in_memory_is_never_behind(
    steps: list[tuple[str, int]],
) -> None:
    """A server's answers and its invalidations are two queues that overtake each other."""
    memory = memory_at(Clock())
    memory.restart(math.inf)
    server = {b"0": 0, b"1": 0, b"2": 0}
    replies: list[tuple[bytes, Token | None, int]] = []
    untold: list[bytes] = []
    for what, number in steps:
        key = str(number).encode()
        if what == "ask":
            replies.append((key, memory.begin(key), server[key]))
        elif what == "reply" and replies:
            asked, token, version = replies.pop(number % len(replies))
            memory.store(asked, token, str(version).encode(), math.inf, 1)
        elif what == "write":
            server[key] += 1
            untold.append(key)
        elif what == "tell" and untold:
            memory.drop([untold.pop(0)])
        elif what == "glob":
            memory.drop_matching(b"[01]")
        elif what == "flush":
            memory.flush()
    memory.drop(untold)
    for key, version in server.items():
        entry = memory.tier.get(key)
        assert entry is None or entry.value == str(version).encode()


def board_of(clock: Clock, **options: float) -> tuple[Board, CoherentMemory]:
    memory = memory_at(clock)
    settings = {"bound": 1.5, "fallback": 5.0, "max_stale": 0.0, **options}
    board = Board(memory, **settings, on_live=lambda: None, clock=clock)
    return board, memory


def test_memory_closes_by_itself_when_no_proof_comes() -> None:
    clock = Clock()
    board, memory = board_of(clock)
    board.plan({"a"})
    board.report("a", LinkReport(CoherenceState.LIVE, clock.now + 1.5))
    assert memory.readable_until == clock.now + 1.5
    clock.now += 1.0
    board.renew("a", clock.now - 0.1, 0.1)
    assert memory.readable_until == clock.now + 1.4
    assert board.snapshot().state is CoherenceState.LIVE
    clock.now += 1.41
    state = board.snapshot()
    assert state.state is CoherenceState.LOST
    assert "no answer to PING for 1.5 s" in state.reason


def test_all_primaries_have_to_be_live() -> None:
    clock = Clock()
    board, memory = board_of(clock)
    board.plan({"a", "b"})
    board.report("a", LinkReport(CoherenceState.LIVE, clock.now + 1.5))
    assert board.state is CoherenceState.SYNCING
    assert memory.begin(b"k") is None
    board.report("b", LinkReport(CoherenceState.LIVE, clock.now + 1.0))
    assert board.state is CoherenceState.LIVE
    assert memory.readable_until == clock.now + 1.0
    memory.store(b"k", memory.begin(b"k"), b"v", math.inf, 1)
    board.plan({"a", "b", "c"})
    assert memory.readable_until == -math.inf
    assert memory.tier.items == 0
    board.report("c", LinkReport(CoherenceState.LIVE, clock.now + 1.5))
    assert board.state is CoherenceState.LIVE
    board.report("b", LinkReport(CoherenceState.LOST, reason="gone"))
    assert memory.readable_until == -math.inf
    assert (board.snapshot().reason, board.snapshot().lost) == ("gone", 1)
    board.plan({"a", "c"})
    assert board.state is CoherenceState.LIVE
    memory.store(b"k", memory.begin(b"k"), b"v", math.inf, 1)
    fetch = memory.begin(b"other")
    # Who answers for its slots from now on has not been asked to tell of these keys.
    board.plan({"a"})
    assert board.state is CoherenceState.LIVE
    assert memory.tier.items == 0
    assert not memory.store(b"other", fetch, b"v", math.inf, 1)


def test_where_nothing_is_told_and_while_it_is_lost_values_live_briefly() -> None:
    clock = Clock()
    board, memory = board_of(clock, max_stale=2.0)
    board.plan({"a"})
    board.report("a", LinkReport(CoherenceState.OFF, reason="no right", fix="ACL"))
    assert memory.store(b"k", memory.begin(b"k"), b"v", math.inf, 1)
    entry = memory.tier.get(b"k")
    assert entry is not None
    assert entry.deadline == clock.now + 5.0
    assert (board.snapshot().bound, board.snapshot().fix) == (5.0, "ACL")
    board.report("a", LinkReport(CoherenceState.LOST, reason="gone"))
    assert memory.tier.items == 0
    assert memory.store(b"k", memory.begin(b"k"), b"v", math.inf, 1)
    entry = memory.tier.get(b"k")
    assert entry is not None
    assert entry.deadline == clock.now + 2.0
