"""Finds pages of metrics on the ports that listen on this machine; never asks another host."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import NamedTuple

from perftui.snapshot import State
from perftui.sources.http.client import HttpClient, HttpTarget
from perftui.sources.scrape.endpoint import ACCEPT
from perftui.sources.scrape.parse import is_metrics
from perftui.sources.scrape.readers import THREADS
from perftui.sources.source import SourceError

AGAIN_AFTER = 60.0
PROBE_TIMEOUT = 0.3
PATH = "/metrics"
MOST_PORTS = 500
LISTEN = "0A"
"""State of a listening socket: TCP_LISTEN in the kernel's include/net/tcp_states.h."""
OTHER_PROTOCOLS = frozenset(
    {22, 25, 53, 110, 143, 389, 465, 587, 631, 636, 993, 995, 1433, 1521, 2181, 3306, 3389, 5432}
    | {5672, 5900, 6379, 9092, 11211, 26379, 27017}
)
"""Ports of well-known services that speak something else and would log an attack."""


class Listener(NamedTuple):
    """A listening port and the address of this machine it is reached by; `id` is of its socket."""

    host: str
    port: int
    id: str

    @property
    def url(self) -> str:
        """Where its page of metrics would be."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}{PATH}"


def listeners(proc: Path = Path("/proc")) -> tuple[Listener, ...]:
    """Return the ports that listen on loopback, those of this process left out, by port.

    Reads net/tcp and net/tcp6 of proc(5), and asks psutil where there are none. Raises
    SourceError where the system does not tell.
    """
    found: dict[int, Listener] = {}
    tables = [proc / "net" / name for name in ("tcp", "tcp6")]
    if not any(table.exists() for table in tables):
        return _listeners_of_psutil()
    own = _own_sockets(proc)
    for table in tables:
        try:
            lines = table.read_text(encoding="ascii", errors="replace").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if len(fields) < 10 or fields[3] != LISTEN or fields[9] in own:
                continue
            address, _, port = fields[1].partition(":")
            try:
                host, number = _reached_by(address), int(port, 16)
            except ValueError:
                continue
            if host:
                found.setdefault(number, Listener(host, number, fields[9]))
    return tuple(found[port] for port in sorted(found))


def _reached_by(address: str) -> str:
    """Return the loopback address for one of the tables, which are hexadecimal words.

    Empty for one that is not reached by loopback; ValueError for what is no address.
    """
    words = [bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8)]
    raw = b"".join(words)
    if len(raw) == 16:
        mapped = raw[:12] == bytes(10) + b"\xff\xff"
        if raw == bytes(16):
            return "127.0.0.1"
        if raw == bytes(15) + b"\x01":
            return "::1"
        if not mapped:
            return ""
        raw = raw[12:]
    if raw == bytes(4):
        return "127.0.0.1"
    return ".".join(map(str, raw)) if raw[0] == 127 else ""


def _own_sockets(proc: Path) -> frozenset[str]:
    sockets = set()
    folder = proc / "self" / "fd"
    try:
        names = os.listdir(folder)
    except OSError:
        return frozenset()
    for name in names:
        try:
            target = os.readlink(folder / name)
        except OSError:
            continue
        if target.startswith("socket:["):
            sockets.add(target[8:-1])
    return frozenset(sockets)


def _listeners_of_psutil() -> tuple[Listener, ...]:
    import psutil

    try:
        connections = psutil.net_connections("tcp")
    except (psutil.Error, OSError) as error:
        raise SourceError(
            State.DENIED,
            "this user may not see which ports listen on this machine",
            "name the pages with --scrape URL, or start as root",
        ) from error
    found: dict[int, Listener] = {}
    for each in connections:
        if each.status != psutil.CONN_LISTEN or each.pid == os.getpid():
            continue
        address = each.laddr
        if not address:
            continue
        host = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}.get(address.ip, address.ip)
        if host == "::1" or host.startswith("127."):
            found.setdefault(address.port, Listener(host, address.port, str(address.port)))
    return tuple(found[port] for port in sorted(found))


class Discovery:
    """Looks for pages every minute on threads of its own; `urls` are those found last."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._lock = threading.Lock()
        self._urls: tuple[str, ...] = ()
        self._mute: set[str] = set()
        self._looked_at = -AGAIN_AFTER
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self.error: SourceError | None = None

    @property
    def urls(self) -> tuple[str, ...]:
        """The pages that were found, by port."""
        return self._urls

    def look(self, patience: float) -> None:
        """Start to look when it is time; wait for the first result `patience` seconds at most."""
        now = time.monotonic()
        if self._thread is not None and self._thread.is_alive():
            return
        if now - self._looked_at < AGAIN_AFTER or self._stopping.is_set():
            return
        self._looked_at = now
        self._thread = threading.Thread(target=self._look, name="scrape-discovery", daemon=True)
        self._thread.start()
        self._thread.join(patience)

    def close(self) -> None:
        """Stop looking."""
        self._stopping.set()

    def _look(self) -> None:
        try:
            candidates = listeners(self._proc)
        except SourceError as error:
            self.error = error
            return
        self.error = None
        self._mute &= {each.id for each in candidates}
        todo = [
            each
            for each in candidates[:MOST_PORTS]
            if each.port not in OTHER_PROTOCOLS and each.id not in self._mute
        ]
        found: set[Listener] = set()
        workers = [
            threading.Thread(target=self._probe, args=(todo, found), daemon=True)
            for _ in range(min(THREADS, len(todo)))
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self._urls = tuple(each.url for each in sorted(found, key=lambda each: each.port))

    def _probe(self, todo: list[Listener], found: set[Listener]) -> None:
        while not self._stopping.is_set():
            with self._lock:
                if not todo:
                    return
                listener = todo.pop()
            if self._has_metrics(listener):
                with self._lock:
                    found.add(listener)

    def _has_metrics(self, listener: Listener) -> bool:
        client = HttpClient(HttpTarget.parse(listener.url, timeout=PROBE_TIMEOUT))
        try:
            answer = client.get(accept=ACCEPT)
        except SourceError as error:
            if "does not speak HTTP" in error.absent.reason:
                # Asking the same socket every minute would fill somebody's log.
                self._mute.add(listener.id)
            return False
        finally:
            client.close()
        return answer.status == 200 and is_metrics(answer.body, answer.content_type)
