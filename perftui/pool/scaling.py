"""How many servers a pool should have, and why, from what its servers say of their load."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from math import floor
from typing import NamedTuple

from perftui.pool.config import ScalingConfig
from perftui.pool.scaling_need import (
    ROUNDING,
    SATURATED,
    Need,
    ServerReading,
    enough_for,
    needs_of,
    unknown_words,
    wanted_by,
    whole_up,
)

__all__ = ["ScalingAdvice", "ScalingPolicy", "ServerReading"]

GAP = 4.0
"""Intervals without a reading after which nothing is known of the time before."""


class ScalingAdvice(NamedTuple):
    """How many servers there are and should be, and in words why.

    `metric` is `cpu`, `memory` or `requests` where one of them decides, with its mean over the
    servers as `value`. `held_by` says what keeps the pool as it is although the load, or the lack
    of any, asks for something: `data`, `tolerance`, `cooldown`, `stabilisation`, `projection`,
    `memory`, `min_instances` or `max_instances`; empty when nothing does.
    """

    current: int
    want: int
    reason: str
    metric: str = ""
    value: float | None = None
    threshold: float | None = None
    held_by: str = ""

    @property
    def acts(self) -> bool:
        """Whether the pool should be changed."""
        return self.want != self.current


class _MemoryGrowth(NamedTuple):
    """A growth for memory alone: when, from and to how many servers, at what mean."""

    at: float
    current: int
    want: int
    mean: float


class ScalingPolicy:
    """Advises on the size of one pool; takes the time from whoever asks and never looks itself.

    `combined` is target tracking as of the Kubernetes HorizontalPodAutoscaler (its documentation,
    "Algorithm details" and "Stabilization window"): the metric that is most above its threshold
    decides, one advice grows and shrinks the pool by no more than the factors of the config, it
    grows again only after a cooldown, and it shrinks only to what was enough all through the
    stabilisation window and leaves every metric below the safe share of its threshold. A server
    that says nothing counts as idle when the pool grows and forbids that it shrinks.

    `step` is the literal rule: times the up factor above any threshold, times the down factor
    when all metrics are below their threshold times that factor, without cooldown or window.

    Neither does anything without data. Not safe between threads.
    """

    def __init__(self, config: ScalingConfig | None = None) -> None:
        self.config = config or ScalingConfig()
        self._enough: deque[tuple[float, int]] = deque()
        self._watched_since: float | None = None
        self._last_seen: float | None = None
        self._decided: tuple[float, int] | None = None
        self._size = 0
        self._advised: ScalingAdvice | None = None
        self._memory: _MemoryGrowth | None = None

    def resume(self, advice: ScalingAdvice, age: float, now: float) -> None:
        """Take an advice that another policy gave `age` seconds ago for an own one."""
        if advice.acts:
            self._decided = (now - max(0.0, age), advice.want)
            self._advised = advice
            self._size = advice.current

    def advise(self, readings: Iterable[ServerReading], now: float) -> ScalingAdvice:
        """Return the advice for servers that should take requests; `now` is monotonic seconds."""
        servers = tuple(readings)
        if not servers:
            self._forget()
            return ScalingAdvice(0, 0, "no server reports: nothing is known", held_by="data")
        needs = needs_of(servers, self.config)
        if not any(need.known for need in needs):
            self._forget()
            count = len(servers)
            reason = f"{count}: no server says anything of its load"
            return ScalingAdvice(count, count, reason, held_by="data")
        if self.config.advice["policy"] == "step":
            return self._step(len(servers), needs)
        return self._combined(len(servers), needs, now)

    # The literal rule.

    def _step(self, current: int, needs: tuple[Need, ...]) -> ScalingAdvice:
        config = self.config
        most = max(needs, key=lambda need: need.ratio)
        if most.mean > most.threshold:
            factor = config.scale_up_factor
            want, bound = self._clamp(whole_up(current * factor))
            return self._bounded(current, want, bound, most, f"{most.words('>')}; x{factor:g}")
        factor = config.scale_down_factor
        if all(need.mean < need.threshold * factor for need in needs):
            unknown = unknown_words(current, needs)
            if unknown:
                return ScalingAdvice(current, current, f"{current}: {unknown}", held_by="data")
            want, bound = self._clamp(floor(current * factor + ROUNDING))
            words = f"{most.words('<', factor)}; x{factor:g}"
            return self._bounded(current, want, bound, most, words)
        want, bound = self._clamp(current)
        return self._bounded(current, want, bound, most, most.words("<="))

    # The combined rule.

    def _combined(self, current: int, needs: tuple[Need, ...], now: float) -> ScalingAdvice:
        unknown = unknown_words(current, needs)
        self._remember(current, needs, now, complete=not unknown)
        standing = self._standing(current, needs, now)
        if standing is not None:
            return standing
        advice = self._grow(current, needs, now) or self._shrink(current, needs, now, unknown)
        if advice.acts:
            self._decided = (now, advice.want)
            self._advised = advice
            if advice.metric == "memory" and advice.want > current:
                mean = advice.value or 0.0
                self._memory = _MemoryGrowth(now, current, advice.want, mean)
        return advice

    def _remember(
        self, current: int, needs: tuple[Need, ...], now: float, *, complete: bool
    ) -> None:
        """Note how many servers would be enough, and that the pool has changed."""
        advice = self.config.advice
        if self._last_seen is not None and now - self._last_seen > GAP * advice["interval"]:
            self._enough.clear()
            self._watched_since = None
        self._last_seen = now
        if self._watched_since is None:
            self._watched_since = now
        # Where something is not known no fewer than there are can be said to be enough.
        enough = max(enough_for(current, need, advice["safety"]) for need in needs)
        self._enough.append((now, enough if complete else max(enough, current)))
        while self._enough and now - self._enough[0][0] > advice["down_stabilisation"]:
            self._enough.popleft()
        if self._size and current != self._size:
            decided = self._decided
            if decided is None or not _between(self._size, current, decided[1]):
                # Somebody else changed it, which takes as long to have an effect.
                self._decided = (now, current)
        self._size = current

    def _standing(self, current: int, needs: tuple[Need, ...], now: float) -> ScalingAdvice | None:
        """Return the last advice while it is still being followed."""
        if self._decided is None or self._advised is None:
            return None
        at, want = self._decided
        advised = self._advised
        if want == current or want != advised.want or now - at >= self.config.advice["up_cooldown"]:
            return None
        if (
            want < current
            and max(wanted_by(current, need, self.config) for need in needs) > current
        ):
            # The load came back while the pool was shrinking.
            return None
        waited = f"advised {now - at:.0f} s ago"
        why = advised.reason.partition(": ")[2].partition("; advised ")[0]
        return advised._replace(current=current, reason=f"{current} -> {want}: {why}; {waited}")

    def _grow(self, current: int, needs: tuple[Need, ...], now: float) -> ScalingAdvice | None:
        config = self.config
        tolerance = config.advice["tolerance"]
        over = [need for need in needs if need.mean > need.threshold]
        if current < config.min_instances:
            words = f"min_instances {config.min_instances}"
            most = max(needs, key=lambda need: need.ratio)
            wanted = max(config.min_instances, self._limited(current, over)[0])
            want, _ = self._clamp(wanted)
            return _changed(current, want, words, most if over else None)
        held: ScalingAdvice | None = None
        for need in sorted(over, key=lambda need: wanted_by(current, need, config), reverse=True):
            if need.ratio <= 1.0 + tolerance and need.mean < SATURATED:
                words = f"{need.words('>')}, within {tolerance * 100:g} % of it"
                held = held or _held(current, words, "tolerance", need)
            elif current >= config.max_instances:
                if current == config.max_instances:
                    words = f"{need.words('>')}, but max_instances is {config.max_instances}"
                    return _held(current, words, "max_instances", need)
            elif (left := self._cooldown_left(now)) > 0:
                words = f"{need.words('>')}; grows again in {left:.0f} s"
                return _held(current, words, "cooldown", need)
            elif need.metric == "memory" and (words := self._memory_holds(current, need, now)):
                held = held or _held(current, words, "memory", need)
            else:
                wanted, words = self._limited(current, [need])
                want, bound = self._clamp(wanted)
                return self._bounded(current, want, bound, need, words)
        return held

    def _limited(self, current: int, over: list[Need]) -> tuple[int, str]:
        """Return what the metrics want as far as one step may go, and why."""
        if not over:
            return current, ""
        config = self.config
        need = max(over, key=lambda need: wanted_by(current, need, config))
        wanted = wanted_by(current, need, config)
        most = max(current + 1, whole_up(current * config.scale_up_factor))
        limit = f"; at most x{config.scale_up_factor:g}" if wanted > most else ""
        return min(wanted, most), need.words(">") + limit

    def _memory_holds(self, current: int, need: Need, now: float) -> str:
        """Return why memory alone does not make the pool grow again, empty when it does."""
        last = self._memory
        pause = self.config.advice["memory_cooldown"]
        if last is None or now - last.at >= pause:
            return ""
        # Servers rarely use less memory because there are more of them. Where memory goes with the
        # load the mean falls as the servers grow in number; half of that is taken as help.
        if current > last.current:
            helped = last.mean * (1.0 + last.current / current) / 2.0
            if need.mean <= helped:
                return ""
        left = pause - (now - last.at)
        grown = f"{last.current} -> {last.want} servers"
        return f"{need.words('>')}, but {grown} did not lower it; tried again in {left:.0f} s"

    def _shrink(
        self, current: int, needs: tuple[Need, ...], now: float, unknown: str
    ) -> ScalingAdvice:
        config = self.config
        safety = config.advice["safety"]
        most = max(needs, key=lambda need: need.ratio)
        if unknown:
            return ScalingAdvice(current, current, f"{current}: {unknown}", held_by="data")
        least = max(whole_up(current * config.scale_down_factor), 1)
        if current > config.max_instances:
            want = max(least, config.max_instances)
            words = f"max_instances {config.max_instances}"
            return _changed(current, want, words, None)
        decides = max(needs, key=lambda need: enough_for(current, need, safety))
        enough = enough_for(current, decides, safety)
        if enough >= current:
            words = most.words("<=" if most.mean <= most.threshold else ">")
            if current > config.min_instances and most.ratio < safety:
                fewer = most.ratio * current / (current - 1) * most.threshold
                words += f"; {current - 1} servers would be at {fewer:.0f}{most.unit}"
                return _held(current, words, "projection", most)
            return _held(current, words, "", most)
        if current <= config.min_instances:
            words = f"{most.words('<')}; min_instances {config.min_instances}"
            return _held(current, words, "min_instances", most)
        window = config.advice["down_stabilisation"]
        watched = now - (now if self._watched_since is None else self._watched_since)
        if watched < window:
            words = f"{enough} would be enough; shrinks after {window - watched:.0f} s of that"
            return _held(current, words, "stabilisation", decides)
        needed = max(count for _, count in self._enough)
        if needed >= current:
            words = f"{enough} would be enough, {needed} were needed in the last {window:.0f} s"
            return _held(current, words, "stabilisation", decides)
        want, bound = self._clamp(max(needed, least))
        # The rule of the window: no shrinking while a growth is still having its effect.
        if (left := self._cooldown_left(now)) > 0:
            words = f"{needed} would be enough; changes again in {left:.0f} s"
            return _held(current, words, "cooldown", decides)
        limit = f"; at most x{config.scale_down_factor:g}" if least > needed else ""
        after = decides.mean * current / want
        words = f"{decides.words('<', safety)}, then {after:.0f}{decides.unit}{limit}"
        return self._bounded(current, want, bound, decides, words)

    def _cooldown_left(self, now: float) -> float:
        if self._decided is None:
            return 0.0
        return max(0.0, float(self.config.advice["up_cooldown"]) - (now - self._decided[0]))

    def _clamp(self, want: int) -> tuple[int, str]:
        """Return it within the bounds of the config, and the bound that changed it."""
        low, high = self.config.min_instances, self.config.max_instances
        if want < low:
            return low, "min_instances"
        return (high, "max_instances") if want > high else (want, "")

    def _bounded(
        self, current: int, want: int, bound: str, need: Need, words: str
    ) -> ScalingAdvice:
        if bound:
            words += f"; {bound} {want}"
        if want == current:
            return _held(current, words, bound, need)
        return _changed(current, want, words, need)

    def _forget(self) -> None:
        """Have what was enough before a time without data count for nothing."""
        self._enough.clear()
        self._watched_since = None


def _held(current: int, words: str, held_by: str, need: Need) -> ScalingAdvice:
    return ScalingAdvice(
        current, current, f"{current}: {words}", need.metric, need.mean, need.threshold, held_by
    )


def _changed(current: int, want: int, words: str, need: Need | None) -> ScalingAdvice:
    advice = ScalingAdvice(current, want, f"{current} -> {want}: {words}")
    if need is None:
        return advice
    return advice._replace(metric=need.metric, value=need.mean, threshold=need.threshold)


def _between(before: int, now: int, target: int) -> bool:
    """Tell whether a pool is on its way from one size to another."""
    return before < now <= target or target <= now < before
