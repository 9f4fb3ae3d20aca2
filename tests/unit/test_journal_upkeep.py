"""Old journals go when the monitor starts, whoever may act, and again while it runs."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from perftui.cache.undo_journal import LIFETIME, Deleted, JournalWriter, directory
from perftui.config import Actions, Settings
from perftui.journal_upkeep import INTERVAL, JournalUpkeep
from perftui.monitor import Monitor


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def _journal(age: float) -> Path:
    writer = JournalWriter(address="x", db=0, servers=(), version="", pattern=b"*", who="me")
    writer.add([Deleted(b"key", -1, b"value of production")])
    writer.close()
    moment = time.time() - age
    os.utime(writer.path, (moment, moment))
    return writer.path


def test_the_monitor_removes_old_journals_without_any_action() -> None:
    new = _journal(1)
    old = _journal(LIFETIME + 1)
    monitor = Monitor(Settings(actions=Actions(allow=False)), sources=lambda _: [])
    monitor.start()
    end = time.monotonic() + 20
    while old.exists() and time.monotonic() < end:
        time.sleep(0.01)
    monitor.stop()
    assert not old.exists()
    assert new.exists()


def test_it_looks_again_after_a_while() -> None:
    upkeep = JournalUpkeep()
    upkeep.run(100.0)
    old = _journal(LIFETIME + 1)
    upkeep.run(100.0 + INTERVAL - 1)
    assert old.exists()
    upkeep.run(100.0 + INTERVAL)
    assert not old.exists()


def test_no_home_and_no_directory_are_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    JournalUpkeep().run(1.0)
    assert not directory().exists()

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    JournalUpkeep().run(1.0)
