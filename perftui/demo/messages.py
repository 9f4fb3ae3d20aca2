"""What the monitor, the demo's supervisor and its children say to each other: one JSON per line.

Every line is shorter than PIPE_BUF (4096 bytes, pipe(7)), so that a write to a pipe that does not
block happens whole or not at all.
"""

from __future__ import annotations

import enum

import msgspec

LONGEST_REASON = 600
"""Characters of a reason that are sent; keeps a line below PIPE_BUF even when all are escaped."""


class PartState(enum.Enum):
    """How far one part of the demo is; STOPPED is on purpose, FAILED is not."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    STOPPED = "stopped"
    FAILED = "failed"


class PartStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """One part of the demo; `ready_after` in seconds from the start, `cpu_percent` of one core.

    `restarts` counts how often the part ended without being told to.
    """

    part: str
    state: PartState
    pid: int | None = None
    reason: str = ""
    fix: str = ""
    address: str = ""
    cpu_percent: float | None = None
    ready_after: float | None = None
    restarts: int = 0


class Command(msgspec.Struct, frozen=True):
    """What the monitor tells the supervisor."""

    scenario: str


class Instruction(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the supervisor tells a child; `workers` maps a worker's name to its address."""

    scenario: str
    workers: dict[str, str] = {}


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a child tells the supervisor; `cpu_percent` of one core since its last report."""

    address: str = ""
    cpu_percent: float | None = None


Message = PartStatus | Command | Instruction | Report


def encode_line(message: Message) -> bytes:
    """Return one message as a line."""
    return msgspec.json.encode(message) + b"\n"


def decode_status(line: bytes) -> PartStatus:
    """Return the status in a line; raises msgspec.DecodeError for anything else."""
    return msgspec.json.decode(line, type=PartStatus)


def decode_command(line: bytes) -> Command:
    """Return the command in a line; raises msgspec.DecodeError for anything else."""
    return msgspec.json.decode(line, type=Command)


def decode_instruction(line: bytes) -> Instruction:
    """Return the instruction in a line; raises msgspec.DecodeError for anything else."""
    return msgspec.json.decode(line, type=Instruction)


def decode_report(line: bytes) -> Report:
    """Return the report in a line; raises msgspec.DecodeError for anything else."""
    return msgspec.json.decode(line, type=Report)
