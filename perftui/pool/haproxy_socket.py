"""One command at a time over the stats socket of an HAProxy, see its management guide, 9.3."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

SIZE_LIMIT = 64_000_000
"""Bytes of an answer; a server's line of statistics has about 220."""
CHUNK = 1 << 16


class HaproxyError(Exception):
    """HAProxy could not be asked."""


class HaproxyDeniedError(HaproxyError):
    """This user may not open the socket."""


class HaproxyRefusedError(HaproxyError):
    """HAProxy answered that it will not; the message is its own, such as Permission denied."""


@dataclass(frozen=True)
class HaproxyTarget:
    """A stats socket: `path` of a Unix socket, or `host` and `port`."""

    path: str = ""
    host: str = ""
    port: int = 0

    @classmethod
    def parse(cls, address: str) -> HaproxyTarget:
        """Return the target of a path, unix:PATH, HOST:PORT or [IPV6]:PORT.

        Raises ValueError that says what is wrong.
        """
        path = address.removeprefix("unix://").removeprefix("unix:")
        if path.startswith("/"):
            if "\0" in path or len(path.encode("utf-8", "surrogateescape")) > 107:
                raise ValueError(f"{path!a} is too long for a socket, or has a NUL in it")
            return cls(path=path)
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        number = int(port) if port.isascii() and port.isdecimal() and len(port) < 6 else 0
        if not host or not 1 <= number <= 65535:
            raise ValueError(
                f"{address!a} is neither the path of a socket, such as /run/haproxy/admin.sock"
                ", nor HOST:PORT"
            )
        return cls(host=host, port=number)

    @property
    def address(self) -> str:
        """The target as `parse` takes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.path or f"{host}:{self.port}"


def ask(target: HaproxyTarget, command: str, timeout: float = 2.0) -> str:
    """Return the whole answer to one command within `timeout` seconds.

    Raises HaproxyDeniedError or HaproxyError. Bytes that are no UTF-8 become surrogates.
    """
    end = time.monotonic() + timeout
    received = bytearray()
    try:
        with _connected(target, timeout) as link:
            link.sendall(command.encode("utf-8", "surrogateescape") + b"\n")
            while True:
                # Zero would mean not to wait at all; what is late ends with the next wait.
                link.settimeout(max(end - time.monotonic(), 0.001))
                chunk = link.recv(CHUNK)
                if not chunk:
                    break
                received += chunk
                if len(received) > SIZE_LIMIT:
                    raise HaproxyError(
                        f"the answer of HAProxy at {target.address} exceeds {SIZE_LIMIT} bytes"
                    )
    except TimeoutError:
        raise HaproxyError(
            f"HAProxy at {target.address} did not answer within {timeout:g} s"
        ) from None
    except PermissionError:
        raise HaproxyDeniedError(f"{target.address} may not be opened by this user") from None
    except OSError as error:
        raise HaproxyError(
            f"HAProxy at {target.address} cannot be reached: {error.strerror or error}"
        ) from None
    if not received:
        raise HaproxyError(f"{target.address} closed the connection without an answer")
    return received.decode("utf-8", "surrogateescape")


def _connected(target: HaproxyTarget, timeout: float) -> socket.socket:
    if not target.path:
        return socket.create_connection((target.host, target.port), timeout)
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    link.settimeout(timeout)
    try:
        link.connect(target.path)
    except BaseException:
        link.close()
        raise
    return link
