"""Advice on the size of a pool, given again and again by one of all that could."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from perftui.pool.config import ScalingConfig
from perftui.pool.errors import PoolError
from perftui.pool.executors import Executor, NoExecutor
from perftui.pool.scaling import ScalingAdvice, ScalingPolicy, ServerReading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perftui.pool.advice_metrics import AdviceMetrics
    from perftui.pool.registry import PoolRegistry

LEASE_INTERVALS = 1.8
"""Intervals that an adviser's right lasts: who is gone is followed within two of them."""

_log = logging.getLogger("perftui.pool")


class ScalingAdvisor:
    """Advises on the size of a pool every `interval` seconds, and has it carried out if asked.

    Of many advisers of one pool, in whatever process, one advises; when it is gone another one
    goes on within two intervals, from the last advice it gave. What it advises is published to
    Redis (`PoolRegistry.advice`), recorded as an event of kind `scale` whenever the number wanted
    changes, and exported to Prometheus through `metrics` where they are given. It does nothing
    while nothing is known: servers that do not report, or Redis away. `executor` is told of every
    advice to change the pool, and never of the same one twice within the config's `up_cooldown`.
    """

    def __init__(
        self,
        registry: PoolRegistry,
        config: ScalingConfig | None = None,
        executor: Executor | None = None,
        interval: float | None = None,
        *,
        metrics: AdviceMetrics | None = None,
    ) -> None:
        self._registry = registry
        self._config = config or ScalingConfig()
        self._interval = float(self._config.advice["interval"] if interval is None else interval)
        if not self._interval > 0:
            raise ValueError(f"interval: {self._interval:g} is not a number of seconds above 0")
        self._executor: Executor = executor or NoExecutor()
        self._policy = ScalingPolicy(self._config)
        self._holder = secrets.token_hex(8)
        self._metrics = metrics
        self._task: asyncio.Task[None] | None = None
        self._execution: asyncio.Task[None] | None = None
        self._leads = False
        self._ended = False
        self._published: tuple[float, int] | None = None
        self._executed: tuple[float, int] | None = None
        self._trouble = ""

    async def __aenter__(self) -> ScalingAdvisor:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def leads(self) -> bool:
        """Whether this adviser is the one that advises now."""
        return self._leads

    async def start(self) -> None:
        """Begin to advise, in a task of the running event loop; nothing happens if it has begun."""
        if self._task is None or self._task.done():
            self._ended = False
            self._task = asyncio.create_task(self._run(), name="perftui scaling advisor")

    async def stop(self) -> None:
        """End, let another adviser follow at once, and end what the executor is doing."""
        # Not by cancellation alone: one that meets the very end of an answer can be lost.
        self._ended = True
        for task in (self._task, self._execution):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        self._task = self._execution = None
        if self._leads:
            self._leads = False
            with contextlib.suppress(PoolError):
                await self._registry.leave_advice(self._holder)

    async def advise(self) -> ScalingAdvice | None:
        """Advise once and return what was advised, None if another adviser leads.

        Raises PoolError when Redis does not answer or refuses.
        """
        held = await self._registry.hold_advice(self._holder, LEASE_INTERVALS * self._interval)
        if not held:
            self._leads = False
            return None
        if not self._leads:
            self._leads = True
            self._policy = ScalingPolicy(self._config)
            await self._resume()
        advice = self._policy.advise(readings(await self._registry.servers()), time.monotonic())
        await self._publish(advice)
        return advice

    async def _run(self) -> None:
        while not self._ended:
            started = time.monotonic()
            try:
                advice = await self.advise()
            except PoolError as error:
                self._leads = False
                self._complain(str(error))
            except Exception:  # A broken reading must not end the advice for good.
                self._leads = False
                _log.exception("advice on pool %s failed", self._registry.pool)
            else:
                self._complain("")
                if advice is not None:
                    self._carry_out(advice)
            await asyncio.sleep(max(0.05, self._interval - (time.monotonic() - started)))

    async def _resume(self) -> None:
        """Go on from what the adviser before has said."""
        before = await self._registry.advice()
        if before is None:
            return
        advice = advice_of(before)
        age, changed = before.get("age"), before.get("changed_age")
        if advice is not None and isinstance(age, int | float):
            since = float(age) + (float(changed) if isinstance(changed, int | float) else 0.0)
            self._policy.resume(advice, since, time.monotonic())
            self._published = (time.monotonic() - since, advice.want)

    async def _publish(self, advice: ScalingAdvice) -> None:
        config = self._config
        now = time.monotonic()
        new = self._published is None or self._published[1] != advice.want
        changed = now if new or self._published is None else self._published[0]
        told: dict[str, Any] = {
            "current": advice.current,
            "want": advice.want,
            "reason": advice.reason,
            "metric": advice.metric,
            "value": advice.value,
            "threshold": advice.threshold,
            "held_by": advice.held_by,
            "policy": config.advice["policy"],
            "min_instances": config.min_instances,
            "max_instances": config.max_instances,
            "by": self._holder,
            "changed_age": round(now - changed, 3),
        }
        if await self._registry.publish_advice(
            told, self._holder, advice.reason if new and advice.acts else "", "scaling advisor"
        ):
            self._published = (changed, advice.want)
            if self._metrics is not None:
                self._metrics.show(self._registry.pool, advice, config)
        else:
            self._leads = False

    def _carry_out(self, advice: ScalingAdvice) -> None:
        """Have an advice executed, one at a time, in a task of its own."""
        if not advice.acts or isinstance(self._executor, NoExecutor):
            return
        if self._execution is not None and not self._execution.done():
            return
        now = time.monotonic()
        cooldown = float(self._config.advice["up_cooldown"])
        if self._executed is not None:
            at, want = self._executed
            if want == advice.want and now - at < cooldown:
                return
        self._executed = (now, advice.want)
        self._execution = asyncio.create_task(self._execute(advice), name="perftui scaling")

    async def _execute(self, advice: ScalingAdvice) -> None:
        try:
            said = await self._executor.execute(self._registry.pool, advice)
            kind = "scaled"
        except Exception as error:
            said = f"{advice.current} -> {advice.want}: {error}"
            kind = "scale-failed"
            _log.warning("scaling of pool %s failed: %s", self._registry.pool, error)
        with contextlib.suppress(PoolError):
            await self._registry.record_event(kind, "", said, "scaling advisor")

    def _complain(self, trouble: str) -> None:
        """Tell of trouble once, and of its end."""
        if trouble and not self._trouble:
            _log.warning("no advice on pool %s: %s", self._registry.pool, trouble)
        elif self._trouble and not trouble:
            _log.info("advice on pool %s goes on", self._registry.pool)
        self._trouble = trouble


