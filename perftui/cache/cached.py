"""`@cached`: keeps what a function returns, by its arguments."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    from perftui.cache.manager import CacheManager

F = TypeVar("F", bound=Callable[..., Any])
Key: TypeAlias = str | Callable[..., str | bytes]
PLAIN = (str, int, float, bool, bytes, type(None))
"""Types whose values can tell calls apart by themselves, alone or in a tuple or list."""

_default: CacheManager | None = None
_lock = threading.Lock()


def cached(
    ttl: float | None = None, key: Key | None = None, *, cache: CacheManager | None = None
) -> Cached:
    """Return a decorator that keeps what a function returns, for `ttl` seconds.

    `key` is a template over the function's arguments, `"user:{id}"`, or a function of the same
    arguments; by default it is made of module, name and all arguments, which have to be of plain
    types then. `cache` is by default one of the whole process with the default settings.

    For coroutine functions and for plain ones, which may be called from any thread without a
    running event loop. One caller at a time computes a value that is missing, in whatever process;
    see CacheManager.get_or_load. The decorated function has `key_of(*args)`, and `forget(*args)`,
    which removes one value everywhere and is awaited like the function itself.

    Raises TypeError for a generator function, ValueError for a template whose names are no
    arguments.
    """
    return Cached(cache, ttl, key)


class Cached:
    """The decorator; `cached` and `CacheManager.cached` make it."""

    def __init__(self, cache: CacheManager | None, ttl: float | None, key: Key | None) -> None:
        if callable(ttl):
            raise TypeError("write @cached() with parentheses")
        self._cache = cache
        self._ttl = ttl
        self._key = key

    def __call__(self, function: F) -> F:
        """Return the function with the cache before it."""
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{function.__qualname__} yields; what can be kept is a returned value")
        key_of = _namer(function, self._key)
        if inspect.iscoroutinefunction(function):
            return self._around_coroutine(function, key_of)
        return self._around_plain(function, key_of)

    def _around_coroutine(self, function: F, key_of: Callable[..., str | bytes]) -> F:
        @functools.wraps(function)
        async def around(*args: Any, **kwargs: Any) -> Any:
            key = key_of(*args, **kwargs)
            return await self._manager().get_or_load(
                key, lambda: function(*args, **kwargs), self._ttl
            )

        async def forget(*args: Any, **kwargs: Any) -> bool:
            return await self._manager().delete(key_of(*args, **kwargs))

        equipped: F = _equipped(around, key_of, forget)
        return equipped

    def _around_plain(self, function: F, key_of: Callable[..., str | bytes]) -> F:
        @functools.wraps(function)
        def around(*args: Any, **kwargs: Any) -> Any:
            key = key_of(*args, **kwargs)
            return self._manager().sync.get_or_load(
                key, lambda: function(*args, **kwargs), self._ttl
            )

        def forget(*args: Any, **kwargs: Any) -> bool:
            return self._manager().sync.delete(key_of(*args, **kwargs))

        equipped: F = _equipped(around, key_of, forget)
        return equipped

    def _manager(self) -> CacheManager:
        return default_cache() if self._cache is None else self._cache


def default_cache() -> CacheManager:
    """Return the cache of the whole process with the default settings, made by the first call."""
    global _default
    if _default is None:
        from perftui.cache.manager import CacheManager

        with _lock:
            _default = _default or CacheManager()
    return _default


def _equipped(around: Any, key_of: Callable[..., Any], forget: Callable[..., Any]) -> Any:
    around.key_of = key_of
    around.forget = forget
    return around


def _namer(function: Callable[..., Any], key: Key | None) -> Callable[..., str | bytes]:
    """Return what makes the key of a call."""
    if callable(key):
        return key
    signature = inspect.signature(function)
    name = f"{function.__module__}.{function.__qualname__}"
    if key is not None:
        _check_template(key, signature, name)

    def arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return dict(bound.arguments)

    if key is not None:
        template = key
        return lambda *args, **kwargs: template.format(**arguments(args, kwargs))

    def by_all(*args: Any, **kwargs: Any) -> bytes:
        given = arguments(args, kwargs)
        for argument, value in given.items():
            if not _is_plain(value):
                raise TypeError(
                    f"argument {argument} of {name} is a {type(value).__name__}, which makes no "
                    "key; give @cached(key=...)"
                )
        # It tells 1 from "1", 1.0 and True, and the order is that of the signature.
        return f"{name}:{list(given.values())!r}".encode("utf-8", "surrogatepass")

    return by_all


def _check_template(template: str, signature: inspect.Signature, name: str) -> None:
    import string

    for _, field, _, _ in string.Formatter().parse(template):
        if field is None:
            continue
        argument = field.partition(".")[0].partition("[")[0]
        if argument not in signature.parameters:
            raise ValueError(f"key={template!r}: {name} has no argument {argument or '{}'!r}")


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(_is_plain(part) for part in value)
    # Classes derived from these may look the same and mean something else.
    return type(value) in PLAIN
