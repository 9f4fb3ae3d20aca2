"""The command `agent-check`: answers HAProxy until it is told to end, and drains before."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from typing import TYPE_CHECKING, NamedTuple

from perftui.parser import FAILURE, USAGE, CommandError
from perftui.pool.agent_check import AgentCheck
from perftui.pool.agent_check_sources import CheckSource, LocalSource, RegistrySource
from perftui.pool.registry import PoolRegistry

if TYPE_CHECKING:
    from perftui.config import Settings

TERMINATED = 143
FLOOR = 10
DRAIN_SECONDS = 30.0


class Asked(NamedTuple):
    """What the command line says; an empty `server` is this machine."""

    host: str
    port: int
    redis: str
    pool: str
    server: str
    floor: int
    down_above: bool
    drain_seconds: float


def asked(options: argparse.Namespace, settings: Settings) -> Asked:
    """Return what the options say; raises CommandError."""
    from perftui.output.exporter_server import Address

    if options.listen is None:
        raise CommandError("say where to listen: --listen HOST:PORT", USAGE)
    try:
        address = Address.parse(options.listen)
    except ValueError as error:
        raise CommandError(f"--listen {error}", USAGE) from None
    if options.local and (options.pool or options.server):
        raise CommandError("--local measures this machine: leave out --pool and --server", USAGE)
    if not options.local:
        if not (options.pool and options.server):
            what = "--local for this machine, or --redis URL --pool NAME --server ID"
            raise CommandError(f"say which server: {what}", USAGE)
        if not settings.redis.url:
            raise CommandError("no Redis is named: give --redis URL or set REDIS_URL", USAGE)
    floor = _number("--floor", options.floor, FLOOR, 1, 100)
    if floor != int(floor):
        raise CommandError(f"--floor is {options.floor!r}; it must be a whole number", USAGE)
    return Asked(
        address.host,
        address.port,
        settings.redis.url,
        options.pool or "",
        options.server or "",
        int(floor),
        options.down_above,
        _number("--drain-seconds", options.drain_seconds, DRAIN_SECONDS, 0, 86_400),
    )


def _number(flag: str, text: str | None, otherwise: float, least: float, most: float) -> float:
    if text is None:
        return otherwise
    try:
        number = float(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise CommandError(
            f"{flag} is {text!r}; it must be a number from {least:g} to {most:g}", USAGE
        )
    return number


def run(wish: Asked) -> int:
    """Answer until SIGTERM and return the exit code: 0 drained, 143 cut short by a second one.

    Raises CommandError when the address cannot be listened on, or a name cannot be one.
    """
    try:
        return asyncio.run(_run(wish))
    except ValueError as error:
        raise CommandError(str(error), USAGE) from None


async def _run(wish: Asked) -> int:
    source: CheckSource
    if wish.server:
        source = RegistrySource(PoolRegistry(wish.redis, wish.pool), wish.server)
    else:
        source = LocalSource()
    check = AgentCheck(
        source,
        wish.host,
        wish.port,
        floor=wish.floor,
        down_above=wish.down_above,
        drain_seconds=wish.drain_seconds,
    )
    terminated, again = asyncio.Event(), asyncio.Event()

    def on_sigterm() -> None:
        if terminated.is_set():
            again.set()
        terminated.set()

    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(check)
        except OSError as error:
            where = f"{wish.host or 'every address'}, port {wish.port}"
            why = f"--listen: {where} cannot be listened on: {error.strerror or error}"
            raise CommandError(why, FAILURE) from None
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, on_sigterm)
        stack.callback(loop.remove_signal_handler, signal.SIGTERM)
        _say(f"answering agent checks on {wish.host or '*'}:{check.port}")
        await terminated.wait()
        _say(f"draining, {wish.drain_seconds:g} s at most")
        leaving = asyncio.create_task(check.drain())
        cut_short = asyncio.create_task(again.wait())
        await asyncio.wait((leaving, cut_short), return_when=asyncio.FIRST_COMPLETED)
        code = 0 if leaving.done() else TERMINATED
        for task in (leaving, cut_short):
            task.cancel()
        return code
    raise AssertionError("the block ends by its return")


def _say(text: str) -> None:
    # A closed standard error must not end it.
    with contextlib.suppress(OSError, AttributeError):
        sys.stderr.write(f"perftui: {text}\n")
        sys.stderr.flush()
