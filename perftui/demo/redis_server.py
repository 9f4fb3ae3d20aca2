"""How the demo runs a Redis server: on a Unix socket in a private directory, nothing on disk."""

from __future__ import annotations

import socket
from pathlib import Path

MEMORY_LIMIT = "64mb"


def redis_arguments(program: Path, unix_socket: Path) -> list[str]:
    """Return the command line; see the comments of redis.conf for each directive."""
    settings = {
        "port": "0",
        "unixsocket": str(unix_socket),
        "unixsocketperm": "700",
        "daemonize": "no",
        "dir": str(unix_socket.parent),
        "save": "",
        "appendonly": "no",
        "maxmemory": MEMORY_LIMIT,
        "maxmemory-policy": "allkeys-lru",
    }
    return [
        str(program),
        *(word for name, value in settings.items() for word in (f"--{name}", value)),
    ]


def answers(unix_socket: Path) -> bool:
    """Return whether a server answers a PING on the socket within 0.1 s."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(0.1)
            connection.connect(str(unix_socket))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
