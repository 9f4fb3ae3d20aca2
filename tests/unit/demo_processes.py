"""Helpers for tests of the demo: waiting, and finding what a stage has started."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil

from perftui.demo.messages import PartState, PartStatus
from perftui.demo.stage import DemoStage

T = TypeVar("T")

HANG = 15.0
"""Seconds after which a wait counts as a hang; far above what anything here takes."""


def wait_for(question: Callable[[], T], seconds: float = HANG) -> T:
    """Return the first answer that is true; fails when there is none in time."""
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < end, f"nothing came of it in {seconds} s"
        time.sleep(0.02)


def part(stage: DemoStage, name: str) -> PartStatus:
    """Return the status of one part."""
    return next(status for status in stage.status() if status.part == name)


def wait_until_ready(stage: DemoStage) -> None:
    """Wait until all parts are ready; fails with their statuses."""
    end = time.monotonic() + HANG
    while any(status.state is not PartState.READY for status in stage.status()):
        assert time.monotonic() < end, stage.status()
        time.sleep(0.02)


def processes_below(pid: int) -> list[psutil.Process]:
    """Return a process and all that it has started."""
    top = psutil.Process(pid)
    return [top, *top.children(recursive=True)]


def all_gone(processes: list[psutil.Process]) -> bool:
    """Return whether none of the processes lives; a dead one nobody waited for counts as gone."""
    return not any(_lives(process) for process in processes)


def directory_of(stage: DemoStage) -> Path:
    """Return the stage's directory."""
    assert stage.directory is not None
    return stage.directory


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
