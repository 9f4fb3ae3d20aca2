"""A real server on loopback for pages, whose answers a test writes byte by byte if it likes."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

TEXT = "text/plain; version=0.0.4; charset=utf-8"
Handler = Callable[[socket.socket, bytes], None]


def answer(body: bytes, content_type: str = TEXT, status: str = "200 OK", extra: str = "") -> bytes:
    """Return a whole answer that leaves the connection open."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n{extra}"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


class PageServer:
    """Calls `handle(connection, request)` for each request; `requests` keeps their heads."""

    def __init__(self, handle: Handler | bytes, context: ssl.SSLContext | None = None) -> None:
        self.handle: Handler = (
            (lambda connection, _: connection.sendall(handle))
            if isinstance(handle, bytes)
            else handle
        )
        self.requests: list[bytes] = []
        self.connections = 0
        self._context = context
        self._open: set[socket.socket] = set()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        scheme = "https" if self._context else "http"
        return f"{scheme}://127.0.0.1:{self.port}/metrics"

    def hang_up(self) -> None:
        """Close the connections that are open."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.hang_up()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        self._open.add(connection)
        with contextlib.suppress(OSError):
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            while request := _request(connection):
                self.requests.append(request)
                self.handle(connection, request)
                if b"\r\nconnection: close" in request.lower():
                    break
        self._open.discard(connection)
        connection.close()


def _request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return b""
        data += part
        if data[:1] == b"\x16":
            return data  # the first message of a client that speaks TLS
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            while len(body) < int(line.partition(b":")[2]):
                body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@contextlib.contextmanager
def serving(handle: Handler | bytes, context: ssl.SSLContext | None = None) -> Iterator[PageServer]:
    """Run a server for the time of a block."""
    server = PageServer(handle, context)
    try:
        yield server
    finally:
        server.stop()
