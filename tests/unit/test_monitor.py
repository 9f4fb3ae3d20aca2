"""Monitor: ticks, demand, one snapshot at a time; `collect` for one window."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from perftui.config import Monitor as MonitorSettings
from perftui.config import Profile, Redis, Settings
from perftui.monitor import Monitor, collect
from perftui.snapshot import Absent, Snapshot, State
from perftui.sources.source import Source, SourceError


class Counting:
    """A source that counts its samples."""

    interval = 0.25
    deadline = 1.0

    def __init__(self, name: str) -> None:
        self.name = name
        self.runs = 0
        self.fail: SourceError | None = None
        self.block: threading.Event | None = None

    def sample(self) -> Any:
        self.runs += 1
        if self.block is not None:
            self.block.wait(10)
        if self.fail is not None:
            raise self.fail
        return ()

    def close(self) -> None:
        """Nothing is held."""


SETTINGS = Settings(monitor=MonitorSettings(interval=0.25), redis=Redis(url="redis://x"))


def running(*sources: Counting) -> Monitor:
    made: Callable[[Settings], list[Source[Any]]] = lambda _: list(sources)  # noqa: E731
    monitor = Monitor(SETTINGS, sources=made)
    monitor.start()
    return monitor


def wait(monitor: Monitor, accept: Callable[[Snapshot], bool]) -> Snapshot:
    snapshot = monitor.mailbox.wait(5.0, accept)
    assert snapshot is not None
    return snapshot


def test_snapshots_follow_each_other_and_fill_the_history() -> None:
    monitor = running(Counting("pools"))
    first = wait(monitor, lambda s: s.pools == ())
    later = wait(monitor, lambda s: s.version >= first.version + 3)
    assert later.monotonic > first.monotonic
    assert monitor.history.version >= 2
    monitor.stop()


def test_what_nobody_looks_at_does_not_run_but_rules_keep_their_sources() -> None:
    calls, pools, services = Counting("top_calls"), Counting("pools"), Counting("services")
    monitor = running(calls, pools, services)
    wait(monitor, lambda s: s.top_calls == () and s.pools == () and s.services == ())
    monitor.demand(frozenset())
    snapshot = wait(monitor, lambda s: isinstance(s.top_calls, Absent))
    assert isinstance(snapshot.top_calls, Absent)
    assert snapshot.top_calls.state is State.NOT_COLLECTED
    runs, others, more = calls.runs, services.runs, pools.runs
    time.sleep(0.8)
    assert calls.runs <= runs + 1
    assert services.runs > others
    assert pools.runs > more
    monitor.demand(frozenset({"top_calls"}))
    wait(monitor, lambda s: s.top_calls == ())
    monitor.stop()


def test_one_broken_source_leaves_the_others_alone() -> None:
    pools, services = Counting("pools"), Counting("services")
    pools.fail = SourceError(State.UNAVAILABLE, "gone", "bring it back")
    monitor = running(pools, services)
    snapshot = wait(monitor, lambda s: s.services == () and isinstance(s.pools, Absent))
    status = snapshot.status("pools")
    assert status is not None
    pools.fail = None
    wait(monitor, lambda s: s.pools == ())
    monitor.stop()


def test_a_hanging_source_does_not_stop_the_ticks_or_the_end() -> None:
    pools = Counting("pools")
    pools.block = threading.Event()
    monitor = running(pools, Counting("services"))
    first = wait(monitor, lambda s: s.services == ())
    wait(monitor, lambda s: s.version > first.version + 2)
    begin = time.monotonic()
    monitor.stop()
    assert time.monotonic() - begin < 5
    pools.block.set()


def test_without_redis_its_parts_say_how_to_configure_it() -> None:
    monitor = Monitor(Settings(), sources=lambda _: [])
    monitor.start()
    snapshot = wait(monitor, lambda s: s.version >= 1)
    for part in (snapshot.redis, snapshot.services, snapshot.pools):
        assert isinstance(part, Absent)
        assert "--redis" in part.fix
    assert isinstance(snapshot.host, Absent)
    assert "monitor.sources" in snapshot.host.reason
    monitor.stop()


def test_stop_before_start_and_twice_is_harmless() -> None:
    monitor = Monitor(Settings(), sources=lambda _: [])
    monitor.stop()
    monitor.start()
    monitor.stop()
    monitor.stop()


def test_collect_measures_over_the_window() -> None:
    settings = Settings(monitor=MonitorSettings(sources=("host", "processes")))
    begin = time.monotonic()
    snapshot = collect(settings, 0.5)
    assert time.monotonic() - begin >= 0.5
    cpu = snapshot.resources.cpu
    assert not isinstance(cpu, Absent)
    assert isinstance(cpu.percent, float)
    assert not isinstance(snapshot.processes, Absent)
    assert {status.name for status in snapshot.sources} == {"host", "processes"}


def test_a_bad_redis_url_is_refused_before_anything_starts() -> None:
    with pytest.raises(ValueError, match="redis"):
        collect(Settings(redis=Redis(url="http://x")), 0.1)


def test_the_profile_has_the_length_of_the_window() -> None:
    settings = Settings(monitor=MonitorSettings(sources=("top_calls",)), profile=Profile(pid=None))
    snapshot = collect(settings, 0.2)
    assert isinstance(snapshot.top_calls, Absent)
    assert "no process chosen" in snapshot.top_calls.reason
