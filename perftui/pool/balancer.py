"""Which server of a pool gets the next request, for services."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Container, Iterable
from typing import TYPE_CHECKING

from perftui.pool.balancer_status import BalancerStatus
from perftui.pool.config import ScalingConfig
from perftui.pool.errors import PoolError, PoolRefusedError, PoolUnavailableError
from perftui.pool.load_view import Load
from perftui.pool.panic_news import PanicNews
from perftui.pool.picked_request import PickedRequest
from perftui.pool.readings import Reading, Server, read_server
from perftui.pool.selection import NoAvailableServersError, Selection

if TYPE_CHECKING:
    from types import TracebackType

    from perftui.pool.registry import PoolRegistry

__all__ = ["BalancerStatus", "LoadBalancer"]

MODES = ("local", "exact")
FIRST_READING = 1.0
"""Seconds that the first pick waits at most for the first reading of the pool."""
EMPTY_GRACE = 3.0
"""Seconds for which a pool that has suddenly become empty is not believed to be: a Redis that has
lost its data knows the servers again with their next heartbeats."""
NO_LOAD = Load(None, None, None)
DECISIONS_EVERY = 0.2
"""Seconds between two looks for new decisions of operators, where the pool is read less often."""

_logger = logging.getLogger("perftui")


class LoadBalancer:
    """Gives each request a server of the pool.

    By default picks are made here, from a reading of the pool that a thread renews every `refresh`
    seconds: a pick asks nobody and takes microseconds. An operator's decision, such as to drain,
    holds here within 0.25 s. What was picked and how it ended is told to
    the registry as often. While Redis is away the last reading holds; once it is older than the
    setting `snapshot_age` the status says `outdated`, and `static` servers, if given, take over.
    With `mode="exact"` each pick is made in Redis, in turn among all balancers, and here only while
    Redis does not answer.

    `policy`: `round_robin`; `weighted`, in proportion to the weights; `p2c`, of two at random the
    one with fewer requests at work; `p2c_ewma`, the one that answers sooner, the best choice as
    soon as there are several balancers. The latter two need to know how requests end: use
    `request`, or tell it with `report`.

    Servers above a threshold get nothing, with care: the mean of their load over 10 s is compared,
    they come back below 0.9 of the threshold, and at most a tenth of the servers, or one, are out
    at a time. When less than half are well all live ones are used, and `panic` says so. A server
    that failed five times in a row or could not be reached is out for 30 s, then for longer; one
    that has just come starts slowly. With `strict` it is the literal rule instead, which leaves
    nobody when all are busy and pushes the load of the excluded on the rest: simulated with 20
    equal servers at 70 % load, its p99 is seven times that of plain round robin. For `mode="exact"`
    the servers' own rules decide who is eligible, see PoolRegistry.set_limits.

    Threads and event loops may share one. Works with or without `async with`.
    """

    def __init__(
        self,
        config: ScalingConfig | None = None,
        registry: PoolRegistry | None = None,
        policy: str = "round_robin",
        strict: bool = False,
        mode: str = "local",
        *,
        refresh: float = 0.5,
        static: Iterable[Server] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"mode is {mode!a}, it must be one of {', '.join(MODES)}")
        if mode == "exact" and policy != "round_robin":
            raise ValueError(f"exact picks are in turn, policy {policy!a} needs mode='local'")
        if not 0.05 <= refresh <= 60.0:
            raise ValueError(f"refresh is {refresh!r}, it must be seconds, 0.05 to 60")
        self.config = ScalingConfig() if config is None else config
        self._registry = registry
        self._selection = Selection(self.config, policy, strict=strict)
        self._strict = strict
        self._exact = mode == "exact"
        self._refresh = refresh
        self._static = tuple(static)
        self._clock = clock
        self._snapshot_age = float(self.config.balancing["snapshot_age"])
        self._read_at: float | None = None
        self._emptied_at: float | None = None
        self._grace = 0.0
        self._grace_until = 0.0
        self._on_static = False
        self._news = PanicNews()
        self._decisions = -1
        self._error = ""
        self._begin()
        _balancers.add(self)
        if registry is None:
            if not self._static:
                raise ValueError("a balancer needs a registry, or static servers")
            self._use_static()

    def _begin(self) -> None:
        self._start_lock = threading.Lock()
        self._first = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._wake: Callable[[], object] = self._stop.is_set

    async def distribute_request(self, request: object = None) -> str:
        """Return the id of the server that gets the request; its kind does not matter.

        Raises NoAvailableServersError when there is none.
        """
        server, _ = await self.choose()
        return server.id

    def pick(self, request: object = None) -> str:
        """Do the same for code that does not await; always by the reading that is here.

        The first pick waits up to a second for the first reading. Raises NoAvailableServersError.
        """
        if not self._first.is_set():
            self.ensure_reading()
        return self._selection.pick(self._clock()).id

    def ensure_reading(self) -> None:
        """Wait up to a second for the first reading of the pool, where there is none yet."""
        if not self._first.is_set():
            self.start()
            self._first.wait(FIRST_READING)

    def request(self, request: object = None, avoid: Container[str] = ()) -> PickedRequest:
        """Return a context manager, `async with` or `with`, that gives the Server.

        It counts the request as at work until its end, and tells how long it took. An exception
        that leaves the block is a failure of the server, a cancellation says nothing about it.
        """
        return PickedRequest(self, avoid)

    def report(
        self, server: str, seconds: float | None, ok: bool = True, *, unreachable: bool = False
    ) -> None:
        """Tell how a request ended whose server came from `distribute_request` or `pick`.

        `unreachable`: no connection could be made, which takes the server out at once.
        """
        self._selection.finish(
            server,
            seconds,
            ok,
            self._clock(),
            unreachable=unreachable,
            at_work_elsewhere=self._exact,
        )

    @property
    def panic(self) -> bool:
        """Whether so few servers are well that those above a threshold get requests too."""
        return self._selection.panic

    @property
    def status(self) -> BalancerStatus:
        """How the balancer fares at the moment."""
        age = None if self._read_at is None else self._clock() - self._read_at
        selection = self._selection
        return BalancerStatus(
            selection.eligible,
            selection.excluded,
            selection.live,
            selection.panic,
            age,
            self._registry is not None and (age is None or age > self._snapshot_age),
            self._error,
        )

    def start(self) -> None:
        """Begin to read the pool on a thread of its own; the first pick does it too."""
        with self._start_lock:
            if self._thread is None and self._registry is not None:
                self._stop = threading.Event()
                self._thread = threading.Thread(
                    target=self._run,
                    args=(self._registry, self._stop),
                    name="perftui-balancer",
                    daemon=True,
                )
                self._thread.start()

    def close(self) -> None:
        """Tell the last counts and end the thread, waiting a second at most."""
        with self._start_lock:
            thread, self._thread = self._thread, None
        self._stop.set()
        with contextlib.suppress(RuntimeError):
            self._wake()
        if thread is not None and thread is not threading.current_thread():
            thread.join(1.0)

    async def aclose(self) -> None:
        """Do the same without holding up the event loop."""
        await asyncio.to_thread(self.close)

    async def __aenter__(self) -> LoadBalancer:
        await self._ready()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def choose(
        self, avoid: Container[str] = (), *, followed: bool = False
    ) -> tuple[Server, bool]:
        """Return a server, and whether the registry made and counted the pick."""
        if not self._first.is_set():
            await self._ready()
        if self._exact and self._registry is not None:
            server = await self._choose_exactly(self._registry, avoid, followed)
            if server is not None:
                return server, True
        return self._selection.pick(self._clock(), avoid, followed=followed), False

    @property
    def selection(self) -> Selection:
        """The state behind the picks."""
        return self._selection

    @property
    def clock(self) -> Callable[[], float]:
        """The clock of all times, in seconds."""
        return self._clock

    def after_fork(self) -> None:
        """Begin anew in a child process, which has none of the threads."""
        self._begin()
        self._selection.after_fork()
        if self._registry is None:
            self._first.set()

    async def _choose_exactly(
        self, registry: PoolRegistry, avoid: Container[str], followed: bool
    ) -> Server | None:
        exclude = [server for server in self._selection.live if server in avoid] if avoid else []
        try:
            picked = await registry.pick(exclude)
            if picked is None:
                if self._strict:
                    raise NoAvailableServersError("no server of the pool is eligible")
                return None
            server = self._selection.picked_elsewhere(picked, followed=followed)
            if server is None:
                # It has come since the last reading.
                await self._read(registry)
                server = self._selection.picked_elsewhere(picked, followed=followed)
        except (PoolUnavailableError, PoolRefusedError) as error:
            # Also a Redis that is full or has become a replica must not cost the service a request.
            self._note_failure(error)
            return None
        return server

    async def _ready(self) -> None:
        self.start()
        end = time.monotonic() + FIRST_READING
        while not self._first.is_set() and time.monotonic() < end:
            await asyncio.sleep(0.005)

    def _run(self, registry: PoolRegistry, stopped: threading.Event) -> None:
        asyncio.run(self._keep_up(registry, stopped))

    async def _keep_up(self, registry: PoolRegistry, stopped: threading.Event) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._wake = lambda: loop.call_soon_threadsafe(stop.set)
        if stopped.is_set():
            stop.set()
        try:
            while not stop.is_set():
                await self._exchange(registry)
                self._first.set()
                await self._pause(registry, stop)
            await self._tell(registry)
        finally:
            await registry.aclose()

    async def _pause(self, registry: PoolRegistry, stop: asyncio.Event) -> None:
        """Wait until the pool is to be read again, or an operator has decided something."""
        end = time.monotonic() + self._refresh
        while (left := end - time.monotonic()) > 0 and not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), min(left, DECISIONS_EVERY))
            try:
                again = left > DECISIONS_EVERY and not self._error
                if again and await registry.decisions() != self._decisions:
                    return
            except Exception as error:
                self._note_failure(error)

    async def _exchange(self, registry: PoolRegistry) -> None:
        try:
            self._decisions = await registry.decisions()
            await self._read(registry)
        except Exception as error:
            # Without the thread the picks would go by an ever older state.
            self._note_failure(error)
            self._selection.tick(self._clock())
            if self._static and self._is_outdated():
                self._use_static()
            elif self._read_at is None:
                self._selection.explain(f"the pool has not been read yet: {self._error}")
            return
        if self._error:
            _logger.info("the balancer reads pool %s again", ascii(registry.pool))
        self._error = ""
        await self._tell(registry)

    def _note_failure(self, error: Exception) -> None:
        """Log a change for the worse once; anything but a fault of Redis with its place."""
        if not self._error:
            _logger.warning(
                "the balancer cannot read pool %s: %s",
                ascii(self._registry and self._registry.pool),
                error,
                exc_info=None if isinstance(error, PoolError) else error,
            )
        self._error = str(error) or type(error).__name__

    def _is_outdated(self) -> bool:
        return self._read_at is None or self._clock() - self._read_at > self._snapshot_age

    async def _read(self, registry: PoolRegistry) -> None:
        rows = await registry.servers()
        now = self._clock()
        since = 0.0 if self._read_at is None else now - self._read_at
        stale_after = float(self.config.balancing["stale_after"])
        if since > self._refresh + 1.0:
            # Nobody could be heard meanwhile; the next heartbeats come within a second or two.
            self._grace = since
            self._grace_until = now + stale_after
        if not rows and self._selection.live and not self._on_static:
            if self._emptied_at is None:
                self._emptied_at = now
            if now - self._emptied_at < EMPTY_GRACE:
                self._read_at = now
                return
        else:
            self._emptied_at = None
        grace = self._grace if now < self._grace_until else 0.0
        self._selection.update([read_server(row) for row in rows], now, grace)
        self._on_static = False
        self._read_at = now

    async def _tell(self, registry: PoolRegistry) -> None:
        from perftui.pool.registry import Counts

        counts = self._selection.take_counts()
        try:
            if counts:
                await registry.counts({server: Counts(*c) for server, c in counts.items()})
                counts = {}
            share = float(self.config.balancing["panic_threshold"])
            selection = self._selection
            await self._news.tell(registry, selection.panic, share, len(selection.live))
        except Exception as error:
            self._note_failure(error)
            self._selection.give_back(counts)

    def _use_static(self) -> None:
        self._selection.update(
            [Reading(server, "ready", NO_LOAD, 0.0) for server in self._static], self._clock()
        )
        self._on_static = True
        self._first.set()


_balancers: weakref.WeakSet[LoadBalancer] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for balancer in list(_balancers):
        balancer.after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)
