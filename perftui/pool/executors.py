"""Who carries out advice on the size of a pool: nobody, or a command."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from string import Formatter
from typing import Final, Protocol

from perftui.pool.scaling import ScalingAdvice

GRACE: Final = 2.0
"""Seconds between asking a command that is late to end and killing it."""

TAIL: Final = 4096
PLACES: Final = frozenset({"pool", "current", "want", "reason"})


class ExecutionError(Exception):
    """Advice could not be carried out; says why."""


class Executor(Protocol):
    """Carries out advice."""

    async def execute(self, pool: str, advice: ScalingAdvice) -> str:
        """Change the pool to `advice.want` servers and return what was done in a clause.

        Any exception counts as a failure and is told of with its text.
        """
        ...


class NoExecutor:
    """Leaves it to people: advice is shown and published, and that is all."""

    async def execute(self, pool: str, advice: ScalingAdvice) -> str:
        """Do nothing."""
        return ""


class CommandExecutor:
    """Runs a command for every advice; no shell is involved.

    `command` are its words, in which `{pool}`, `{current}`, `{want}` and `{reason}` are replaced,
    as in `["kubectl", "scale", "deployment/{pool}", "--replicas={want}"]`. The same is in the
    variables PERFTUI_POOL, PERFTUI_CURRENT, PERFTUI_WANT and PERFTUI_REASON. A command that takes
    more than `timeout` seconds is ended with all its children. Raises ValueError for a command
    without words or with a place that is not known.
    """

    def __init__(self, command: Sequence[str], timeout: float = 60.0) -> None:
        if isinstance(command, str) or not command or not command[0]:
            raise ValueError("command: a list of words is wanted, the first one a program")
        for word in command:
            for _, name, form, conversion in Formatter().parse(word):
                if name is not None and (name not in PLACES or form or conversion):
                    known = ", ".join(f"{{{place}}}" for place in sorted(PLACES))
                    raise ValueError(f"command: {{{name}}} is not one of {known}")
        if not timeout > 0:
            raise ValueError(f"timeout: {timeout!r} is not a number of seconds above 0")
        self._command = tuple(command)
        self._timeout = timeout

    async def execute(self, pool: str, advice: ScalingAdvice) -> str:
        """Run the command; raises ExecutionError when it fails, is late or cannot be run."""
        facts = {
            "pool": pool,
            "current": str(advice.current),
            "want": str(advice.want),
            "reason": advice.reason,
        }
        words = [word.format_map(facts) for word in self._command]
        program = words[0]
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env=_environment(facts),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise ExecutionError(f"{program} cannot be run: {error}") from None
        assert process.stderr is not None
        try:
            tail, code = await asyncio.wait_for(_until_end(process, process.stderr), self._timeout)
        except TimeoutError:
            await _end(process)
            raise ExecutionError(f"{program} did not end within {self._timeout:g} s") from None
        except asyncio.CancelledError:
            await asyncio.shield(_end(process))
            raise
        if code:
            lines = [line.strip() for line in tail.decode(errors="replace").splitlines()]
            said = next((f": {line[:200]}" for line in reversed(lines) if line), "")
            raise ExecutionError(f"{program} failed with exit code {code}{said}")
        return f"{advice.current} -> {advice.want}: {program} has run"


async def _until_end(
    process: asyncio.subprocess.Process, errors: asyncio.StreamReader
) -> tuple[bytes, int]:
    """Return the end of what the command wrote to standard error, and its exit code."""
    tail = b""

    async def read() -> None:
        nonlocal tail
        while chunk := await errors.read(TAIL):
            tail = (tail + chunk)[-TAIL:]

    reader = asyncio.create_task(read())
    try:
        code = await process.wait()
        # A child that goes on may keep the pipe open; the command itself has ended.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(reader), 0.2)
    finally:
        reader.cancel()
    return tail, code


async def _end(process: asyncio.subprocess.Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), GRACE)
            return


def _environment(facts: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, **{f"PERFTUI_{name.upper()}": value for name, value in facts.items()}}
