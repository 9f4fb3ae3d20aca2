"""Absence and its states: every value of a snapshot is measured, or says why it is not."""

from __future__ import annotations

import enum
from typing import TypeAlias, TypeVar

import msgspec

SCHEMA = 2
"""Version of the names in the JSON document; grows when a name changes its meaning."""


class Part(msgspec.Struct, frozen=True, tag=True):
    """Base of all parts: tagged, so that values and absences survive a file."""


class State(enum.Enum):
    """How far a value can be trusted."""

    OK = "ok"
    STALE = "stale"
    DENIED = "denied"
    UNAVAILABLE = "unavailable"
    NOT_COLLECTED = "not collected"


class Absent(Part, frozen=True):
    """A value that is missing, with the reason and, where there is one, the exact fix."""

    state: State
    reason: str
    fix: str = ""


T = TypeVar("T")
Maybe: TypeAlias = T | Absent

FIRST_SAMPLE = Absent(State.NOT_COLLECTED, "a rate needs two samples")
NOT_STARTED = Absent(State.NOT_COLLECTED, "no sample yet")
