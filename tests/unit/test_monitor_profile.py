"""What the monitor passes on to the profiler: the process, the request, resets, rest."""

from __future__ import annotations

import os
import time
from typing import Any

import msgspec
import pytest

from perftui.config import Monitor as MonitorSettings
from perftui.config import Profile, Settings
from perftui.monitor import Monitor, collect
from perftui.profiling.request import default_request
from perftui.snapshot import ProfileRequest, Selection
from perftui.sources.pyspy.source import ProfileSource
from perftui.sources.source import Source

SETTINGS = Settings(
    monitor=MonitorSettings(sources=("top_calls",)),
    profile=Profile(mode="safe", window=0.0, idle=True, subprocesses=True),
)


def test_a_request_without_choice_is_that_of_the_settings() -> None:
    assert default_request(SETTINGS.profile) == ProfileRequest(
        mode="safe", window=0.0, idle=True, subprocesses=True
    )
    monitor = Monitor(SETTINGS)
    assert monitor.profile_request == default_request(SETTINGS.profile)
    chosen = ProfileRequest(gil=True)
    monitor.select(Selection(profile=chosen))
    assert monitor.profile_request == chosen


def test_the_profiler_is_told_what_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    source = ProfileSource()
    resets: list[bool] = []
    monkeypatch.setattr(source, "reset", lambda: resets.append(True))
    sources: list[Source[Any]] = [source]
    monitor = Monitor(SETTINGS, lambda settings: sources)
    monitor.start()
    try:
        monitor.select(Selection(profile=ProfileRequest(window=30)))
        monitor.profile(os.getpid())
        end = time.monotonic() + 5
        while (source.target, source.request.window) != (os.getpid(), 30):
            assert time.monotonic() < end
            time.sleep(0.02)
        monitor.reset_profile()
        assert resets == [True]
        # What nobody sees rests, and is still the same process when it is seen again.
        monitor.demand(frozenset())
        assert source.target == os.getpid()
        monitor.profile(None)
        assert source.target is None
    finally:
        monitor.stop()


def test_collect_profiles_from_the_begin_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[ProfileSource] = []

    def build(settings: Settings) -> list[Source[Any]]:
        made.append(ProfileSource())
        return [made[-1]]

    monkeypatch.setattr("perftui.monitor.build_sources", build)
    collect(SETTINGS, 0.1)
    wanted = default_request(SETTINGS.profile)
    assert made[-1].request == msgspec.structs.replace(wanted, window=0.0)
    collect(SETTINGS, 0.1, ProfileRequest(gil=True, window=5.0))
    assert made[-1].request == ProfileRequest(gil=True, window=0.0)
