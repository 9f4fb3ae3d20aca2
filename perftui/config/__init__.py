"""Settings: one tree, read from defaults, a TOML file, the environment and flags, later wins."""

from __future__ import annotations

from perftui.config.errors import ConfigError
from perftui.config.load import Loaded, load_settings
from perftui.config.paths import config_dir, config_file
from perftui.config.settings import (
    SOURCE_NAMES,
    Actions,
    Monitor,
    Operations,
    Profile,
    Prometheus,
    Redis,
    Scrape,
    Screen,
    Settings,
)
from perftui.config.show import dump_toml, mask_url, schema

__all__ = [
    "SOURCE_NAMES",
    "Actions",
    "ConfigError",
    "Loaded",
    "Monitor",
    "Operations",
    "Profile",
    "Prometheus",
    "Redis",
    "Scrape",
    "Screen",
    "Settings",
    "config_dir",
    "config_file",
    "dump_toml",
    "load_settings",
    "mask_url",
    "schema",
]
