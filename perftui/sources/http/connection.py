"""Connections of urllib3 that keep one deadline for connecting, sending and all of the answer.

Imported by the first request only: urllib3 and ssl are too heavy for the start of the program.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from perftui.snapshot import State
from perftui.sources.http.failure import DeadlineError
from perftui.sources.http.target import HttpTarget
from perftui.sources.source import SourceError

LOOPBACK = ("localhost", "::1")


class Request:
    """The request a thread is busy with: when it must end, and which socket it opened."""

    def __init__(self, deadline: float, opened: Callable[[socket.socket], None]) -> None:
        self._deadline = deadline
        self._opened = opened
        self.fresh = False

    def remaining(self) -> float:
        """Return the seconds that are left; raises DeadlineError when there are none."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise DeadlineError
        return left

    def opened(self, sock: socket.socket) -> None:
        """Take note of a new socket."""
        self.fresh = True
        self._opened(sock)


class _Current(threading.local):
    request: Request | None = None


_current = _Current()


@contextlib.contextmanager
def current(request: Request) -> Iterator[None]:
    """Have all sockets that this thread uses keep the deadline of `request`."""
    _current.request = request
    try:
        yield
    finally:
        _current.request = None


def _limit(sock: socket.socket) -> None:
    """Let the next call on a socket take as long as is left.

    A timeout of the socket alone starts anew with every byte, so that a server that sends one
    byte a second would never be late.
    """
    if _current.request is not None:
        sock.settimeout(_current.request.remaining())


class _Socket(socket.socket):
    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        _limit(self)
        return super().recv_into(*args, **kwargs)

    def recv(self, *args: Any, **kwargs: Any) -> bytes:
        _limit(self)
        return super().recv(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        _limit(self)
        super().sendall(*args, **kwargs)


class _SSLSocket(ssl.SSLSocket):
    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        _limit(self)
        return super().recv_into(*args, **kwargs)

    def recv(self, *args: Any, **kwargs: Any) -> bytes:
        _limit(self)
        return super().recv(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        _limit(self)
        super().sendall(*args, **kwargs)


def _connect(host: str, port: int) -> socket.socket:
    """Return a connected socket; the addresses of a host share the time that is left."""
    request = _current.request
    assert request is not None
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    error: OSError = OSError(f"no address for {host}")
    for index, (family, kind, protocol, _, address) in enumerate(addresses):
        try:
            sock = _Socket(family, kind, protocol)
        except OSError as failed:
            error = failed
            continue
        try:
            request.opened(sock)
            sock.settimeout(request.remaining() / (len(addresses) - index))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # The handshake of TLS takes its deadline from here.
            sock.settimeout(request.remaining())
        except OSError as failed:
            error = failed
            sock.close()
            continue
        return sock
    raise error


class _Plain(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self._dns_host, self.port)


class _Secure(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self._dns_host, self.port)

    def connect(self) -> None:
        super().connect()
        if _current.request is not None and isinstance(self.sock, socket.socket):
            _current.request.opened(self.sock)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


def connections(target: HttpTarget) -> tuple[urllib3.PoolManager, str]:
    """Return the connections to a target and the address of the proxy they use, if any.

    Raises SourceError for certificates or a proxy that cannot be used.
    """
    options: dict[str, Any] = {"num_pools": 2, "maxsize": 1, "retries": False}
    if target.scheme == "https":
        options["ssl_context"] = _context(target)
        if not target.verify:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    proxy = proxy_url(target)
    manager: urllib3.PoolManager
    shown = ""
    if proxy:
        parts = urlsplit(proxy)
        shown = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
        manager = urllib3.ProxyManager(
            f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
            proxy_headers=_proxy_headers(parts.username, parts.password),
            **options,
        )
    else:
        manager = urllib3.PoolManager(**options)
    manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}
    return manager, shown


def proxy_url(target: HttpTarget) -> str:
    """Return the URL of the proxy that the environment names for a target, empty for none.

    HTTP_PROXY, HTTPS_PROXY and NO_PROXY count in either case. A proxy cannot reach this machine's
    own addresses, so they are never asked of one. Raises SourceError for one of another kind.
    """
    if target.host in LOOPBACK or target.host.startswith("127."):
        return ""
    proxy = urllib.request.getproxies().get(target.scheme, "")
    if not proxy or urllib.request.proxy_bypass(f"{target.host}:{target.port}"):
        return ""
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    variable = f"{target.scheme.upper()}_PROXY"
    try:
        parts = urlsplit(proxy)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise SourceError(
            State.UNAVAILABLE,
            f"{variable} names no proxy that can be used for {target.address}",
            f"set {variable}=http://HOST:PORT, or name {target.host} in NO_PROXY",
        )
    return proxy


def _proxy_headers(username: str | None, password: str | None) -> dict[str, str]:
    if not username and not password:
        return {}
    return urllib3.make_headers(
        proxy_basic_auth=f"{unquote(username or '')}:{unquote(password or '')}"
    )


def _context(target: HttpTarget) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=target.ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise _unusable(target, "ca_file", target.ca_file, error) from None
    # Documented place to have the context make sockets of another class.
    context.sslsocket_class = _SSLSocket
    if not target.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if target.cert_file:
        try:
            # Without a password OpenSSL would ask for one on the terminal.
            context.load_cert_chain(target.cert_file, target.key_file or None, lambda: "")
        except (OSError, ssl.SSLError) as error:
            raise _unusable(target, "cert_file", target.cert_file, error) from None
    return context


def _unusable(target: HttpTarget, name: str, file: str, error: OSError) -> SourceError:
    if isinstance(error, ssl.SSLError):
        why = "holds no usable certificate or key"
    else:
        why = f"cannot be read: {error.strerror}"
    return SourceError(
        State.UNAVAILABLE,
        f"the file {file} {why}",
        f"correct {target.setting(name)}: a PEM file without a password",
    )
