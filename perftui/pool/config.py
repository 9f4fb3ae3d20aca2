"""How a pool is balanced and scaled, checked before anything is connected."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, NoReturn

from perftui.cache import config_checks as check

THRESHOLDS: dict[str, float] = {
    "cpu_threshold": 80,
    "memory_threshold": 90,
    "request_threshold": 1000,
}
SCALING: dict[str, float] = {
    "min_instances": 2,
    "max_instances": 10,
    "scale_up_factor": 1.5,
    "scale_down_factor": 0.5,
}
BALANCING: dict[str, float] = {
    "smoothing": 10.0,
    "max_excluded": 0.1,
    "return_ratio": 0.9,
    "slow_start": 30.0,
    "ejection_failures": 5,
    "ejection_time": 30.0,
    "panic_threshold": 0.5,
    "stale_after": 3.0,
    "snapshot_age": 30.0,
}
ADVICE: dict[str, float | str] = {
    "policy": "combined",
    "interval": 15.0,
    "tolerance": 0.1,
    "up_cooldown": 60.0,
    "down_stabilisation": 300.0,
    "safety": 0.9,
    "memory_cooldown": 600.0,
}
SCALING_POLICIES = ("combined", "step")


class ScalingConfigError(ValueError):
    """A setting of a pool is unknown or has a wrong value; names the setting and the remedy."""


class FrozenPoolSettings(dict[str, Any]):
    """A dict that cannot be changed, since whoever works by it would not notice."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError(
            "the settings of a pool are frozen: make another, as in "
            "ScalingConfig(thresholds={'cpu_threshold': 70}, scaling={'max_instances': 20})"
        )

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type[FrozenPoolSettings], tuple[dict[str, Any]]]:
        return FrozenPoolSettings, (dict(self),)


