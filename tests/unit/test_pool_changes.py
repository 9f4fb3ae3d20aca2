"""What would follow of a change, in words; by pools that are made up."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from perftui.pool_changes import (
    OWN_WEIGHT,
    WARNING,
    Change,
    apply,
    forecast,
    leaves_none,
    weight_of,
)
from perftui.snapshot import Pool, PoolAdvice, PoolServer, PoolThresholds

replace = msgspec.structs.replace


def server(name: str, **more: Any) -> PoolServer:
    made = PoolServer(
        id=name,
        address="10.0.0.1:80",
        state="ready",
        reason="",
        weight=1,
        cpu_usage=40.0,
        memory_usage=30.0,
        requests_per_second=100.0,
        in_flight=1,
        picks=10,
        last_seen=0.5,
        overloaded=False,
        eligible=True,
    )
    return replace(made, **more)


def pool(*servers: PoolServer, **more: Any) -> Pool:
    thresholds = PoolThresholds(80.0, 90.0, 1000.0)
    return replace(Pool("web", servers, thresholds=thresholds), **more)


def change(*names: str, state: str | None = "drain", **more: Any) -> Change:
    made = Change("web", "redis", "", names, state, None, "", "ann@desk")
    return made._replace(**more)


THREE = pool(server("a"), server("b"), server("c"))


def test_how_many_are_left_and_what_they_carry() -> None:
    assert forecast(THREE, change("a")) == (
        "leaves 2 of 3 servers eligible, now 3",
        "each of the 2 would get 1.5 times its requests",
    )


def test_too_much_for_those_that_stay_is_a_warning() -> None:
    busy = pool(server("a", cpu_usage=60.0), server("b", cpu_usage=62.0))
    told = forecast(busy, change("a"))
    assert told[-1] == f"{WARNING}b would get 2 times its requests: cpu about 124 % > 80 %"


def test_none_left() -> None:
    told = forecast(THREE, change("a", "b", "c", state="maint"))
    assert told[0].startswith(WARNING)
    assert "no server is left" in told[0]
    assert leaves_none(THREE, change("a", "b", "c"))
    assert not leaves_none(THREE, change("a", "b"))
    drained = pool(server("a", state="drain", eligible=False))
    assert not leaves_none(drained, change("a", state="maint"))


def test_fewer_than_the_pool_should_have() -> None:
    advice = PoolAdvice(3, 3, "", "", None, None, "", "combined", 3, 10, 1.0)
    told = forecast(replace(THREE, advice=advice), change("a"))
    assert (
        told[0]
        == f"{WARNING}leaves 2 of 3 servers eligible, now 3; the pool should have 3 at least"
    )


def test_panic_is_told_beforehand() -> None:
    over = [server(name, overloaded=True, eligible=False) for name in "cdef"]
    told = forecast(pool(server("a"), server("b"), *over), change("a"))
    assert any("fewer than half of the 5 live servers" in line for line in told)


def test_already_so_is_said() -> None:
    there = pool(server("a", state="drain", eligible=False, decided="drain"), server("b"))
    assert "a is draining already" in forecast(there, change("a"))


def test_ready_does_not_wake_the_dead() -> None:
    silent = pool(server("a", state="down", eligible=False), server("b"))
    told = forecast(silent, change("a", state="ready"))
    assert any("a is silent" in line for line in told)
    assert "leaves 1 of 2 servers eligible, now 1" in told


def test_weights_tell_the_shares() -> None:
    told = forecast(THREE, change("a", state=None, weights={"a": 2}))
    assert told == ("a would get 50 % of the picks, now 33 %",)
    none = forecast(THREE, change("a", state=None, weights={"a": 0}))
    assert f"{WARNING}a would get no requests with weight 0" in none


def test_unknown_servers_and_low_levels_are_named() -> None:
    told = forecast(THREE, change("x"))
    assert told[0] == f"{WARNING}pool web has no server x"
    proxy = replace(THREE, origin="haproxy", endpoint="/s", level="operator")
    assert "has level operator and will refuse" in forecast(proxy, change("a"))[0]


@pytest.mark.parametrize(
    ("text", "origin", "weight"),
    [("3", "redis", 3), ("+2", "redis", 3), ("-5", "redis", 0), ("own", "redis", OWN_WEIGHT),
     ("+999", "haproxy", 256)],
)  # fmt: skip
def test_weights_are_understood(text: str, origin: str, weight: int) -> None:
    assert weight_of(text, server("a"), origin) == weight


@pytest.mark.parametrize(("text", "origin"), [("x", "redis"), ("", "redis"), ("257", "haproxy")])
def test_weights_that_cannot_be(text: str, origin: str) -> None:
    with pytest.raises(ValueError, match="weight is"):
        weight_of(text, server("a"), origin)


def test_refusals_are_outcomes() -> None:
    for url, told in (
        ("", "no Redis is named"),
        ("http://x", "redis"),
        ("redis://127.0.0.1:1", "127.0.0.1:1"),
    ):
        (outcome,) = apply(change("a"), url, timeout=2.0)
        assert not outcome.ok
        assert told in outcome.answer
    (proxy,) = apply(change("a", origin="haproxy", endpoint="/nowhere/s"), "")
    assert not proxy.ok
    assert "/nowhere/s" in proxy.answer
