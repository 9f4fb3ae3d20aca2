"""A small HTTP server for one page of metrics, which slow or silent clients cannot hold up."""

from __future__ import annotations

import errno
import gzip
import re
import socket
import sys
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from prometheus_client.exposition import choose_encoder, gzip_accepted
from prometheus_client.registry import Collector

PATIENCE = 10.0
"""Seconds a client gets from connecting to the end of the answer."""
MOST_CONNECTIONS = 64
SWEEP = 0.5
"""Seconds between two looks for clients that have had their time."""

INDEX = b"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>perftui exporter</title></head>
<body><h1>perftui exporter</h1>
<ul><li><a href="/metrics">Metrics</a></li><li><a href="/-/healthy">Health</a></li></ul>
</body></html>
"""
PLAIN = "text/plain; charset=utf-8"
_ADDRESS = re.compile(
    r"(?:\[(?P<v6>[0-9a-fA-F:.]+(?:%\S+)?)\]|(?P<host>[^:\s\[\]/@]*)):(?P<port>[0-9]{1,9})"
)


class ListenError(Exception):
    """An address cannot be served on; `may_pass` is true where trying again later may help."""

    def __init__(self, message: str, may_pass: bool = False) -> None:
        super().__init__(message)
        self.may_pass = may_pass


class Address(NamedTuple):
    """Where to listen; an empty host is every address of the machine, port 0 any free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Return the address of HOST:PORT, [IPV6]:PORT or :PORT; ValueError for anything else."""
        usual = "it must be HOST:PORT, [IPV6]:PORT or :PORT"
        if text.isdecimal():
            raise ValueError(f"is {text!r}; write :{text} for every address, or 127.0.0.1:{text}")
        found = _ADDRESS.fullmatch(text)
        if found is None:
            raise ValueError(f"is {text!r}; {usual}")
        host, port = found["v6"] or found["host"] or "", int(found["port"])
        if port > 65535:
            raise ValueError(f"is {text!r}; {usual}, with a port from 0 to 65535")
        return cls(host, port)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class PageServer(ThreadingHTTPServer):
    """Serves /metrics from a collector, / and /-/healthy; one thread per connection.

    A connection that is not done after PATIENCE is cut, and the oldest one gives way when there
    are too many. `healthy` says whether the readings are current.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(
        self,
        address: Address,
        collector: Collector,
        healthy: Callable[[], bool],
        patience: float = PATIENCE,
    ) -> None:
        """Bind the address; raises ListenError with the fix."""
        self.collector = collector
        self.healthy = healthy
        self.patience = patience
        self._open: dict[socket.socket, float] = {}
        self._guard = threading.Lock()
        self.address_family, place = _resolve(address)
        try:
            super().__init__(place, _Handler)
        except OSError as error:
            raise _listen_error(error, address) from None

    def server_bind(self) -> None:
        """Bind without asking for the machine's name, which can take seconds without DNS."""
        if self.address_family == socket.AF_INET6 and self.server_address[0] == "::":
            # One socket for both kinds of addresses, whatever the system's default is.
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.port

    @property
    def port(self) -> int:
        """The port, also where any free one was asked for."""
        return int(self.socket.getsockname()[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hand a connection to a thread of its own."""
        with self._guard:
            if len(self._open) >= MOST_CONNECTIONS:
                oldest = min(self._open, key=self._open.__getitem__)
                del self._open[oldest]
                _cut(oldest)
            self._open[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._guard:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cut the connections that have had their time."""
        late = time.monotonic() - self.patience
        with self._guard:
            for connection, since in self._open.items():
                if since < late:
                    _cut(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about clients that went away; anything else is a defect to be seen."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def server_close(self) -> None:
        """Close the socket and cut all connections."""
        super().server_close()
        with self._guard:
            for connection in self._open:
                _cut(connection)


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    server_version = "perftui"
    sys_version = ""

    def setup(self) -> None:
        self.request.settimeout(self.server.patience)
        super().setup()

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, *_: Any) -> None:
        """Keep standard error for what the operator must know."""

    def _answer(self, with_body: bool) -> None:
        path = urlsplit(self.path).path
        if path == "/metrics":
            self._metrics(with_body)
        elif path == "/":
            self._send(HTTPStatus.OK, "text/html; charset=utf-8", INDEX, with_body)
        elif path == "/-/healthy":
            if self.server.healthy():
                self._send(HTTPStatus.OK, PLAIN, b"healthy\n", with_body)
            else:
                status = HTTPStatus.SERVICE_UNAVAILABLE
                self._send(status, PLAIN, b"no current reading\n", with_body)
        else:
            self._send(HTTPStatus.NOT_FOUND, PLAIN, b"not here: see /metrics\n", with_body)

    def _metrics(self, with_body: bool) -> None:
        try:
            encode, kind = choose_encoder(self.headers.get("Accept", ""))
        except (ValueError, TypeError):
            # The client asks for a version of the format that is not a number.
            encode, kind = choose_encoder("")
        body = encode(self.server.collector)
        headers = {"Vary": "Accept, Accept-Encoding"}
        if gzip_accepted(self.headers.get("Accept-Encoding", "")):
            body = gzip.compress(body, compresslevel=6)
            headers["Content-Encoding"] = "gzip"
        self._send(HTTPStatus.OK, kind, body, with_body, headers)

    def _send(
        self,
        status: HTTPStatus,
        kind: str,
        body: bytes,
        with_body: bool,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)


def _cut(connection: socket.socket) -> None:
    """End a connection under the hands of the thread that serves it, which then closes it."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        # It has ended already.
        return


def _resolve(address: Address) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
    if not address.host:
        if socket.has_dualstack_ipv6():
            return socket.AF_INET6, ("::", address.port)
        return socket.AF_INET, ("0.0.0.0", address.port)
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError):
        message = f"{address.host} is not the name or address of a machine; check --listen"
        raise ListenError(message) from None
    family, _, _, _, place = found[0]
    return family, place


def _listen_error(error: OSError, address: Address) -> ListenError:
    if error.errno == errno.EADDRINUSE:
        return ListenError(
            f"port {address.port} at {address.host or 'some address'} is in use; choose another "
            f"with --listen HOST:PORT, or see who has it: ss -ltnp 'sport = :{address.port}'",
            may_pass=True,
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return ListenError(
            f"port {address.port} may not be opened by this user; "
            "choose one above 1023 with --listen HOST:PORT"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return ListenError(
            f"{address.host} is no address of this machine; "
            "choose one of its own with --listen, or :PORT for all of them"
        )
    return ListenError(f"{address} cannot be listened on: {error.strerror or error}")