class ScalingConfig:
    """Settings of a pool, frozen; percent, requests per second, seconds and shares of 1.

    What is left out has its default; an unknown name or a value that cannot be raises
    ScalingConfigError, which names the setting.

    `thresholds`, a server is overloaded strictly above any of them: `cpu_threshold` and
    `memory_threshold` in percent, `request_threshold` in requests per second of one server.

    `scaling`: `min_instances` and `max_instances`; one advice grows the pool to at most
    `scale_up_factor` and shrinks it to at least `scale_down_factor` of what it has.

    `balancing`: `smoothing`, the time constant of the load that is compared with the thresholds;
    `max_excluded`, the share of the servers that may be left out for overload or failures (one
    always may); `return_ratio` of a threshold below which an overloaded server comes back;
    `slow_start` after joining; `ejection_failures` in a row that eject a server for
    `ejection_time` times the number of its ejections; `panic_threshold`, the share of eligible
    servers below which all live ones are used; `stale_after` without a heartbeat a server gets
    nothing; `snapshot_age`, how long the last known servers are used while Redis is away.

    `advice`: `policy`, `combined` or `step`; `interval` between two advices; `tolerance`, the
    share of a threshold that the load may be off it before anything changes; `up_cooldown` from
    any change to the next growth; `down_stabilisation`, for how long less must have been enough
    before the pool shrinks; `safety`, the share of a threshold below which the load per server
    must stay after shrinking; `memory_cooldown` between two growths for memory alone.
    """

    __slots__ = ("_advice", "_balancing", "_scaling", "_thresholds")

    def __init__(
        self,
        thresholds: Mapping[str, float] | None = None,
        scaling: Mapping[str, float] | None = None,
        *,
        balancing: Mapping[str, float] | None = None,
        advice: Mapping[str, float | str] | None = None,
    ) -> None:
        self._thresholds = _thresholds(_merged(thresholds, THRESHOLDS, "thresholds"))
        self._scaling = _scaling(_merged(scaling, SCALING, "scaling"))
        self._balancing = _balancing(_merged(balancing, BALANCING, "balancing"))
        self._advice = _advice(_merged(advice, ADVICE, "advice"))

    @property
    def thresholds(self) -> Mapping[str, float]:
        """What a server is overloaded strictly above: percent, percent, requests per second."""
        return self._thresholds

    @property
    def scaling(self) -> Mapping[str, float]:
        """The bounds of the pool and of one step of its size."""
        return self._scaling

    @property
    def balancing(self) -> Mapping[str, float]:
        """How servers are left out and taken back; seconds, shares of 1 and a count."""
        return self._balancing

    @property
    def advice(self) -> Mapping[str, Any]:
        """How advice on the size of the pool is found; seconds, shares of 1 and a word."""
        return self._advice

    @property
    def cpu_threshold(self) -> float:
        """Percent."""
        return float(self._thresholds["cpu_threshold"])

    @property
    def memory_threshold(self) -> float:
        """Percent."""
        return float(self._thresholds["memory_threshold"])

    @property
    def request_threshold(self) -> float:
        """Requests per second of one server."""
        return float(self._thresholds["request_threshold"])

    @property
    def min_instances(self) -> int:
        """The fewest servers that are ever advised."""
        return int(self._scaling["min_instances"])

    @property
    def max_instances(self) -> int:
        """The most servers that are ever advised."""
        return int(self._scaling["max_instances"])

    @property
    def scale_up_factor(self) -> float:
        """What one advice multiplies the pool by at most."""
        return float(self._scaling["scale_up_factor"])

    @property
    def scale_down_factor(self) -> float:
        """What one advice multiplies the pool by at least."""
        return float(self._scaling["scale_down_factor"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ScalingConfig) and self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash(tuple(tuple(sorted(part.items())) for part in self._parts()))

    def __repr__(self) -> str:
        named = (("thresholds", THRESHOLDS), ("scaling", SCALING))
        more = (("balancing", BALANCING), ("advice", ADVICE))
        shown = [
            f"{name}={dict(part)!r}"
            for (name, defaults), part in zip((*named, *more), self._parts(), strict=True)
            if (name, defaults) in named or part != defaults
        ]
        return f"ScalingConfig({', '.join(shown)})"

    def _parts(self) -> tuple[FrozenPoolSettings, ...]:
        return self._thresholds, self._scaling, self._balancing, self._advice


def _thresholds(given: dict[str, Any]) -> FrozenPoolSettings:
    name = "thresholds"
    _number(given, name, "cpu_threshold", "percent", most=100)
    _number(given, name, "memory_threshold", "percent", most=100)
    _number(given, name, "request_threshold", "requests per second")
    return FrozenPoolSettings(given)


def _scaling(given: dict[str, Any]) -> FrozenPoolSettings:
    name = "scaling"
    low = _whole(given, name, "min_instances", "servers")
    high = _whole(given, name, "max_instances", "servers")
    if low > high:
        raise ScalingConfigError(
            f"scaling['min_instances'] is {low}, above scaling['max_instances'], which is {high}"
        )
    _number(given, name, "scale_up_factor", "a factor", above=1)
    _number(given, name, "scale_down_factor", "a factor", below=1)
    return FrozenPoolSettings(given)


def _balancing(given: dict[str, Any]) -> FrozenPoolSettings:
    name = "balancing"
    _number(given, name, "smoothing", "seconds", least=0)
    _number(given, name, "max_excluded", "a share", least=0, most=1)
    _number(given, name, "return_ratio", "a share", most=1)
    _number(given, name, "slow_start", "seconds", least=0)
    _whole(given, name, "ejection_failures", "failures")
    _number(given, name, "ejection_time", "seconds", least=0)
    _number(given, name, "panic_threshold", "a share", least=0, most=1)
    _number(given, name, "stale_after", "seconds")
    _number(given, name, "snapshot_age", "seconds", least=0)
    return FrozenPoolSettings(given)


def _advice(given: dict[str, Any]) -> FrozenPoolSettings:
    name = "advice"
    if given["policy"] not in SCALING_POLICIES:
        raise ScalingConfigError(
            f"advice['policy'] is {check.shown(given['policy'])}, "
            f"it must be one of {', '.join(SCALING_POLICIES)}"
        )
    _number(given, name, "interval", "seconds", least=1)
    _number(given, name, "tolerance", "a share", least=0, below=1)
    _number(given, name, "up_cooldown", "seconds", least=0)
    _number(given, name, "down_stabilisation", "seconds", least=0)
    _number(given, name, "safety", "a share", most=1)
    _number(given, name, "memory_cooldown", "seconds", least=0)
    return FrozenPoolSettings(given)


def _merged(given: Mapping[str, Any] | None, defaults: Mapping[str, Any], name: str) -> Any:
    try:
        return check.merged(given, defaults, defaults, name)
    except check.CacheConfigError as error:
        raise ScalingConfigError(str(error)) from None


def _whole(given: dict[str, Any], part: str, key: str, unit: str) -> int:
    try:
        return check.whole(given[key], f"{part}['{key}']", unit)
    except check.CacheConfigError as error:
        raise ScalingConfigError(str(error)) from None


def _number(
    given: dict[str, Any],
    part: str,
    key: str,
    unit: str,
    *,
    above: float = 0,
    least: float | None = None,
    most: float = inf,
    below: float = inf,
) -> None:
    """Refuse what is not a finite number within the bounds; `unit` is what it counts."""
    value = given[key]
    if isinstance(value, int | float) and not isinstance(value, bool) and -inf < value < inf:
        low_enough = value <= most and value < below
        if low_enough and (value > above if least is None else value >= least):
            return
    low = f"above {above:g}" if least is None else f"{least:g} or more"
    high = (
        f" and at most {most:g}" if most < inf else f" and below {below:g}" if below < inf else ""
    )
    raise ScalingConfigError(
        f"{part}['{key}'] is {check.shown(value)}, it must be {unit}, {low}{high}"
    )
