"""The command `exporter`: watches without a screen and serves what it finds for Prometheus."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import msgspec

from perftui.config import Settings
from perftui.monitor import Monitor
from perftui.output.exporter_metrics import SnapshotCollector
from perftui.output.exporter_server import SWEEP, Address, ListenError, PageServer
from perftui.snapshot import Snapshot

__all__ = ["DEFAULT_ADDRESS", "Address", "ListenError", "run"]

DEFAULT_ADDRESS = "127.0.0.1:9465"
EXPORTED = (
    "host",
    "cgroup",
    "file_systems",
    "descriptors",
    "redis",
    "services",
    "pools",
    "haproxy",
    "scrape",
)
"""Sources that the page, or an alert on it, needs; what Prometheus told would go in circles."""
FIRST_READING = 3.0
"""Seconds that the first request waits for the first readings."""


def run(settings: Settings, address: Address) -> None:
    """Serve until SIGTERM; raises ListenError, and KeyboardInterrupt when it is interrupted."""
    monitor = Monitor(_settings_for(settings))
    limit = 5 * settings.monitor.interval + 5
    server = PageServer(
        address,
        SnapshotCollector(lambda: _latest(monitor)),
        lambda: _is_current(monitor.mailbox.latest(), limit),
    )
    serving = threading.Thread(
        target=server.serve_forever, args=(SWEEP,), name="exporter", daemon=True
    )
    with _stopped_by_sigterm() as stopped:
        try:
            monitor.start()
            serving.start()
            sys.stderr.write(f"perftui: serving {_url(address, server.port)}\n")
            sys.stderr.flush()
            stopped()
        finally:
            if serving.is_alive():
                server.shutdown()
            server.server_close()
            monitor.stop()


def _settings_for(settings: Settings) -> Settings:
    replace = msgspec.structs.replace
    sources = tuple(name for name in settings.monitor.sources if name in EXPORTED)
    return replace(settings, monitor=replace(settings.monitor, sources=sources))


def _latest(monitor: Monitor) -> Snapshot | None:
    """Return the newest snapshot, the first time once every source has tried."""
    newest = monitor.mailbox.latest()
    if newest is not None and newest.version > 3:
        return newest
    return monitor.mailbox.wait(FIRST_READING, _has_tried) or monitor.mailbox.latest()


def _has_tried(snapshot: Snapshot) -> bool:
    return all(status.runs for status in snapshot.sources)


def _is_current(snapshot: Snapshot | None, limit: float) -> bool:
    return snapshot is not None and time.monotonic() - snapshot.monotonic <= limit


def _url(address: Address, port: int) -> str:
    shown = Address(address.host or "localhost", port)
    where = "" if address.host else " on every address of this machine"
    return f"http://{shown}/metrics{where}"


@contextmanager
def _stopped_by_sigterm() -> Iterator[Callable[[], None]]:
    """Give a function that returns when SIGTERM comes."""
    stop = threading.Event()

    def end(_: int, __: FrameType | None) -> None:
        stop.set()

    def wait() -> None:
        # A wait without an end would not let Ctrl-C through on every system.
        while not stop.wait(3600):
            pass

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield wait
    finally:
        signal.signal(signal.SIGTERM, before)