def readings(servers: list[dict[str, Any]]) -> list[ServerReading]:
    """Return the loads of the servers that should take requests, as `PoolRegistry.servers` has it.

    Those that an operator took out, that are leaving or that are down are not counted; one that
    is silent for a moment is, with nothing known of its load.
    """
    found: list[ServerReading] = []
    for server in servers:
        if server["state"] in ("drain", "maint", "down") or server.get("leaving"):
            continue
        if server["state"] == "stale":
            found.append(ServerReading(server["id"], None, None, None))
            continue
        found.append(
            ServerReading(
                server["id"],
                _first(server, "smoothed_cpu", "cpu_usage"),
                _first(server, "smoothed_memory", "memory_usage"),
                _first(server, "smoothed_requests", "requests_per_second"),
            )
        )
    return found


def advice_of(told: Mapping[str, Any]) -> ScalingAdvice | None:
    """Return published advice, None for what cannot be read."""
    current, want = told.get("current"), told.get("want")
    if not isinstance(current, int) or not isinstance(want, int):
        return None
    value, threshold = told.get("value"), told.get("threshold")
    return ScalingAdvice(
        current,
        want,
        str(told.get("reason", "")),
        str(told.get("metric", "")),
        value if isinstance(value, int | float) else None,
        threshold if isinstance(threshold, int | float) else None,
        str(told.get("held_by", "")),
    )


def _first(server: Mapping[str, Any], *names: str) -> float | None:
    for name in names:
        value = server.get(name)
        if isinstance(value, int | float):
            return float(value)
    return None
