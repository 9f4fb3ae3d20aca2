"""Where the configuration lives, after the XDG Base Directory Specification."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def config_dir(environ: Mapping[str, str] | None = None) -> Path:
    """Return `$XDG_CONFIG_HOME/perftui`, `~/.config/perftui` where that is unset or relative."""
    environ = os.environ if environ is None else environ
    base = environ.get("XDG_CONFIG_HOME", "")
    # The specification says that a relative path is invalid and must be ignored.
    if os.path.isabs(base):
        return Path(base) / "perftui"
    home = environ.get("HOME", "")
    return Path(home if os.path.isabs(home) else os.path.expanduser("~")) / ".config" / "perftui"


def config_file(environ: Mapping[str, str] | None = None) -> Path:
    """Return the configuration file that is read when none is named; it need not exist."""
    return config_dir(environ) / "config.toml"
