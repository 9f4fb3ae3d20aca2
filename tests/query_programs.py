"""Random programs that use the rows of an answer, with the fields that each truly uses."""

from __future__ import annotations

import copy
import dataclasses
import json
import operator
import pickle
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import msgspec
import orjson
import pydantic
import pydantic_core

NAMES = ("id", "name", "city", "price", "note", "tags", "blob")


@dataclasses.dataclass
class Item:
    """A row as a dataclass."""

    id: int
    name: str
    city: str
    price: float
    note: str
    tags: list[str]
    blob: str


class Model(pydantic.BaseModel):
    """A row as a pydantic model."""

    id: int
    name: str
    city: str
    price: float
    note: str
    tags: list[str]
    blob: str


class Two(pydantic.BaseModel):
    """What a client makes of a row of which it wants two fields."""

    name: str
    price: float


class NameAndCity(msgspec.Struct):
    """What another client makes of a row."""

    name: str
    city: str


def row_of(number: int) -> dict[str, Any]:
    """Return a row."""
    return {
        "id": number,
        "name": f"n{number}",
        "city": "Bonn",
        "price": number / 7,
        "note": "x" * 20,
        "tags": ["a", "b"],
        "blob": "y" * 50,
    }


Access = Callable[[Any, str], set[str]]
ALL = set(NAMES)


def _one(read: Callable[[Any, str], object]) -> Access:
    def access(row: Any, name: str) -> set[str]:
        read(row, name)
        return {name}

    return access


def _whole(read: Callable[[Any], object]) -> Access:
    def access(row: Any, name: str) -> set[str]:
        read(row)
        return ALL

    return access


def _keywords(**fields: Any) -> str:
    return str(fields["name"])


def _match(row: Any, name: str) -> object:
    match row:
        case {"city": found}:
            return found
        case _:
            return None


def _pair(row: Any, name: str) -> set[str]:
    operator.itemgetter(name, "city")(row)
    return {name, "city"}


def _update(row: Any) -> None:
    {"a": 1}.update(row)


def _two(read: Callable[[Any], object], fields: set[str]) -> Access:
    def access(row: Any, name: str) -> set[str]:
        read(row)
        return fields

    return access


DICT_WAYS: Mapping[str, Access] = {
    "[]": _one(lambda row, name: row[name]),
    "get": _one(lambda row, name: row.get(name)),
    "itemgetter": _pair,
    "in": _one(lambda row, name: name in row),
    "pop of a copy": _whole(lambda row: row.copy().pop("name")),
    "%": _two(lambda row: "%(name)s" % row, {"name"}),  # noqa: UP031
    "format_map": _two(lambda row: "{city}".format_map(row), {"city"}),
    "match": _two(lambda row: _match(row, ""), {"city"}),
    "**": _whole(lambda row: _keywords(**row)),
    "{**}": _whole(lambda row: {**row}),
    "dict": _whole(dict),
    "|": _whole(lambda row: row | {"more": 1}),
    "other |": _whole(lambda row: {"more": 1} | row),
    "update": _whole(_update),
    "items": _whole(lambda row: [value for _, value in row.items()]),
    "values": _whole(lambda row: list(row.values())),
    "==": _whole(lambda row: row == row_of(3)),
    "repr": _whole(repr),
    "f-string": _whole(lambda row: f"{row}"),
    "json": _whole(json.dumps),
    "json indented": _whole(lambda row: json.dumps(row, indent=1)),
    "pickle": _whole(lambda row: pickle.loads(pickle.dumps(row))),
    "copy": _whole(copy.copy),
    "deepcopy": _whole(copy.deepcopy),
    "pydantic **": _whole(lambda row: Two(**row)),
    "pydantic": _two(Two.model_validate, {"name", "price"}),
}

BLIND_DICT_WAYS: Mapping[str, Access] = {
    "orjson": _whole(orjson.dumps),
    "msgspec json": _whole(msgspec.json.encode),
    "msgspec msgpack": _whole(msgspec.msgpack.encode),
    "msgspec to_builtins": _whole(msgspec.to_builtins),
    "msgspec convert": _two(lambda row: msgspec.convert(row, NameAndCity), {"name", "city"}),
    "pydantic to_json": _whole(pydantic_core.to_json),
    "pydantic to_jsonable": _whole(pydantic_core.to_jsonable_python),
}

OBJECT_WAYS: Mapping[str, Access] = {
    "getattr": _one(getattr),
    "attrgetter": _one(lambda row, name: operator.attrgetter(name)(row)),
    "__dict__": _whole(lambda row: dict(row.__dict__)),
    "vars": _whole(vars),
    "repr": _whole(repr),
    "copy": _whole(copy.copy),
    "deepcopy": _whole(copy.deepcopy),
    "pickle": _whole(lambda row: pickle.loads(pickle.dumps(row))),
    "==": _whole(lambda row: row == row),
}

DATACLASS_WAYS: Mapping[str, Access] = {
    **OBJECT_WAYS,
    "asdict": _whole(dataclasses.asdict),
    "astuple": _whole(dataclasses.astuple),
    "replace": _whole(lambda row: dataclasses.replace(row, name="other")),
    "orjson": _whole(orjson.dumps),
    "msgspec json": _whole(msgspec.json.encode),
    "msgspec to_builtins": _whole(msgspec.to_builtins),
    "pydantic to_json": _whole(pydantic_core.to_json),
}

MODEL_WAYS: Mapping[str, Access] = {
    **OBJECT_WAYS,
    "model_dump": _whole(lambda row: row.model_dump()),
    "model_dump_json": _whole(lambda row: row.model_dump_json()),
    "model_copy": _whole(lambda row: row.model_copy()),
    "iteration": _whole(lambda row: dict(iter(row))),
    "TypeAdapter": _whole(lambda row: pydantic.TypeAdapter(Model).dump_json(row)),
    "Any": _whole(lambda row: pydantic.TypeAdapter(Any).dump_json(row)),
    "pydantic to_json": _whole(pydantic_core.to_json),
    "from attributes": _two(
        lambda row: Two.model_validate(row, from_attributes=True), {"name", "price"}
    ),
}

KINDS: Mapping[str, tuple[Callable[[dict[str, Any]], Any], Mapping[str, Access]]] = {
    "dict": (lambda row: row, DICT_WAYS),
    "dataclass": (lambda row: Item(**row), DATACLASS_WAYS),
    "pydantic": (lambda row: Model(**row), MODEL_WAYS),
}


_BY_FIELD = frozenset(
    {"[]", "get", "itemgetter", "in", "match", "pydantic", "getattr", "attrgetter"}
    | {"from attributes", "msgspec convert"}
)


def run(rows: list[Any], ways: Mapping[str, Access], random: Random) -> set[str]:
    """Do something with some of the rows and return the fields that were used of them."""
    used: set[str] = set()
    # Most programs take fields one by one: only of these can anything be called unused.
    narrow = [way for way in sorted(ways) if way in _BY_FIELD]
    among = narrow if random.random() < 0.7 else sorted(ways)
    chosen = random.sample(among, random.randint(1, 2))
    names = random.sample(NAMES, random.randint(1, 3))
    for row in rows:
        if random.random() < 0.2:
            continue
        for way in chosen:
            used |= ways[way](row, random.choice(names))
    return used
