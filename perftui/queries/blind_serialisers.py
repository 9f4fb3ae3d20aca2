"""Serialisers that read a mapping without its knowing, so that watching it proves nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any, Final

LOOK_AGAIN: Final = 60.0
"""Seconds between two looks at who uses msgspec."""

_CALLS: Final[Mapping[str, Callable[[ModuleType], Callable[[Any], object]]]] = {
    "orjson": lambda module: module.dumps,
    "ujson": lambda module: module.dumps,
    "rapidjson": lambda module: module.dumps,
    "simplejson": lambda module: module.dumps,
    "cbor2": lambda module: module.dumps,
    "msgpack": lambda module: module.packb,
    "ormsgpack": lambda module: module.packb,
    "bson": lambda module: module.encode,
    "yajl": lambda module: module.dumps,
    "hyperjson": lambda module: module.dumps,
    "nujson": lambda module: module.dumps,
    "pydantic_core": lambda module: module.to_json,
}
"""Those that are known, and what of them takes a mapping."""

_OWN: Final = frozenset({"perftui", "msgspec"})


class BlindSerialisers:
    """Finds out which loaded serialisers are blind, by handing each one a watched mapping.

    `probe` makes a mapping, and returns with it a function that tells whether a read was seen.
    msgspec is blind and always loaded, since perftui uses it: it counts where another module
    refers to it, or has a function that imports it. Those in `trusted` are said to get no row.
    """

    def __init__(
        self,
        probe: Callable[[], tuple[object, Callable[[], bool]]],
        trusted: Collection[str] = (),
    ) -> None:
        self._probe = probe
        self._trusted = frozenset(trusted)
        self._tried: dict[str, bool] = {}
        self._looked: tuple[float, int] | None = None
        self._msgspec = ""

    def loaded(self) -> str:
        """Return the name of a blind serialiser that the process uses, empty for none."""
        for name, call in _CALLS.items():
            module = sys.modules.get(name)
            if module is None or name in self._trusted:
                continue
            if name not in self._tried:
                self._tried[name] = self._is_blind(module, call)
            if self._tried[name]:
                return name
        return "" if "msgspec" in self._trusted else self._uses_msgspec()

    def _is_blind(
        self, module: ModuleType, call: Callable[[ModuleType], Callable[[Any], object]]
    ) -> bool:
        mapping, seen = self._probe()
        try:
            call(module)(mapping)
        except Exception:
            # It refuses what it does not know, or is not what its name says: nobody is deceived.
            return False
        return not seen()

    def _uses_msgspec(self) -> str:
        now = time.monotonic()
        count = len(sys.modules)
        if self._looked is None or (now - self._looked[0] > LOOK_AGAIN or count != self._looked[1]):
            self._looked = (now, count)
            used = any(_refers(name, module) for name, module in list(sys.modules.items()))
            self._msgspec = "msgspec" if used else ""
        return self._msgspec


def _root(name: object) -> str:
    return name.partition(".")[0] if isinstance(name, str) else ""


def _refers(name: str, module: object) -> bool:
    """Whether a module that is not perftui's own has something of msgspec, or imports it later."""
    if not isinstance(module, ModuleType) or _root(name) in _OWN:
        return False
    return any(
        _is_msgspec(value) or any("msgspec" in code.co_names for code in _codes(value, name))
        for value in list(vars(module).values())
    )


def _is_msgspec(value: object) -> bool:
    if isinstance(value, ModuleType):
        return _root(value.__name__) == "msgspec"
    if isinstance(value, BuiltinFunctionType | FunctionType):
        return _root(value.__module__) == "msgspec"
    kind = value if isinstance(value, type) else type(value)
    modules = [_root(vars(base).get("__module__")) for base in type.mro(kind)]
    return modules[0] != "perftui" and "msgspec" in modules


def _codes(value: object, module: str) -> Iterator[CodeType]:
    """Yield the code of a function, or of the methods of a class, that a module defines."""
    if not isinstance(value, type | FunctionType) or value.__module__ != module:
        return
    for member in list(vars(value).values()) if isinstance(value, type) else [value]:
        inner = member.__func__ if isinstance(member, staticmethod | classmethod) else member
        if isinstance(inner, property):
            inner = inner.fget
        if isinstance(inner, FunctionType):
            yield inner.__code__
