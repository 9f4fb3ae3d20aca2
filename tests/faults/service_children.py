"""Processes of a service that report to a real Redis, as children of a test."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from perftui.snapshot import Service
from perftui.sources.services.source import ServicesSource

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).with_name("traffic_maker.py")
HANG = 30.0
"""Seconds after which a wait counts as a hang."""


class Child:
    """One process with traffic of its own."""

    def __init__(
        self,
        url: str,
        operations: int,
        seconds: float,
        number: int,
        ahead: float = 0.0,
        age: float = 0.0,
    ) -> None:
        arguments = [url, operations, seconds, number, ahead, age]
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def instance(self) -> str:
        """Wait until it reports, and return its id."""
        return self._line()

    def told(self) -> dict[str, Any]:
        """Wait until its traffic has ended, and return what it counted."""
        found = json.loads(self._line())
        assert isinstance(found, dict)
        return found

    def leave(self) -> None:
        """Let it end in order."""
        self.process.communicate(timeout=HANG)
        assert self.process.returncode == 0

    def kill(self) -> None:
        """Kill it so that it cannot say a word."""
        self.process.kill()
        self.process.wait()

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the child ended"
        return line.strip()


@contextlib.contextmanager
def children() -> Iterator[list[Child]]:
    """Lend a list whose children are killed in the end."""
    started: list[Child] = []
    try:
        yield started
    finally:
        for child in started:
            child.kill()
            for pipe in (child.process.stdin, child.process.stdout):
                if pipe is not None:
                    pipe.close()


def watch(source: ServicesSource, until: Callable[[Service], T]) -> T:
    """Sample until the answer about the one service is true, and return that answer."""
    end = time.monotonic() + HANG
    while True:
        services = source.sample()
        for service in services:
            for window in service.windows:
                for each in window.operations:
                    assert each.rate >= 0
                    assert each.count >= 0
        answer = until(services[0]) if services else None
        if answer:
            return answer
        assert time.monotonic() < end, f"nothing came of it: {services!r:.2000}"
        time.sleep(0.2)
