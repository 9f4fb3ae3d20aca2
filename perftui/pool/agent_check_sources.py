"""Where an agent check knows its server from: measured here, or the pool in Redis."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Protocol

from perftui.pool.agent_check_answer import CheckReading
from perftui.pool.agent_check_machine import MachineShare
from perftui.pool.eligibility import DEFAULT_RULES, EligibilityRules
from perftui.pool.registry import PoolRegistry
from perftui.pool.server_usage import ServerUsage

LIMITS_EVERY = 10.0
"""Seconds after which the pool's thresholds are read anew."""


class CheckSource(Protocol):
    """Says how the server fares; whatever it raises means that it cannot say so now."""

    async def read(self) -> CheckReading:
        """Return the newest reading."""
        ...

    async def aclose(self) -> None:
        """Close what it has open."""
        ...


class LocalSource:
    """Measures here: the container or machine, or what `usage` returns, such as a ProcessShare.

    `in_flight` and `requests_per_second` are asked where they are given. Loads are smoothed as in
    the pool, by `rules`.
    """

    def __init__(
        self,
        usage: Callable[[], ServerUsage] | None = None,
        *,
        in_flight: Callable[[], int | None] | None = None,
        requests_per_second: Callable[[], float | None] | None = None,
        rules: EligibilityRules = DEFAULT_RULES,
    ) -> None:
        self._usage = usage or MachineShare()
        self._in_flight = in_flight
        self._requests = requests_per_second
        self._rules = rules
        self._smooth: dict[str, float] = {}
        self._at = time.monotonic()

    async def read(self) -> CheckReading:
        """Return the loads, smoothed."""
        usage = self._usage()
        now = time.monotonic()
        elapsed, self._at = now - self._at, now
        requests = None if self._requests is None else self._requests()
        return CheckReading(
            self._smoothed("cpu", usage.cpu, elapsed),
            self._smoothed("memory", usage.memory, elapsed),
            self._smoothed("requests", requests, elapsed),
            self._rules.cpu_threshold,
            self._rules.memory_threshold,
            self._rules.request_threshold,
            in_flight=None if self._in_flight is None else self._in_flight(),
        )

    async def aclose(self) -> None:
        """Nothing is open."""

    def _smoothed(self, name: str, value: float | None, elapsed: float) -> float | None:
        if value is None:
            return self._smooth.get(name)
        before = self._smooth.get(name)
        if before is not None and self._rules.smoothing > 0:
            value = before + (value - before) * -math.expm1(-elapsed / self._rules.smoothing)
        self._smooth[name] = value
        return value


class RegistrySource:
    """Says what the pool in Redis says of one server, whatever its size."""

    def __init__(self, registry: PoolRegistry, server: str) -> None:
        self._registry = registry
        self._server = server
        self._rules = registry.rules
        self._rules_due = 0.0

    async def read(self) -> CheckReading:
        """Return the server's state; raises PoolError when Redis cannot be read."""
        now = time.monotonic()
        if now >= self._rules_due:
            self._rules = await self._registry.limits()
            self._rules_due = now + LIMITS_EVERY
        found = await self._registry.server(self._server)
        if found is None:
            return CheckReading(unknown=f"no {self._server} in the pool {self._registry.pool}")
        reason: str = found["reason"]
        admin = "drain" if found["leaving"] and found["admin"] == "ready" else found["admin"]
        own, weight = found["own_weight"], found["weight"]
        return CheckReading(
            _first(found["smoothed_cpu"], found["cpu_usage"]),
            _first(found["smoothed_memory"], found["memory_usage"]),
            _first(found["smoothed_requests"], found["requests_per_second"]),
            self._rules.cpu_threshold,
            self._rules.memory_threshold,
            self._rules.request_threshold,
            admin,
            reason,
            # A server that began with weight 0 has nothing that a share could be of.
            weight / own if own else float(weight > 0),
            found["in_flight"],
            reason if found["state"] in ("stale", "down") else "",
        )

    async def aclose(self) -> None:
        """Close the connections to Redis."""
        await self._registry.close_here()


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)
