"""A noisy CPU over a simulated day, as in the measurements behind the rule's durations."""

from __future__ import annotations

import math
import random

import pytest
from alert_drive import Drive, Values, made_rule

from perftui.snapshot import AlertState, Severity

DAY = 86_400
CPU = {"smoothing": 60.0, "hold": 60.0, "keep": 120.0}
CORRELATION = 0.9
"""From one second to the next, as busy periods last some seconds."""


class Noise:
    """Noise of standard deviation 5 in which each value remembers the one before."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._value = 0.0

    def __call__(self, mean: float) -> float:
        fresh = self._random.gauss(0.0, 5.0 * math.sqrt(1 - CORRELATION**2))
        self._value = CORRELATION * self._value + fresh
        return min(100.0, max(0.0, mean + self._value))


def day(mean: float, seed: int) -> tuple[int, Drive]:
    """Return how often the state changed between firing and not, and the engine."""
    values, noise = Values(), Noise(seed)
    drive = Drive(made_rule(values, **CPU))
    changes, fired = 0, False
    for _ in range(DAY):
        values.set(noise(mean))
        drive.tick()
        now = any(a.state in (AlertState.FIRING, AlertState.RECOVERING) for a in drive.alerts)
        changes += now != fired
        fired = now
    return changes, drive


@pytest.mark.parametrize("seed", [1, 2])
def test_a_mean_above_the_level_changes_state_at_most_twice_a_day(seed: int) -> None:
    changes, drive = day(84.0, seed)
    assert 1 <= changes <= 2
    assert len(drive.events) == 1


def test_a_mean_below_the_level_never_fires() -> None:
    changes, drive = day(70.0, 3)
    assert changes == 0
    assert drive.events == ()


def step(seed: int) -> int:
    """Return the seconds after which a step from 50 to 97 % fires."""
    values, noise = Values(), Noise(seed)
    drive = Drive(made_rule(values, **CPU))
    for _ in range(1800):
        values.set(noise(50.0))
        drive.tick()
    waited = 0
    while drive.alerts == () or drive.alerts[0].state is not AlertState.FIRING:
        values.set(noise(97.0))
        drive.tick()
        waited += 1
        assert waited <= 600
    for _ in range(180):
        values.set(noise(99.0))
        drive.tick()
    assert drive.alerts[0].severity is Severity.CRITICAL
    return waited


@pytest.mark.parametrize("seed", range(40, 50))
def test_a_real_step_fires_within_hold_and_smoothing(seed: int) -> None:
    assert 60 < step(seed) <= 120
