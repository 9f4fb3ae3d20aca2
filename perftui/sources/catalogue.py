"""Makes the sources that the settings ask for; nothing heavy is imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perftui.sources.cgroup import CgroupSource
from perftui.sources.host import HostSource
from perftui.sources.pools import PoolsSource
from perftui.sources.processes import ProcessSource
from perftui.sources.pyspy import ProfileSource
from perftui.sources.redis_connection import RedisTarget
from perftui.sources.redis_server import RedisServerSource
from perftui.sources.services import ServicesSource
from perftui.sources.source import Source

if TYPE_CHECKING:
    from perftui.config import Settings


PROFILE_REFRESH = 2.0
"""Seconds between two tables of calls: every start of py-spy costs both sides CPU time."""


def build_sources(settings: Settings) -> list[Source[Any]]:
    """Return one new source of each kind that is switched on and has something to read.

    Raises ValueError for a Redis URL that cannot be understood.
    """
    interval = settings.monitor.interval
    profile = settings.profile
    sources: list[Source[Any]] = [
        HostSource(interval),
        CgroupSource(interval=interval),
        ProcessSource(interval),
        ProfileSource(profile.mode, round(profile.rate), profile.window, PROFILE_REFRESH),
    ]
    if settings.redis.url:
        target = RedisTarget.parse(settings.redis.url)
        sources += [
            RedisServerSource(target, interval),
            ServicesSource(target, max(interval, 2.0)),
            PoolsSource(target, interval),
        ]
    return [source for source in sources if source.name in settings.monitor.sources]
