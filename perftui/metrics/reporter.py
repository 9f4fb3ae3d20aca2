"""Reports what a service does to Redis, from where the screen reads it."""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import PurePath
from types import EllipsisType, TracebackType
from typing import TYPE_CHECKING

from perftui.metrics.cache_reading import ReportedCaches, sources_of
from perftui.metrics.report import INTERVAL, ResourceUse

if TYPE_CHECKING:
    import asyncio

    from redis import Redis, RedisCluster

    from perftui.metrics.execution import ExecutionMetrics
    from perftui.metrics.probes import Probes
    from perftui.metrics.profile_publisher import ProfilePublisher
    from perftui.metrics.query_publisher import QueryPublisher
    from perftui.metrics.reporter_life import Reporting
    from perftui.metrics.resources import ResourceMetrics
    from perftui.profiling.code_profiler import CodeProfiler
    from perftui.queries.optimizer import QueryOptimizer

DEFAULT_URL = "redis://localhost:6379/0"
LONGEST_SERVICE = 100
SHORTEST_INTERVAL = 0.1
LONGEST_INTERVAL = 5.0
"""Seconds; a reader takes a process that said nothing for 6 s for stale."""
LONGEST_PAUSE = 30.0
STOP_SECONDS = 0.4
START_SECONDS = 0.25

_logger = logging.getLogger("perftui")


@dataclasses.dataclass(frozen=True)
class ReporterStatus:
    """How a Reporter fares, for the service's own health page.

    `state` is off (never started, or the environment's settings are wrong), starting, reporting,
    failing or stopped. `last_success` is seconds since the last report that reached Redis, None
    when none did; `error` says why the last one did not, without secrets, and is empty when it
    did. `reports` counts those that reached Redis from this process.
    """

    state: str
    service: str
    instance: str
    last_success: float | None
    error: str
    reports: int


class Reporter:
    """Publishes operations, resources and caches of this process to Redis; `start()` begins.

    `redis`: a URL (redis://, rediss://, unix://), a redis.Redis or a redis.RedisCluster; by default
    the environment's REDIS_URL, else redis://localhost:6379/0. A redis.Redis lends its settings,
    not its connections, and the URL of one node of a Redis Cluster is enough.
    `service`: the name on the screen; by default the environment's PERFTUI_SERVICE, else the name
    of the program. All processes of a service give the same name.
    `interval`: seconds between reports; `longest_pause`: most seconds between attempts while Redis
    is away.
    `metrics`: by default what `ExecutionMetrics()` counts. `resources`: by default the CPU, memory
    and disk use of this process; None leaves them out. `caches`: a CacheManager or several, whose
    look-ups, limits and coherence are reported by namespace and added up, or a function that
    returns the CacheCounts of other caches by namespace since the process began.
    `allow_profiling`: lets a py-spy of the same user attach, see `perftui.allow_profiling`.
    `probes`: measures pauses of the garbage collector, and how late the asyncio event loop is in
    which `start` is called; a loop that begins later is watched from `watch_loop()` on.
    `profiler`: a CodeProfiler, whose 50 heaviest functions are reported while it runs, read anew
    every 10 s and more often in the beginning.
    `queries`: a QueryOptimizer, whose observations are reported every 30 s without any value, and
    kept for eight days after the process has ended.

    Once it is made it neither raises into the service nor lets it wait for Redis: a daemon thread
    sends the reports, and a change for the worse or the better is one line in the log `perftui`,
    and in `status`. A process forked after `start`, as by gunicorn with preload_app, reports by
    itself, without the counts of its parent. The end of the interpreter, of a multiprocessing
    child, and of the lifespan of an ASGI application with an OperationMiddleware sends a last
    report, which takes 0.4 s at most. A process that ends by os._exit, or by a signal that Python
    does not handle, sends none, and the screen shows it as stale.

    A Redis user with few rights needs the commands SET, ZADD, ZREM, ZREMRANGEBYSCORE, EXPIRE and
    TIME on the keys ~perftui:*, SELECT for a database other than 0, and CLUSTER in a cluster.

    Raises TypeError for a `redis` of another kind, an asyncio client too, for `caches` that are
    none, a `profiler` that is no CodeProfiler and `queries` that are no QueryOptimizer; ValueError
    for a URL, a service name or an interval that is not valid. What is wrong in the environment is
    logged instead, and the Reporter stays off.
    """

    def __init__(
        self,
        redis: str | Redis | RedisCluster | None = None,
        service: str | None = None,
        *,
        interval: float = INTERVAL,
        longest_pause: float = LONGEST_PAUSE,
        metrics: ExecutionMetrics | None = None,
        resources: ResourceMetrics | EllipsisType | None = ...,
        caches: ReportedCaches | None = None,
        allow_profiling: bool = False,
        probes: bool = False,
        profiler: CodeProfiler | None = None,
        queries: QueryOptimizer | None = None,
    ) -> None:
        from perftui.metrics.redis_wire import wire_to
        from perftui.metrics.reporter_life import Reporting

        _check(interval, longest_pause)
        cache_sources = sources_of(caches)
        self._reporting: Reporting | None = None
        self._problem = ""
        self._probes: Probes | None = None
        if probes:
            from perftui.metrics.probes import Probes

            self._probes = Probes()
        profile = _publisher(profiler)
        observed = _query_publisher(queries)
        self._service = "" if service is None else valid_service(service)
        if allow_profiling:
            self.allow_profiling()
        try:
            self._service = self._service or _service_of_environment()
            wire = wire_to(os.environ.get("REDIS_URL") or DEFAULT_URL if redis is None else redis)
        except _EnvironmentError as error:
            self._stay_off(str(error))
            return
        except ValueError as error:
            if redis is not None or "REDIS_URL" not in os.environ:
                raise
            self._stay_off(f"REDIS_URL: {error}")
            return
        self._reporting = Reporting(
            self._service,
            wire,
            metrics,
            _resource_reader(resources),
            cache_sources,
            interval,
            longest_pause,
            self._probes,
            profile,
            observed,
        )

    @property
    def service(self) -> str:
        """The name the reports bear."""
        return self._service

    @property
    def status(self) -> ReporterStatus:
        """How this Reporter fares at the moment."""
        reporting = self._reporting
        delivery = None if reporting is None else reporting.delivery
        if reporting is None or delivery is None:
            return ReporterStatus("off", self._service, "", None, self._problem, 0)
        succeeded = delivery.succeeded
        return ReporterStatus(
            state=delivery.state,
            service=self._service,
            instance=reporting.instance,
            last_success=None if succeeded is None else time.monotonic() - succeeded,
            error=delivery.error,
            reports=delivery.reports,
        )

    def start(self) -> Reporter:
        """Begin to report, and return this Reporter; does nothing when it reports already."""
        if self._reporting is not None:
            self._reporting.start(START_SECONDS)
        return self

    def stop(self) -> None:
        """Send a last report and end, within 0.4 s; does nothing when it does not report."""
        if self._reporting is not None:
            self._reporting.begin_stop()
            self._reporting.join(STOP_SECONDS)

    def watch_loop(self, loop: asyncio.AbstractEventLoop | None = None) -> bool:
        """Measure how late an event loop is, by default the one that runs in this thread.

        A process that gunicorn forked, or a service that makes its Reporter before its loop, calls
        this where the loop runs, such as in the startup of an ASGI application. It ends with the
        loop. Return False, and do nothing, without `probes`, or where no loop runs.
        """
        import asyncio

        if self._probes is None or self._reporting is None:
            return False
        if loop is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                return False
        if loop.is_closed():
            return False
        self._probes.watch(loop)
        return True

    def allow_profiling(self) -> bool:
        """Let a py-spy of the same user attach to this process; see `perftui.allow_profiling`."""
        from perftui.profiling.permission import allow_profiling

        return allow_profiling()

    def __enter__(self) -> Reporter:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _stay_off(self, problem: str) -> None:
        self._problem = problem
        _logger.warning("service %s does not report: %s", self._service, problem)


