"""Fixtures for all tests."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import settings
from redis_fixture import redis_server, start_redis

__all__ = ["redis_server", "start_redis"]

os.environ["TZ"] = "UTC"
time.tzset()
# How long one example takes says more about the machine than about the program.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the settings of the person who runs the tests out of them."""
    for name in list(os.environ):
        if name.startswith("PERFTUI_") or name in {"REDIS_URL", "NO_COLOR"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg-config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg-state"))
