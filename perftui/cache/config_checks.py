"""Checks of single settings of a cache; each message names the setting and what it may be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf
from typing import Any, NoReturn


class CacheConfigError(ValueError):
    """A setting of a cache is unknown or has a wrong value; names the setting and the remedy."""


class FrozenSettings(dict[str, Any]):
    """A dict that cannot be changed, since the cache that was made from it would not notice."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError(
            "the settings of a cache are frozen: make another, as in "
            "CacheConfig(settings={'default_ttl': 60}, backends={'redis': {'port': 6380}})"
        )

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type[FrozenSettings], tuple[dict[str, Any]]]:
        return FrozenSettings, (dict(self),)


def merged(
    given: Mapping[str, Any] | None, defaults: Mapping[str, Any], known: Iterable[str], name: str
) -> dict[str, Any]:
    """Return the defaults with what was given in their place; unknown names are refused."""
    if given is None:
        return dict(defaults)
    if not isinstance(given, Mapping):
        raise CacheConfigError(f"{name} is of type {type(given).__name__}, it must be a dict")
    for key in given:
        if key not in known:
            raise CacheConfigError(_unknown(key, known, name))
    return {**defaults, **given}


def number(
    value: object, name: str, *, above: float = 0.0, least: float | None = None, most: float = inf
) -> float:
    """Return a finite number of seconds, above a bound or not less than one."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and -inf < value < inf
    if good:
        assert isinstance(value, int | float)
        if (value > above if least is None else value >= least) and value <= most:
            return float(value)
    low = f"above {above:,.10g}" if least is None else f"{least:,.10g} or more"
    high = "" if most == inf else f" and at most {most:,.10g}"
    raise CacheConfigError(f"{name} is {shown(value)}, it must be seconds, {low}{high}")


def whole(value: object, name: str, unit: str, least: int = 1) -> int:
    """Return a whole number that is not less than a bound."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise CacheConfigError(
            f"{name} is {shown(value)}, it must be a whole number of {unit}, {least} or more"
        )
    return value


def switch(value: object, name: str) -> bool:
    """Return True or False, and nothing that merely counts as such."""
    if not isinstance(value, bool):
        raise CacheConfigError(f"{name} is {shown(value)}, it must be True or False")
    return value


def choice(value: object, name: str, known: tuple[str, ...]) -> str:
    """Return one of the known words."""
    if not isinstance(value, str) or value not in known:
        raise CacheConfigError(f"{name} is {shown(value)}, it must be one of {', '.join(known)}")
    return value


def text(value: object, name: str) -> str:
    """Return a str; the value is not shown, it may be a secret."""
    if not isinstance(value, str):
        raise CacheConfigError(f"{name} is of type {type(value).__name__}, it must be a str")
    return value


def shown(value: object) -> str:
    """Return the value as an error message can show it, whatever its length."""
    words = repr(value)
    return words if len(words) <= 60 else words[:59] + "…"


def _unknown(key: object, known: Iterable[str], name: str) -> str:
    from perftui.config.errors import closest

    hint = closest(key, known) if isinstance(key, str) else ""
    return (
        f"{name} has no setting {shown(key)}{hint}"
        if hint
        else f"{name} has no setting {shown(key)}; it has {', '.join(known)}"
    )
