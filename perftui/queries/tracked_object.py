"""Rows that are objects (dataclasses, pydantic models) and note which attributes are read."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

from perftui.queries.answer_watch import Watch

_WATCH: Final = "_perftui_watch_"
_INDEX: Final = "_perftui_index_"

_HARMLESS: Final = frozenset({"__class__", "__doc__", "__module__", "__init_subclass__"})

_classes: WeakKeyDictionary[type, type | None] = WeakKeyDictionary()
_lock = threading.Lock()


def fields_of(kind: type) -> tuple[str, ...] | None:
    """Return the names of the fields of a kind of row that can be tracked, None if it cannot."""
    members: Mapping[str, Any] = vars(kind)
    if "__dataclass_fields__" in members and dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    if any(base.__module__ == "pydantic.main" for base in type.mro(kind)[1:]):
        known = members.get("__pydantic_fields__")
        return tuple(known) if isinstance(known, Mapping) else None
    return None


def tracked_object(row: object, watch: Watch, index: int) -> Any:
    """Return a copy of a row that notes its reads; raises TypeError for what cannot have one.

    The copy is shallow. Its `__class__` is that of the row, and what is no field counts as a look
    at all fields where code may take the whole row by it, as model_dump and `__dict__` do.
    """
    kind = type(row)
    with _lock:
        if kind not in _classes:
            _classes[kind] = _tracked_class(kind)
        tracked = _classes[kind]
    if tracked is None:
        raise TypeError(f"rows of {kind.__name__} cannot be tracked")
    made: Any = object.__new__(tracked)
    for name in _slots(kind):
        try:
            value = object.__getattribute__(row, name)
        except AttributeError:
            continue
        if name == "__dict__":
            object.__getattribute__(made, "__dict__").update(value)
        else:
            object.__setattr__(made, name, value)
    object.__setattr__(made, _WATCH, watch)
    object.__setattr__(made, _INDEX, index)
    return made


def _slots(kind: type) -> list[str]:
    """Return where instances of a class keep what they have."""
    names: list[str] = []
    for base in type.mro(kind):
        own = vars(base).get("__slots__", ())
        for name in (own,) if isinstance(own, str) else own:
            private = name.startswith("__") and not name.endswith("__")
            names.append(f"_{base.__name__.lstrip('_')}{name}" if private else name)
        if "__dict__" in vars(base):
            names.append("__dict__")
    return [name for name in dict.fromkeys(names) if name != "__weakref__"]


def _tracked_class(kind: type) -> type | None:
    names = fields_of(kind)
    if names is None:
        return None
    fields = frozenset(names)
    original: Any = kind.__getattribute__

    def read(self: Any, name: str) -> Any:
        get = object.__getattribute__
        if name in fields:
            get(self, _WATCH).reads.field(get(self, _INDEX), name)
        elif name == "__class__":
            return kind
        elif name not in _HARMLESS and not _is_plain(kind, name):
            get(self, _WATCH).reads.everything(get(self, _INDEX))
        return original(self, name)

    members: dict[str, Any] = {
        "__slots__": (_WATCH, _INDEX),
        "__getattribute__": read,
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__reduce_ex__": _reduced,
    }
    # Some serialisers look for it in the class itself and not in its bases.
    if "__dataclass_fields__" in vars(kind):
        members["__dataclass_fields__"] = vars(kind)["__dataclass_fields__"]
    try:
        metaclass: Any = type(kind)
        made: type = metaclass(kind.__name__, (kind,), members)
        object.__new__(made)
    except Exception:
        # A class that refuses subclasses, or one whose metaclass wants more: its rows stay whole.
        return None
    return made


def _is_plain(kind: type, name: str) -> bool:
    """Whether an attribute is a method or a property that somebody wrote for this kind of row.

    Its own reads go through the row again and are seen. Methods of a base from a library may hand
    the row to code that is not seen.
    """
    for base in type.mro(kind):
        if name in vars(base):
            library = base.__module__.partition(".")[0] in ("pydantic", "builtins", "dataclasses")
            return not library and not (name.startswith("__") and name.endswith("__"))
    return False


def _reduced(self: Any, protocol: Any) -> Any:
    """Copy and pickle as a row of the class that it was made of."""
    get = object.__getattribute__
    get(self, _WATCH).reads.everything(get(self, _INDEX))
    kind = get(self, "__class__")
    original: Any = type.mro(kind)[1]
    plain: Any = object.__new__(original)
    for name in _slots(original):
        try:
            value = get(self, name)
        except AttributeError:
            continue
        if name == "__dict__":
            object.__getattribute__(plain, "__dict__").update(value)
        else:
            object.__setattr__(plain, name, value)
    return original.__reduce_ex__(plain, protocol)
