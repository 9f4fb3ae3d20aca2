"""Who is picked, left out, and taken back, by the code that balances, with a clock of its own."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perftui.pool.config import ScalingConfig
from perftui.pool.exclusion import OutlierEjection, admit, most_excluded
from perftui.pool.load_view import Load, LoadLimits, LoadView
from perftui.pool.policies import POLICIES, make_policy
from perftui.pool.readings import Reading, Server
from perftui.pool.selection import NoAvailableServersError, Selection
from perftui.pool.slow_start import slow_start_share
from perftui.pool.track import DECAY, NO_HISTORY, Track

CALM = Load(10.0, 10.0, 10.0)
BUSY = Load(95.0, 10.0, 10.0)


def reading(name: str, load: Load = CALM, *, weight: int = 1, **more: object) -> Reading:
    fields: dict[str, object] = {"admin": "ready", "silence": 0.5, "age": None, **more}
    return Reading(Server(name, f"{name}:80", weight), load=load, **fields)  # type: ignore[arg-type]


def pool(count: int, load: Load = CALM) -> list[Reading]:
    return [reading(f"s{index:04}", load) for index in range(count)]


def selection(
    readings: Sequence[Reading], policy: str = "round_robin", *, strict: bool = False
) -> Selection:
    made = Selection(ScalingConfig(), policy, strict=strict, random=random.Random(1).random)
    made.update(readings, 0.0)
    return made


def picks(made: Selection, count: int, now: float = 0.0) -> list[str]:
    return [made.pick(now).id for _ in range(count)]


def test_strict_alternates_the_two_that_are_below_their_thresholds() -> None:
    made = selection([reading("a"), reading("b", BUSY), reading("c")], strict=True)
    assert picks(made, 6) == ["a", "c"] * 3
    made.update([reading("a"), reading("b"), reading("c", Load(80.1, 0.0, 0.0))], 1.0)
    assert picks(made, 4) == ["a", "b"] * 2


@pytest.mark.parametrize("load", [Load(80.1, 0, 0), Load(0, 90.1, 0), Load(0, 0, 1000.5)])
def test_strict_refuses_when_all_are_above_any_threshold(load: Load) -> None:
    made = selection(pool(3, load), strict=True)
    with pytest.raises(NoAvailableServersError, match="3 live servers is above a threshold"):
        made.pick(0.0)


def test_reaching_a_threshold_is_not_above_it() -> None:
    made = selection(pool(2, Load(80.0, 90.0, 1000.0)), strict=True)
    assert Counter(picks(made, 4)) == {"s0000": 2, "s0001": 2}


def test_strict_with_another_policy_is_refused() -> None:
    with pytest.raises(ValueError, match="strict is round robin"):
        Selection(ScalingConfig(), "p2c", strict=True)


def test_all_above_is_a_panic_that_uses_all_of_them() -> None:
    made = selection(pool(4, BUSY))
    assert made.panic
    assert Counter(picks(made, 8)) == {f"s{index:04}": 2 for index in range(4)}
    made.update(pool(4), 100.0)
    assert not made.panic


def test_one_in_ten_is_left_out_and_the_worst_first() -> None:
    servers = pool(20)
    for index, cpu in ((2, 81.0), (5, 99.0), (9, 90.0)):
        servers[index] = reading(servers[index].server.id, Load(cpu, 0.0, 0.0))
    made = selection(servers)
    assert made.excluded == {"s0005", "s0009"}
    assert not made.panic


@given(
    st.integers(1, 60),
    st.data(),
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0),
)
def test_what_is_left_out_is_bounded(
    count: int, data: st.DataObject, share: float, panic_below: float
) -> None:
    live = [f"s{index}" for index in range(count)]
    excess = data.draw(st.dictionaries(st.sampled_from(live), st.floats(1.01, 9.0)))
    ejected = data.draw(st.lists(st.sampled_from([*live, "gone"]), unique=True))
    admission = admit(live, excess, ejected, share, panic_below)
    assert len(admission.excluded) <= most_excluded(count, share)
    assert set(admission.eligible) | admission.excluded == set(live)
    assert admission.eligible
    assert not set(admission.eligible) & admission.excluded
    assert admission.excluded <= set(excess) | set(ejected)
    failed = [server for server in ejected if server in live]
    if len(failed) < count:
        assert set(failed[: most_excluded(count, share)]) & set(live) <= (
            admission.excluded or set(live)
        )


@pytest.mark.parametrize(("count", "most"), [(1, 1), (3, 1), (10, 1), (19, 1), (20, 2), (30, 3)])
def test_one_may_always_be_left_out(count: int, most: int) -> None:
    assert most_excluded(count, 0.1) == most


@given(st.sampled_from(POLICIES), st.integers(2, 30), st.data())
def test_nobody_picks_who_is_left_out(policy: str, count: int, data: st.DataObject) -> None:
    states = data.draw(
        st.lists(
            st.sampled_from(["ready", "busy", "drain", "maint", "stale", "leaving", "zero"]),
            min_size=count,
            max_size=count,
        )
    )
    rows = []
    for index, state in enumerate(states):
        rows.append(
            reading(
                f"s{index}",
                BUSY if state == "busy" else CALM,
                weight=0 if state == "zero" else 1 + index % 3,
                admin=state if state in ("drain", "maint") else "ready",
                silence=3.5 if state == "stale" else 0.5,
                leaving=state == "leaving",
            )
        )
    made = selection(rows, policy)
    usable = {f"s{i}" for i, state in enumerate(states) if state in ("ready", "busy")}
    if not usable:
        usable = {f"s{i}" for i, state in enumerate(states) if state == "stale"}
    if not usable:
        with pytest.raises(NoAvailableServersError, match=r"draining|maintenance|weight"):
            made.pick(0.0)
        return
    assert set(picks(made, 50)) <= usable - made.excluded


@given(st.integers(1, 40), st.integers(1, 300))
def test_turns_are_even_within_one(count: int, turns: int) -> None:
    counts = Counter(picks(selection(pool(count)), turns))
    shares = [counts[row.server.id] for row in pool(count)]
    assert max(shares) - min(shares) <= 1


def test_turns_go_on_after_a_change() -> None:
    made = selection(pool(4), strict=True)
    assert picks(made, 2) == ["s0000", "s0001"]
    made.update([row for row in pool(4) if row.server.id != "s0002"], 1.0)
    assert picks(made, 4) == ["s0003", "s0000", "s0001", "s0003"]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.booleans())
def test_weights_are_exact_over_every_round(weights: list[int], many: bool) -> None:
    if many:
        weights = weights + [1] * 51
    rows = [reading(f"s{i:03}", weight=weight) for i, weight in enumerate(weights)]
    made = selection(rows, "weighted")
    for _ in range(3):
        counts = Counter(picks(made, sum(weights)))
        assert counts == {f"s{i:03}": weight for i, weight in enumerate(weights)}


def test_weighted_turns_are_spread() -> None:
    rows = [reading("a", weight=5), reading("b"), reading("c")]
    assert "".join(picks(selection(rows, "weighted"), 7)) == "aabacaa"


@pytest.mark.parametrize("policy", ["p2c", "p2c_ewma"])
def test_two_choices_follow_weights_when_nothing_is_at_work(policy: str) -> None:
    made = selection([reading("a", weight=3), reading("b"), reading("c")], policy)
    counts: Counter[str] = Counter()
    for step in range(6000):
        server = made.pick(step * 0.1, followed=True).id
        made.finish(server, 0.01, True, step * 0.1, followed=True)
        counts[server] += 1
    if policy == "p2c":
        assert counts["a"] == pytest.approx(3600, rel=0.1)
    assert min(counts.values()) > 300


def test_two_choices_never_draw_the_same_server_twice() -> None:
    made = selection([reading("a"), reading("b")], "p2c")
    for _ in range(200):
        first, second = made.pick(0.0, followed=True), made.pick(0.0, followed=True)
        assert first != second
        for server in (first, second):
            made.finish(server.id, 0.1, True, 0.0, followed=True)


def test_the_slow_one_of_two_gets_little_by_latency() -> None:
    made = selection(pool(4), "p2c_ewma")
    counts: Counter[str] = Counter()
    for step in range(2000):
        now = step * 0.01
        server = made.pick(now, followed=True).id
        made.finish(server, 0.4 if server == "s0000" else 0.05, True, now, followed=True)
        counts[server] += 1
    assert counts["s0000"] < 60
    assert min(counts[f"s{index:04}"] for index in (1, 2, 3)) > 500


def test_a_fast_failure_does_not_draw_requests() -> None:
    made = selection(pool(4), "p2c_ewma")
    counts: Counter[str] = Counter()
    for step in range(2000):
        now = step * 0.01
        server = made.pick(now, followed=True).id
        # Never five failures in a row, so that it is not ejected.
        broken = server == "s0000" and counts[server] % 2 == 0
        made.finish(server, 0.001 if broken else 0.05, not broken, now, followed=True)
        counts[server] += 1
    assert not made.excluded
    assert counts["s0000"] < 100


def test_the_latency_jumps_up_and_fades() -> None:
    track = Track(Server("a", ""), 0.0)
    assert track.score(0.0) == 0.0
    track.pending = 2
    assert track.score(0.0) == NO_HISTORY + 2
    track.observe(0.1, 1.0)
    assert track.score(1.0) == pytest.approx(0.3)
    assert track.score(1.0 + DECAY) == pytest.approx(0.3 / 2.718281828)
    track.observe(2.0, 1.0 + DECAY)
    assert track.cost == 2.0


def test_a_pick_whose_end_nobody_tells_is_forgotten() -> None:
    made = selection(pool(2), "p2c")
    picks(made, 100)
    for now in (31.0, 62.0, 93.0):
        made.update(pool(2), now)
    made.finish("s0000", 0.1, True, 93.0)
    assert [made.pick(94.0, followed=True).id for _ in range(2)] in (
        ["s0000", "s0001"],
        ["s0001", "s0000"],
    )


def test_failures_in_a_row_eject_for_longer_each_time_and_are_forgiven() -> None:
    ejection = OutlierEjection(5, 30.0)
    assert [ejection.report("a", False, 0.0) for _ in range(5)] == [False] * 4 + [True]
    assert ejection.ejected(29.9) == ["a"]
    assert ejection.ejected(30.0) == []
    assert ejection.report("a", False, 31.0, certain=True)
    assert ejection.ejected(90.9) == ["a"]
    assert ejection.ejected(91.0) == []
    # Back for 60 s and then for 30 s: both are forgiven.
    assert ejection.report("a", False, 181.0, certain=True)
    assert ejection.ejected(211.0) == []


def test_a_success_between_failures_ejects_nobody() -> None:
    ejection = OutlierEjection(3, 30.0)
    assert not any(ejection.report("a", ok, 0.0) for ok in (False, False, True, False, False))


def test_an_unreachable_server_is_out_at_once_and_comes_back_slowly() -> None:
    made = selection(pool(10))
    assert made.finish("s0003", None, False, 1.0, unreachable=True)
    assert "s0003" not in picks(made, 30, 1.0)
    made.tick(31.5)
    counts = Counter(picks(made, 300, 31.5))
    assert 2 <= counts["s0003"] <= 5
    made.tick(70.0)
    assert Counter(picks(made, 100, 70.0))["s0003"] == 10


def test_a_restarted_server_is_not_held_to_its_failures() -> None:
    made = selection([row._replace(age=500.0) for row in pool(3)])
    made.finish("s0001", None, False, 1.0, unreachable=True)
    assert made.excluded == {"s0001"}
    made.update([row._replace(age=1.0 if i == 1 else 502.0) for i, row in enumerate(pool(3))], 2.0)
    assert not made.excluded


def test_a_newcomer_starts_with_a_tenth() -> None:
    assert slow_start_share(0.0) == slow_start_share(3.0) == 0.1
    assert slow_start_share(15.0) == 0.5
    assert slow_start_share(30.0) == 1.0
    made = selection(pool(3))
    made.update(pool(4), 1.0)
    assert Counter(picks(made, 310, 1.0))["s0003"] == pytest.approx(10, abs=1)
    made.update(pool(4), 16.0)
    assert Counter(picks(made, 350, 16.0))["s0003"] == pytest.approx(50, abs=1)


def test_a_pool_that_starts_as_a_whole_is_even() -> None:
    made = selection([row._replace(age=1.0) for row in pool(3)])
    assert Counter(picks(made, 9)) == {f"s{index:04}": 3 for index in range(3)}


def test_who_failed_before_is_passed_over() -> None:
    made = selection(pool(3))
    assert {made.pick(0.0, {"s0000", "s0001"}).id for _ in range(9)} == {"s0002"}
    assert made.pick(0.0, {"s0000", "s0001", "s0002"}).id


def test_silence_excludes_unless_everybody_is_silent() -> None:
    rows = [row._replace(silence=3.5) for row in pool(2)]
    made = selection([*rows, reading("live")])
    assert set(picks(made, 4)) == {"live"}
    made = selection(rows)
    assert made.panic
    assert set(picks(made, 4)) == {"s0000", "s0001"}
    with pytest.raises(NoAvailableServersError, match="2 without a heartbeat"):
        selection(rows, strict=True).pick(0.0)


def test_silence_while_redis_was_away_is_forgiven() -> None:
    made = selection(pool(3))
    made.update([row._replace(silence=9.0 - index) for index, row in enumerate(pool(3))], 9.0, 9.0)
    assert len(made.eligible) == 3


def test_counts_are_told_once_and_can_be_given_back() -> None:
    made = selection(pool(1))
    made.pick(0.0, followed=True)
    made.pick(0.0, followed=True)
    made.finish("s0000", 0.5, False, 0.5, followed=True)
    told = made.take_counts()
    assert told == {"s0000": (2, 1, 1, 1, 0.5)}
    assert made.take_counts() == {}
    made.give_back(told)
    made.abandon("s0000")
    assert made.take_counts() == {"s0000": (2, 0, 1, 1, 0.5)}


def test_load_is_the_mean_of_ten_seconds_with_hysteresis() -> None:
    view = LoadView(LoadLimits())

    def judge(cpu: float, now: float) -> bool:
        return view.judge("a", Load(cpu, None, None), now).overloaded

    assert not judge(50.0, 0.0)
    assert not judge(100.0, 1.0)
    assert judge(100.0, 12.0)
    assert judge(75.0, 60.0)
    assert not judge(60.0, 120.0)
    assert not judge(75.0, 180.0)


def test_an_unknown_policy_names_those_there_are() -> None:
    with pytest.raises(ValueError, match="round_robin, weighted, p2c, p2c_ewma"):
        make_policy("fastest", random.random)
