"""The command `alerts`: watches without a screen and writes a line for each change of an alert."""

from __future__ import annotations

import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from perftui.config import Settings
from perftui.monitor import Monitor
from perftui.output.alert_changes import AlertChanges, Change
from perftui.output.alert_delivery import AlertDelivery
from perftui.output.alert_messages import json_of, line_of
from perftui.snapshot import Severity, Snapshot

LOOK = 0.25
"""Seconds between two looks at whether it is time to end."""

LAST_PATIENCE = 5.0
"""Seconds that what is still to be told may take at the end, when nobody interrupts."""

HURRIED_PATIENCE = 1.0
"""The same when somebody does, and waits for it."""


def follow(
    settings: Settings,
    delivery: AlertDelivery,
    write: Callable[[str], bool],
    *,
    as_json: bool = False,
    ascii_only: bool = False,
    seconds: float = float("inf"),
) -> frozenset[Severity]:
    """Follow alerts until SIGTERM, SIGHUP or for `seconds`; return the severities that have fired.

    `write` returns whether anybody still reads, which ends it too. Raises KeyboardInterrupt.
    """
    monitor = Monitor(settings)
    patience = HURRIED_PATIENCE
    with _ended_by_signals() as ended:
        try:
            monitor.start()
            sys.stderr.write("perftui: following alerts, Ctrl-C ends\n")
            sys.stderr.flush()
            fired = _follow(monitor, delivery, _writer(write, as_json, ascii_only), seconds, ended)
            patience = LAST_PATIENCE
        finally:
            monitor.stop()
            delivery.close(patience)
    return fired


def _follow(
    monitor: Monitor,
    delivery: AlertDelivery,
    tell: Callable[[Change], bool],
    seconds: float,
    ended: threading.Event,
) -> frozenset[Severity]:
    changes = AlertChanges()
    fired: set[Severity] = set()
    end = time.monotonic() + seconds
    version = -1
    while not ended.is_set() and _has_reader():
        left = end - time.monotonic()
        if left <= 0:
            break
        snapshot = monitor.mailbox.wait(min(LOOK, left), _newer_than(version))
        if snapshot is None:
            continue
        version = snapshot.version
        fired |= {alert.severity for alert in snapshot.firing}
        delivery.offer(snapshot)
        if not all(tell(change) for change in changes.update(snapshot)):
            break
    return frozenset(fired)


def _newer_than(version: int) -> Callable[[Snapshot], bool]:
    return lambda snapshot: snapshot.version > version


def _writer(
    write: Callable[[str], bool], as_json: bool, ascii_only: bool
) -> Callable[[Change], bool]:
    def tell(change: Change) -> bool:
        text = json_of(change).decode() if as_json else line_of(change, ascii_only)
        return write(f"{text}\n")

    return tell


def _has_reader() -> bool:
    """Return whether somebody reads standard output.

    A pipe without a reader is an error to poll(2) at once, to write(2) only with the next line,
    which may be hours away.
    """
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return True
    poll = select.poll()
    poll.register(descriptor, 0)
    return not any(events & select.POLLERR for _, events in poll.poll(0))


@contextmanager
def _ended_by_signals() -> Iterator[threading.Event]:
    """Give an event that SIGTERM sets, and SIGHUP where nohup(1) does not have it ignored."""
    ended = threading.Event()

    def end(_: int, __: FrameType | None) -> None:
        ended.set()

    ends = [signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        ends.append(signal.SIGHUP)
    before = [(number, signal.signal(number, end)) for number in ends]
    try:
        yield ended
    finally:
        for number, handler in before:
            signal.signal(number, handler)
