"""The situations the demo can bring about, each by doing the real thing to a real process."""

from __future__ import annotations

import msgspec

WORKERS = ("web-1", "web-2", "web-3")
"""Names of the shop's worker processes, which are their ids in the pool too."""


class Scenario(msgspec.Struct, frozen=True):
    """One situation: what happens, and what a watcher should see.

    `leaking`, `burning`, `drained` and `dead` name the worker that is hit; the rest is true of all
    of them.
    """

    name: str
    summary: str
    expect: str
    slow_checkout: bool = False
    leaking: str = ""
    stampede: bool = False
    burning: str = ""
    drained: str = ""
    dead: str = ""
    redis: bool = True


SCENARIOS = (
    Scenario(
        "steady",
        "Ordinary business: load rises and falls, with short bursts.",
        "No alerts; overall hit ratios climb above 0.9; all servers take their share.",
    ),
    Scenario(
        "slow-operation",
        "The fraud check of a checkout lost its limit and compares with every order ever placed.",
        "checkout takes many times the mean of the operations; check_fraud leads by total share.",
        slow_checkout=True,
    ),
    Scenario(
        "memory-leak",
        f"{WORKERS[0]} keeps every page it has served.",
        f"The memory of {WORKERS[0]} grows to 90 % of its limit, then it leaves the pool.",
        leaking=WORKERS[0],
    ),
    Scenario(
        "cache-stampede",
        "All cached entries expire at the same moments and everybody loads them anew.",
        "Hit ratios fall, Redis expirations rise, operations take several times as long.",
        stampede=True,
    ),
    Scenario(
        "overloaded-server",
        f"{WORKERS[1]} rebuilds its recommendations over and over.",
        f"{WORKERS[1]} passes 80 % CPU and gets no more requests; the others take over its share.",
        burning=WORKERS[1],
    ),
    Scenario(
        "drained-server",
        f"An operator drains {WORKERS[2]} for a deployment.",
        f"{WORKERS[2]} ends its requests and gets no more; back, it starts with a small share.",
        drained=WORKERS[2],
    ),
    Scenario(
        "dead-server",
        f"{WORKERS[2]} is killed and stays dead until the next scenario.",
        f"{WORKERS[2]} is stale after 3 s and down after 30 s; back, it starts with a small share.",
        dead=WORKERS[2],
    ),
    Scenario(
        "redis-down",
        "Redis is killed and stays down until the next scenario.",
        "The cache pane says why it is empty; the shop goes on with its database.",
        redis=False,
    ),
)
"""All scenarios in the order in which they are offered; the first is the default."""

_BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def scenario_named(name: str) -> Scenario:
    """Return the scenario of that name; raises ValueError that lists the names there are."""
    try:
        return _BY_NAME[name]
    except KeyError:
        known = ", ".join(_BY_NAME)
        raise ValueError(f"there is no scenario {name!r}; there are {known}") from None


def scenario_after(name: str) -> Scenario:
    """Return the scenario that follows the named one, the first after the last."""
    position = SCENARIOS.index(scenario_named(name))
    return SCENARIOS[(position + 1) % len(SCENARIOS)]
