"""Settings: one tree, read from defaults, a TOML file, the environment and flags, later wins."""

from __future__ import annotations

from perftui.config.errors import ConfigError
from perftui.config.load import Loaded, load_settings, place_of
from perftui.config.paths import config_dir, config_file
from perftui.config.rule_settings import RuleSettings
from perftui.config.settings import (
    SOURCE_NAMES,
    Actions,
    Alerts,
    Monitor,
    Operations,
    Profile,
    Prometheus,
    Redis,
    Scrape,
    Screen,
    Settings,
)
from perftui.config.show import dump_toml, mask_url, mask_webhook, schema

__all__ = [
    "SOURCE_NAMES",
    "Actions",
    "Alerts",
    "ConfigError",
    "Loaded",
    "Monitor",
    "Operations",
    "Profile",
    "Prometheus",
    "Redis",
    "RuleSettings",
    "Scrape",
    "Screen",
    "Settings",
    "config_dir",
    "config_file",
    "dump_toml",
    "load_settings",
    "mask_url",
    "mask_webhook",
    "place_of",
    "schema",
]
