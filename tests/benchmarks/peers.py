"""The monitors that perftui is measured against: how each is run once a second, and got."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Peer:
    """A monitor; `painted` is a text that its first useful frame has, `package` where it is."""

    name: str
    arguments: tuple[str, ...]
    painted: bytes
    package: str

    def command(self) -> list[str] | None:
        """Return the command that runs it, None where it is not installed."""
        path = os.pathsep.join((os.path.dirname(sys.executable), os.environ.get("PATH", "")))
        program = shutil.which(self.name, path=path)
        return None if program is None else [program, *self.arguments]


PEERS = (
    Peer("htop", ("-d", "10"), b"Load average", "apt install htop"),
    Peer("btop", ("--utf-force",), b"Pid:", "apt install btop"),
    Peer(
        "glances",
        ("-t", "1", "--disable-check-update"),
        b"LOAD",
        "pip install glances",
    ),
    Peer("top", ("-d", "1"), b"Tasks:", "apt install procps"),
)


def environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what every measured program finds: a good terminal, and nobody's settings."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        **(extra or {}),
    }


def write_settings(home: Path) -> None:
    """Write the settings of those that cannot be told their interval on the command line."""
    btop = home / "config" / "btop"
    btop.mkdir(parents=True)
    (btop / "btop.conf").write_text("update_ms = 1000\nbackground_update = True\n")