class _EnvironmentError(Exception):
    """The environment says something that is not valid; the service itself does not."""


def valid_service(name: str) -> str:
    """Return a service's name; raises TypeError or ValueError that says what is wrong with it."""
    if not isinstance(name, str):
        raise TypeError(f"service is {name!r:.80}; it must be a str")
    if not name.strip() or not name.isprintable() or "/" in name or len(name) > LONGEST_SERVICE:
        raise ValueError(
            f"service is {name!r:.120}; it must be 1 to {LONGEST_SERVICE} printable characters "
            "without a slash"
        )
    return name


def _service_of_environment() -> str:
    """Return PERFTUI_SERVICE or the program's name; raises _EnvironmentError."""
    named = os.environ.get("PERFTUI_SERVICE")
    if not named:
        return program_name(sys.argv[0] if sys.argv else "")
    try:
        return valid_service(named)
    except ValueError as error:
        raise _EnvironmentError(f"PERFTUI_SERVICE: {error}") from None


def program_name(program: str) -> str:
    """Return a service's name made of how a program was started: its file, or its package."""
    path = PurePath(program)
    name = path.parent.name if path.stem == "__main__" else path.stem
    name = "".join(letter if letter.isprintable() else "_" for letter in name)[:LONGEST_SERVICE]
    return name.strip() if name.strip() and name not in ("-c", "-m", "-") else "python"


def _check(interval: float, longest_pause: float) -> None:
    if not SHORTEST_INTERVAL <= interval <= LONGEST_INTERVAL:
        raise ValueError(
            f"interval is {interval!r} seconds; it must be {SHORTEST_INTERVAL:g} "
            f"to {LONGEST_INTERVAL:g}"
        )
    if not longest_pause >= interval:
        raise ValueError(
            f"longest_pause is {longest_pause!r} seconds, less than the interval of {interval!r}"
        )


def _publisher(profiler: CodeProfiler | None) -> ProfilePublisher | None:
    """Return what reports a profiler; raises TypeError for something else."""
    if profiler is None:
        return None
    from perftui.metrics.profile_publisher import ProfilePublisher
    from perftui.profiling.code_profiler import CodeProfiler

    if not isinstance(profiler, CodeProfiler):
        raise TypeError(f"profiler is {profiler!r:.80}; it must be a CodeProfiler object")
    return ProfilePublisher(profiler)


def _query_publisher(queries: QueryOptimizer | None) -> QueryPublisher | None:
    """Return what reports observed queries; raises TypeError for something else."""
    if queries is None:
        return None
    from perftui.metrics.query_publisher import QueryPublisher
    from perftui.queries.optimizer import QueryOptimizer

    if not isinstance(queries, QueryOptimizer):
        raise TypeError(f"queries is {queries!r:.80}; it must be a QueryOptimizer object")
    return QueryPublisher(queries)


def _resource_reader(
    resources: ResourceMetrics | EllipsisType | None,
) -> Callable[[], ResourceUse] | None:
    """Return a function that reads the use of the process that calls it."""
    if resources is None:
        return None
    if resources is ...:
        from perftui.metrics.own_use import OwnUse

        return OwnUse().use

    def read() -> ResourceUse:
        resources.update_resource_usage()
        return resources.use()

    return read
