"""Where the configuration lives, after the XDG Base Directory Specification."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def config_dir(environ: Mapping[str, str] | None = None) -> Path:
    """Return `$XDG_CONFIG_HOME/perftui`, `~/.config/perftui` where that is unset or relative."""
    return _directory("XDG_CONFIG_HOME", ".config", environ)


def state_dir(environ: Mapping[str, str] | None = None) -> Path:
    """Return `$XDG_STATE_HOME/perftui`, where that is unset or relative below `~/.local/state`."""
    return _directory("XDG_STATE_HOME", ".local/state", environ)


def _directory(variable: str, usual: str, environ: Mapping[str, str] | None) -> Path:
    environ = os.environ if environ is None else environ
    base = environ.get(variable, "")
    # The specification says that a relative path is invalid and must be ignored.
    if os.path.isabs(base):
        return Path(base) / "perftui"
    home = environ.get("HOME", "")
    return Path(home if os.path.isabs(home) else os.path.expanduser("~")) / usual / "perftui"


def config_file(environ: Mapping[str, str] | None = None) -> Path:
    """Return the configuration file that is read when none is named; it need not exist."""
    return config_dir(environ) / "config.toml"


def silences_file(environ: Mapping[str, str] | None = None) -> Path:
    """Return the file that keeps the silences of alerts; it need not exist."""
    return state_dir(environ) / "silences.json"
