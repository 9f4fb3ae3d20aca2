"""A server's own place in a pool: it registers, beats each second, and leaves in good order."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING

from perftui.pool import agent_hooks
from perftui.pool.agent_middleware import AsgiCounter, WsgiCounter
from perftui.pool.errors import PoolError
from perftui.pool.names import server_address, server_id, valid_weight
from perftui.pool.registry import PoolRegistry
from perftui.pool.requests_at_work import RequestAtWork, RequestsAtWork
from perftui.pool.server_usage import ProcessShare, ServerUsage

if TYPE_CHECKING:
    from perftui.pool.agent_middleware import AsgiApp, WsgiApp

__all__ = ["AgentStatus", "ServerAgent", "ServerUsage"]

FIRST_BEAT_SECONDS = 0.2
"""Seconds over which the CPU use of the first heartbeat is taken."""
DRAIN_LOOK_SECONDS = 0.05
GOODBYE_SECONDS = 0.4
"""Seconds that leaving may take once nothing is waited for any more."""

_logger = logging.getLogger("perftui")


@dataclasses.dataclass(frozen=True)
class AgentStatus:
    """How an agent fares, for the service's own health page.

    `state` is off, starting, beating, failing (Redis does not answer), leaving or stopped; `admin`
    what an operator decided, `last_success` seconds since the last heartbeat that arrived, None for
    none; `error` is why the last one did not.
    """

    state: str
    server: str
    admin: str
    beats: int
    last_success: float | None
    error: str
    in_flight: int


class ServerAgent:
    """Keeps one server in a pool.

        async with ServerAgent(registry, "web-1", "10.0.0.1:8000") as agent: …
        agent = ServerAgent(registry, "web-1", "10.0.0.1:8000").start(); …; agent.stop()

    The first beats in the event loop that it is entered in, so that a server whose loop hangs is
    out of the pool after 3 s; the second on a daemon thread, for a server that has no loop.
    `with agent.request(): …`, `agent.asgi(app)` or `agent.wsgi(app)` count the requests; until one
    of them was used, requests per second and in-flight are unknown rather than zero.

    `server` may be a function that returns an id, such as one with the process number: then a
    forked process that inherits a started agent keeps itself in the pool under an id of its own.
    With a fixed id it does not: the parent goes on to speak for it. `usage` returns CPU and memory,
    by default of this process, memory in percent of `memory_limit` bytes.

    SIGTERM, where `handle_sigterm` and the main thread starts it: no new picks, `settle_seconds`
    for balancers that look at the pool now and then, up to `drain_seconds` in all until no request
    is at work, deregistered; then whatever handled the signal before does. A second SIGTERM cuts
    that short. A server that has asyncio handle SIGTERM (loop.add_signal_handler) begins to stop at
    once, and the agent leaves when its block ends or `stop` is called. Redis may be away at any
    time: the server works on, and is in the pool again at the first heartbeat that arrives.

    Raises ValueError that names it for a value that is not valid; from `start` on, nothing.
    """

    def __init__(
        self,
        registry: PoolRegistry,
        server: str | Callable[[], str],
        address: str,
        *,
        weight: int = 1,
        interval: float = 1.0,
        usage: Callable[[], ServerUsage] | None = None,
        memory_limit: int | None = None,
        drain_seconds: float = 20.0,
        settle_seconds: float = 1.0,
        handle_sigterm: bool = True,
    ) -> None:
        if not 0.05 <= interval <= 2.5:
            raise ValueError(f"interval is {interval!r}, it must be 0.05 to 2.5 seconds")
        for name, value in (("drain_seconds", drain_seconds), ("settle_seconds", settle_seconds)):
            if not 0 <= value <= 86_400:
                raise ValueError(f"{name} is {value!r}, it must be 0 to 86400 seconds")
        self.registry = registry
        self.requests = RequestsAtWork()
        self._name = server
        self._server = server_id(server() if callable(server) else server)
        self._address = server_address(address)
        self._weight = valid_weight(weight)
        self._interval = interval
        self._usage = usage or ProcessShare(memory_limit)
        self._drain_seconds = drain_seconds
        self._settle_seconds = settle_seconds
        self._handle_sigterm = handle_sigterm
        self._begin()

    def _begin(self) -> None:
        self._state = "off"
        self._admin = "ready"
        self._beats = 0
        self._success: float | None = None
        self._error = ""
        self._usage_known = True
        self._measured = time.monotonic()
        self._leave_by: float | None = None
        self._settled_at = 0.0
        self._registered = False
        self._wake: Callable[[], None] = _nothing
        self._gone = threading.Event()
        self._thread: threading.Thread | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def server(self) -> str:
        """The id of this server in the pool."""
        return self._server

    @property
    def admin_state(self) -> str:
        """What an operator decided, as of the last heartbeat: `ready`, `drain` or `maint`."""
        return self._admin

    @property
    def status(self) -> AgentStatus:
        """How it fares now."""
        ago = None if self._success is None else time.monotonic() - self._success
        return AgentStatus(
            self._state,
            self._server,
            self._admin,
            self._beats,
            ago,
            self._error,
            self.requests.at_work,
        )

    def request(self) -> RequestAtWork:
        """Return a block that counts as one request; set its `ok` to False for a failure."""
        return RequestAtWork(self.requests)

    def asgi(self, app: AsgiApp) -> AsgiApp:
        """Return the application with its HTTP requests counted; status 500 and above fails."""
        return AsgiCounter(app, self.requests)

    def wsgi(self, app: WsgiApp) -> WsgiApp:
        """Return the application with its requests counted; status 500 and above fails."""
        return WsgiCounter(app, self.requests)

    def start(self) -> ServerAgent:
        """Beat on a daemon thread, unless it beats already."""
        if self._thread is None and self._task is None:
            self._start_thread()
            agent_hooks.enter(self, self._handle_sigterm)
        return self

    def stop(self, drain: bool = True) -> None:
        """Leave the pool and wait for it, drained as at SIGTERM or at once."""
        self.begin_drain(self._drain_seconds if drain else 0.0)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join((self._drain_seconds if drain else 0.0) + GOODBYE_SECONDS + 1.0)
        agent_hooks.leave(self)

    async def __aenter__(self) -> ServerAgent:
        if self._thread is None and self._task is None:
            loop = asyncio.get_running_loop()
            woken = asyncio.Event()
            self._wake = lambda: _wake_in(loop, woken)
            self._state = "starting"
            self._task = loop.create_task(self._live(woken), name="perftui-pool-agent")
            agent_hooks.enter(self, self._handle_sigterm)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.drain()

    async def drain(self) -> bool:
        """Leave the pool in good order; return whether no request was at work in the end."""
        self.begin_drain(self._drain_seconds)
        if self._task is not None:
            await asyncio.shield(self._task)
        elif self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        agent_hooks.leave(self)
        return self.requests.at_work == 0

    def begin_drain(self, seconds: float | None = None) -> None:
        """Begin to leave, for so many seconds at most; may be called from a signal handler."""
        now = time.monotonic()
        patience = self._drain_seconds if seconds is None else seconds
        if self._leave_by is None:
            self._settled_at = now + min(self._settle_seconds, patience)
            self._leave_by = now + patience
        else:
            self._leave_by = min(self._leave_by, now + patience)
        self._wake()

    @property
    def left(self) -> threading.Event:
        """Set once it has left the pool, or has given up trying to."""
        return self._gone

    def after_fork(self) -> None:
        """Begin anew in a forked process, or be off there."""
        was_running = self._state not in ("off", "stopped")
        self.requests.begin()
        self._begin()
        if callable(self._name) and was_running:
            self._server = server_id(self._name())
            self._start_thread()
        else:
            agent_hooks.leave(self)

    def _start_thread(self) -> None:
        self._state = "starting"
        self._thread = threading.Thread(
            target=self._run_thread, name="perftui-pool-agent", daemon=True
        )
        self._thread.start()

    def _run_thread(self) -> None:
        asyncio.run(self._live_in_thread())

    async def _live_in_thread(self) -> None:
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        self._wake = lambda: _wake_in(loop, woken)
        if self._leave_by is not None:
            woken.set()
        try:
            await self._live(woken)
        finally:
            await self.registry.close_here()

    async def _live(self, woken: asyncio.Event) -> None:
        try:
            await self._beat_until_woken(woken)
            await self._leave()
        except Exception:
            # A fault here must not end the service, nor stay unseen.
            _logger.exception("the pool agent of %s has ended", ascii(self._server))
        finally:
            self._state = "stopped"
            self._gone.set()

    async def _beat_until_woken(self, woken: asyncio.Event) -> None:
        await self._try(self._register)
        self._read_usage()
        pause = min(FIRST_BEAT_SECONDS, self._interval)
        due = time.monotonic()
        while True:
            # A beat that came late is not made up for.
            due = max(due + pause, time.monotonic())
            try:
                async with asyncio.timeout(max(0.0, due - time.monotonic())):
                    await woken.wait()
            except TimeoutError:
                pass
            else:
                return
            pause = self._interval
            await self._try(self._beat)

    async def _leave(self) -> None:
        self._state = "leaving"
        beaten = 0.0
        while True:
            now = time.monotonic()
            if self._leave_by is None or now >= self._leave_by:
                break
            if now >= self._settled_at and self.requests.at_work == 0:
                break
            if now - beaten >= min(self._interval, 1.0):
                beaten = now
                await self._try(self._beat)
            await asyncio.sleep(DRAIN_LOOK_SECONDS)
        at_work = self.requests.at_work
        if at_work:
            _logger.warning(
                "%s leaves the pool with %d requests at work", ascii(self._server), at_work
            )
        reason = f"{at_work} requests were still at work" if at_work else "drained"
        await self._try(lambda: self.registry.deregister(self._server, reason))

    async def _register(self) -> None:
        self._admin = await self.registry.register(self._server, self._address, self._weight)
        self._registered = True

    async def _beat(self) -> None:
        if not self._registered:
            await self._register()
        elapsed, usage = self._read_usage()
        counts = self.requests.read()
        known = self.requests.used
        self._admin = await self.registry.heartbeat(
            self._server,
            usage.cpu,
            usage.memory,
            counts.finished / elapsed if known and elapsed > 0 else None,
            counts.at_work if known else None,
            p95=counts.p95,
            error_percent=counts.error_percent,
            leaving=self._leave_by is not None,
        )
        self._beats += 1

    def _read_usage(self) -> tuple[float, ServerUsage]:
        now = time.monotonic()
        elapsed, self._measured = now - self._measured, now
        try:
            usage = self._usage()
        except Exception:
            # A fault of the service's own function must not cost it its heartbeats.
            if self._usage_known:
                _logger.exception("the use of %s cannot be measured", ascii(self._server))
            self._usage_known = False
            return elapsed, ServerUsage(None, None)
        self._usage_known = True
        return elapsed, usage

    async def _try(self, question: Callable[[], Awaitable[object]]) -> None:
        """Ask Redis; log a change for the worse or the better once, and never raise for it."""
        try:
            await question()
        except Exception as error:
            # Whatever it is, the next heartbeat may arrive, and without any nobody is picked.
            if not self._error:
                _logger.warning(
                    "the pool does not hear of %s: %s",
                    ascii(self._server),
                    error,
                    exc_info=None if isinstance(error, PoolError) else error,
                )
            self._error = str(error) or type(error).__name__
            if self._state != "leaving":
                self._state = "failing"
        else:
            if self._error:
                _logger.info("the pool hears of %s again", ascii(self._server))
            self._error = ""
            self._success = time.monotonic()
            if self._state != "leaving":
                self._state = "beating"


def _wake_in(loop: asyncio.AbstractEventLoop, woken: asyncio.Event) -> None:
    # The loop may have ended in the meantime; then there is nobody to wake.
    if not loop.is_closed():
        loop.call_soon_threadsafe(woken.set)


def _nothing() -> None:
    return None
