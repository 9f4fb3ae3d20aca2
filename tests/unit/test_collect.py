"""How often `collect` samples a source within its window."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from perftui.config import Monitor, Settings
from perftui.monitor import collect
from perftui.snapshot import OperationWindow, Scrape, Service, State
from perftui.sources.source import SourceError


class Recording:
    """A source without a reading that notes when it was asked; the first time takes `slow` s."""

    deadline = 2.0

    def __init__(self, name: str, interval: float, slow: float = 0.0) -> None:
        self.name = name
        self.interval = interval
        self.times: list[float] = []
        self._slow = slow

    def sample(self) -> Any:
        if not self.times:
            time.sleep(self._slow)
        self.times.append(time.monotonic())
        raise SourceError(State.UNAVAILABLE, "nothing to read")

    def close(self) -> None:
        """Nothing is held."""


def sampled(monkeypatch: pytest.MonkeyPatch, source: Recording, seconds: float) -> list[float]:
    """Return when the source was sampled, in seconds since the begin."""
    monkeypatch.setattr("perftui.monitor.build_sources", lambda settings: [source])
    begin = time.monotonic()
    collect(Settings(monitor=Monitor(sources=())), seconds)
    return [moment - begin for moment in source.times]


def test_a_rate_is_measured_from_the_begin_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    times = sampled(monkeypatch, Recording("pools", 0.1), 0.6)
    assert len(times) == 2
    assert times[1] - times[0] == pytest.approx(0.6, abs=0.3)


@pytest.mark.parametrize("name", ["services", "scrape", "prometheus"])
def test_what_adds_up_windows_is_sampled_in_between(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    times = sampled(monkeypatch, Recording(name, 0.2), 1.0)
    assert 3 <= len(times) <= 6
    assert times[-1] >= 1.0


def test_a_long_interval_still_has_begin_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    times = sampled(monkeypatch, Recording("scrape", 30.0), 0.5)
    assert len(times) == 2


def test_a_slow_first_sample_is_followed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(sampled(monkeypatch, Recording("scrape", 2.0, slow=0.4), 0.2)) == 2


class Page(Recording):
    """A page whose service can be told of from sample number `ready` on, and an idle one."""

    def __init__(self, ready: int) -> None:
        super().__init__("scrape", 2.0)
        self._ready = ready

    def sample(self) -> Any:
        self.times.append(time.monotonic())
        covered = 1.5 if len(self.times) >= self._ready else 0.2
        windows = (OperationWindow(10.0, covered, ()),) if len(self.times) > 1 else ()
        live = Service("web", 1, ("h",), 0.1, windows, origin="scrape")
        return Scrape((), (live, Service("gone", 0, ("h",), 99.0, origin="scrape")))


def test_a_page_is_read_until_its_operations_can_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(sampled(monkeypatch, Page(ready=5), 0.3)) == 5
    assert len(sampled(monkeypatch, Page(ready=1), 0.3)) == 2


def test_a_page_that_never_tells_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perftui.window_sampling.LONGEST_MORE", 1.0)
    times = sampled(monkeypatch, Page(ready=10**6), 0.3)
    assert 3 <= len(times) <= 12
    assert times[-1] < 6


def test_nothing_is_left_running(monkeypatch: pytest.MonkeyPatch) -> None:
    sampled(monkeypatch, Recording("services", 0.1), 0.3)
    assert not [t for t in threading.enumerate() if t.name.startswith("once-")]
