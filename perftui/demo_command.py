"""The command `demo`: starts the stage, watches it with the dashboard or once, and stops it."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import msgspec

from perftui.config.errors import ConfigError, closest

if TYPE_CHECKING:
    from perftui.config import Settings
    from perftui.demo.stage import DemoStage
    from perftui.snapshot import Snapshot

READY_PATIENCE = 10.0
"""Seconds that the parts of the demo get before they are watched as they are."""
POLL = 0.05


def watch(settings: Settings, scenario: str | None) -> int:
    """Open the dashboard on the demo and return its exit code."""
    from perftui.tui.launch import run

    with _stage(scenario) as stage:
        # The parts start while the first frame is painted; the dashboard chooses a worker itself.
        return run(_settings_for(settings, stage, settings.profile.pid), stage)


def measure(settings: Settings, scenario: str | None, seconds: float) -> tuple[Snapshot, bool]:
    """Return one snapshot of the demo over `seconds`, taken when its parts are ready.

    The second value says that a part of the demo failed, which standard error tells more about.
    """
    from perftui.monitor import collect

    with _stage(scenario) as stage, _ended_by_sigterm():
        _await_parts(stage)
        failed = _complain_of_parts(stage)
        pid = settings.profile.pid or stage.first_worker_pid()
        return collect(_settings_for(settings, stage, pid), seconds), failed


def picture(
    settings: Settings,
    scenario: str | None,
    path: Path,
    size: tuple[int, int],
    seconds: float,
    keys: Sequence[str],
) -> None:
    """Write a picture of the dashboard on the demo, `seconds` after its parts are ready.

    Raises OSError when the file cannot be written.
    """
    from perftui.tui.screenshot import take_screenshot

    with _stage(scenario) as stage, _ended_by_sigterm():
        _await_parts(stage)
        pid = settings.profile.pid or stage.first_worker_pid()
        take_screenshot(_settings_for(settings, stage, pid), stage, path, size, seconds, keys)


@contextmanager
def _stage(scenario: str | None) -> Iterator[DemoStage]:
    from perftui.demo.scenarios import SCENARIOS
    from perftui.demo.stage import DemoStage

    known = [one.name for one in SCENARIOS]
    if scenario is not None and scenario not in known:
        raise ConfigError(
            f"--scenario is {scenario!r}; it must be one of {', '.join(known)}"
            f"{closest(scenario, known)}"
        )
    stage = DemoStage(scenario=scenario or known[0])
    try:
        stage.start()
        yield stage
    finally:
        stage.stop()


def _settings_for(settings: Settings, stage: DemoStage, pid: int | None) -> Settings:
    replace = msgspec.structs.replace
    return replace(
        settings,
        redis=replace(settings.redis, url=stage.redis_url),
        profile=replace(settings.profile, pid=pid),
        actions=replace(settings.actions, allow=True),
    )


def _await_parts(stage: DemoStage) -> None:
    from perftui.demo.messages import PartState

    deadline = time.monotonic() + READY_PATIENCE
    settled = (PartState.READY, PartState.STOPPED, PartState.FAILED)
    while time.monotonic() < deadline:
        if all(part.state in settled for part in stage.status()):
            return
        time.sleep(POLL)


def _complain_of_parts(stage: DemoStage) -> bool:
    from perftui.demo.messages import PartState

    # A part is stopped only because the scenario wants it so.
    missing = [p for p in stage.status() if p.state not in (PartState.READY, PartState.STOPPED)]
    for part in missing:
        reason = part.reason or f"not ready after {READY_PATIENCE:g} s"
        fix = f"; {part.fix}" if part.fix else ""
        sys.stderr.write(f"perftui: demo: {part.part} is {part.state.value}: {reason}{fix}\n")
    return bool(missing)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Turn SIGTERM into an orderly exit, so that the demo's processes are stopped."""

    def leave(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
