"""Makes the sources that the settings ask for, and imports no more than those need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perftui.sources.cgroup.source import CgroupSource
from perftui.sources.descriptors import DescriptorsSource
from perftui.sources.file_systems import FileSystemsSource
from perftui.sources.host import HostSource
from perftui.sources.processes.source import ProcessSource
from perftui.sources.pyspy.source import ProfileSource
from perftui.sources.source import Source

if TYPE_CHECKING:
    from perftui.config import Settings


SLOW_INTERVAL = 10.0
"""Seconds between two looks at what fills up over minutes and hours."""
QUERIES_INTERVAL = 5.0
"""Seconds between two looks at what services observed, which they report every 30 s."""
PROFILE_REFRESH = 1.0
"""Seconds between two tables of calls; every start of py-spy costs both sides CPU time."""


def configured(settings: Settings) -> frozenset[str]:
    """Return the names of the sources that the settings give something to read."""
    names = {"host", "cgroup", "processes", "file_systems", "descriptors", "top_calls"}
    if settings.redis.url:
        names |= {"redis", "redis_detail", "services", "pools", "queries"}
    if settings.haproxy.sockets:
        names.add("haproxy")
    if settings.scrape.urls or settings.scrape.discover:
        names.add("scrape")
    if settings.prometheus.url:
        names.add("prometheus")
    return frozenset(names)


def build_sources(settings: Settings) -> list[Source[Any]]:
    """Return one new source of each kind that is switched on and has something to read.

    Raises ValueError for a URL that cannot be understood.
    """
    interval = settings.monitor.interval
    profile = settings.profile
    sources: list[Source[Any]] = [
        HostSource(interval),
        CgroupSource(interval=interval),
        ProcessSource(interval),
        FileSystemsSource(max(interval, SLOW_INTERVAL)),
        DescriptorsSource(max(interval, SLOW_INTERVAL)),
        ProfileSource(
            profile.mode,
            round(profile.rate),
            profile.window,
            PROFILE_REFRESH,
            gil=profile.gil,
            idle=profile.idle,
            native=profile.native,
            subprocesses=profile.subprocesses,
        ),
    ]
    if settings.redis.url:
        from perftui.sources.pools import PoolsSource
        from perftui.sources.queries import QueriesSource
        from perftui.sources.redis.detail import RedisDetailSource
        from perftui.sources.redis.server import RedisServerSource
        from perftui.sources.redis.target import RedisTarget
        from perftui.sources.services.source import ServicesSource

        target = RedisTarget.parse(settings.redis.url)
        sources += [
            RedisServerSource(target, interval),
            RedisDetailSource(target, max(interval, 2.0)),
            ServicesSource(target, max(interval, 2.0)),
            PoolsSource(target, interval),
            QueriesSource(target, max(interval, QUERIES_INTERVAL)),
        ]
    if settings.haproxy.sockets:
        from perftui.sources.haproxy.source import HaproxySource

        sources.append(HaproxySource(settings.haproxy))
    if settings.scrape.urls or settings.scrape.discover:
        from perftui.sources.scrape.source import ScrapeSource

        sources.append(ScrapeSource(settings.scrape, settings.operations))
    if settings.prometheus.url:
        from perftui.sources.prometheus.source import PrometheusSource

        sources.append(PrometheusSource(settings.prometheus, settings.operations))
    return [source for source in sources if source.name in settings.monitor.sources]
