"""A real HAProxy in front of three real servers of HTTP, with a socket of every level."""

from __future__ import annotations

import http.server
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from perftui.pool.haproxy_socket import HaproxyError, HaproxyTarget, ask

HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
NAMES = ("a", "b", "c")
CONFIG = """
global
  stats socket {home}/admin.sock mode 600 level admin expose-fd listeners
  stats socket {home}/operator.sock mode 600 level operator
  stats socket {home}/user.sock mode 600 level user
defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
  default-server inter 100ms fastinter 50ms downinter 100ms
frontend web
  bind unix@{home}/web.sock
  default_backend api
backend api
  option httpchk GET /health
{servers}
"""


class Backend:
    """A server of HTTP; `status` is what it answers, its health too."""

    def __init__(self) -> None:
        self.status = 200
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if self.path == "/health" else outer.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None: ...

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Haproxy:
    """One HAProxy of the test; `home` holds its sockets admin.sock, operator.sock, user.sock."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.backends = [Backend() for _ in NAMES]
        self._process: subprocess.Popen[bytes] | None = None
        lines = [
            f"  server {name} 127.0.0.1:{backend.port} weight 100 check"
            for name, backend in zip(NAMES, self.backends, strict=True)
        ]
        self._config = home / "haproxy.cfg"
        self._config.write_text(CONFIG.format(home=home, servers="\n".join(lines)))

    def socket(self, level: str = "admin") -> str:
        """Return the path of the socket of a level."""
        return str(self.home / f"{level}.sock")

    def start(self) -> None:
        assert HAPROXY is not None
        self._process = subprocess.Popen(
            [HAPROXY, "-db", "-f", self._config], stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + 30
        while True:
            try:
                if "Pid:" in ask(HaproxyTarget(self.socket()), "show info"):
                    return
            except HaproxyError:
                pass
            assert time.monotonic() < end, "haproxy does not answer"
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def get(self, count: int = 1) -> None:
        """Send requests through it, one after the other."""
        for _ in range(count):
            with socket.socket(socket.AF_UNIX) as link:
                link.settimeout(10)
                link.connect(str(self.home / "web.sock"))
                link.sendall(b"GET / HTTP/1.0\r\n\r\n")
                while link.recv(4096):
                    pass

    def close(self) -> None:
        self.stop()
        for backend in self.backends:
            backend.close()


@pytest.fixture
def haproxy(tmp_path: Path) -> Iterator[Haproxy]:
    if HAPROXY is None:
        pytest.skip("haproxy is not installed")
    proxy = Haproxy(tmp_path)
    try:
        proxy.start()
        yield proxy
    finally:
        proxy.close()
