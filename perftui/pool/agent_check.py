"""Answers the agent checks of HAProxy for one server: weight by its load, drain, maintenance."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from types import TracebackType

from perftui.pool.agent_check_answer import Answer, CheckReading, Steering
from perftui.pool.agent_check_connections import Connections, ReadyPeers
from perftui.pool.agent_check_sources import CheckSource
from perftui.pool.errors import PoolError

LAST_KNOWN = 30.0
"""Seconds for which the last reading holds when there is no newer one."""
FIRST_PAUSE = 0.2
"""Seconds over which the first CPU use is taken."""
DRAIN_LOOK = 0.2
LONGEST_READING = 5.0
BACKLOG = 128

_logger = logging.getLogger("perftui")


class AgentCheck:
    """Tells HAProxy how the server of `source` fares; one connection for each check.

        async with AgentCheck(LocalSource(), "0.0.0.0", 8081): …
        check = AgentCheck(RegistrySource(registry, "web-1"), port=8081).start(); …; check.stop()

    The first answers in the event loop that it is entered in, the second on a daemon thread. The
    weight falls from 85 % of a threshold on, down to `floor` percent of that in HAProxy's
    configuration; `down_above`: down above a threshold instead. A reading that fails changes
    nothing for 30 s; then the server is up with its last weight. An empty `host` is every address,
    port 0 a free one.

    `begin_drain` says drain from then on; leaving waits until no request is at work, `settle`
    seconds at least, so that every HAProxy has heard it, and `drain_seconds` at most or where
    nobody counts requests.

    Raises ValueError that names a setting, OSError where the address cannot be listened on.
    """

    def __init__(
        self,
        source: CheckSource,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        floor: int = 10,
        down_above: bool = False,
        interval: float = 1.0,
        drain_seconds: float = 30.0,
        settle_seconds: float = 5.0,
    ) -> None:
        if not 0.05 <= interval <= 10:
            raise ValueError(f"interval is {interval!r}, it must be 0.05 to 10 seconds")
        for name, value in (("drain_seconds", drain_seconds), ("settle_seconds", settle_seconds)):
            if not 0 <= value <= 86_400:
                raise ValueError(f"{name} is {value!r}, it must be 0 to 86400 seconds")
        self._source = source
        self._place = (host, port)
        self._steering = Steering(floor, down_above)
        self._interval = interval
        self._drain_seconds = drain_seconds
        self._settle_seconds = settle_seconds
        self._connections = Connections(self.line)
        self._peers = ReadyPeers()
        self._answer = Answer("", True, None, "starting")
        self._percent: int | None = None
        self._reading: CheckReading | None = None
        self._read_at = time.monotonic()
        self._trouble = ""
        self._draining: float | None = None
        self._server: asyncio.Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()
        self._begun = threading.Event()
        self._failure: BaseException | None = None
        self.port = port

    async def __aenter__(self) -> AgentCheck:
        await self._look()
        host, port = self._place
        self._server = await asyncio.get_running_loop().create_server(
            self._connections.connection, host or None, port, backlog=BACKLOG, reuse_address=True
        )
        self.port = int(self._server.sockets[0].getsockname()[1])
        self._task = asyncio.create_task(self._run(), name="perftui-agent-check")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._server is not None:
            self._server.close()
        self._connections.cut_all()
        self._task = self._server = None
        await self._source.aclose()

    def start(self) -> AgentCheck:
        """Answer on a daemon thread from now on; raises OSError as entering the block does."""
        if self._thread is None:
            self._begun.clear()
            self._failure = None
            self._thread = threading.Thread(
                target=lambda: asyncio.run(self._live_in_thread()),
                name="perftui-agent-check",
                daemon=True,
            )
            self._thread.start()
            self._begun.wait()
            if self._failure is not None:
                self._thread = None
                raise self._failure
        return self

    def stop(self, drain: bool = True) -> None:
        """End the thread, after a drain or at once."""
        thread, loop = self._thread, self._loop
        self._thread = None
        if thread is None or loop is None:
            return
        if drain:
            self.begin_drain()
        with contextlib.suppress(RuntimeError):
            if not drain:
                self._drain_seconds = 0.0
            loop.call_soon_threadsafe(self._ended.set)
        thread.join(self._drain_seconds + LONGEST_READING + 1.0)

    def begin_drain(self) -> None:
        """Say drain from now on; may be called from a signal handler and from other threads."""
        if self._draining is None:
            self._draining = time.monotonic()

    async def drain(self) -> bool:
        """Say drain and wait as the class says; return whether no request was at work in the end.

        What is not counted is not known to be at work.
        """
        self.begin_drain()
        began = self._draining or 0.0
        while (waited := time.monotonic() - began) < self._drain_seconds:
            await self._look()
            if waited >= self._settle_seconds and self._at_work() == 0:
                break
            await asyncio.sleep(DRAIN_LOOK)
        return not self._at_work()

    @property
    def answer(self) -> Answer:
        """What is said now."""
        if self._draining is not None:
            at_work = self._at_work()
            rest = "" if at_work is None else f", {at_work} requests at work"
            return Answer("drain", True, None, f"the server is shutting down{rest}")
        return self._answer

    def line(self, peer: str = "") -> bytes:
        """Return the line for the next check from this address."""
        answer = self.answer
        # Only those who were told count: to look at the line from inside must not be one of them.
        ready = answer.admin == "ready" and self._peers.hears(peer, time.monotonic())
        return answer.line(ready)

    async def _live_in_thread(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        try:
            async with self:
                self._begun.set()
                await self._ended.wait()
                if self._drain_seconds > 0:
                    await self.drain()
        except BaseException as error:
            self._failure = error
            if self._begun.is_set():
                raise
        finally:
            self._begun.set()

    async def _run(self) -> None:
        pause = min(FIRST_PAUSE, self._interval)
        while True:
            await asyncio.sleep(pause)
            pause = self._interval
            await self._look()

    async def _look(self) -> None:
        """Read once and make the answer of it; a reading that fails is said once."""
        try:
            async with asyncio.timeout(LONGEST_READING):
                reading = await self._source.read()
        except Exception as error:
            why = str(error) or type(error).__name__
            if not self._trouble:
                _logger.warning(
                    "the agent check cannot read its server: %s",
                    why,
                    exc_info=None if isinstance(error, PoolError | TimeoutError) else error,
                )
            self._trouble = why
            self._reading = None
            if time.monotonic() - self._read_at > LAST_KNOWN or self._percent is None:
                # What HAProxy was told before stays as it is, but for one that was down.
                self._show(Answer("", True, self._percent, f"last weight, nothing known: {why}"))
            return
        if self._trouble:
            _logger.info("the agent check reads its server again")
        self._trouble = ""
        self._reading = reading
        self._read_at = time.monotonic()
        self._show(self._steering.answer(reading, self._percent))

    def _show(self, answer: Answer) -> None:
        if answer.percent is not None:
            self._percent = answer.percent
        if answer.admin in ("drain", "maint"):
            self._peers.forget()
        self._answer = answer

    def _at_work(self) -> int | None:
        return None if self._reading is None else self._reading.in_flight
