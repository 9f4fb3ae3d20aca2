"""Fixtures for all tests."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from early_courses import READERS, EarlyCourses
from haproxy_fixture import haproxy
from hypothesis import settings
from query_api import api, items_database
from redis_fixture import redis_server, start_redis

if TYPE_CHECKING:
    from xdist.remote import Producer  # type: ignore[import-untyped]
    from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

__all__ = ["api", "haproxy", "items_database", "redis_server", "start_redis"]

os.environ["TZ"] = "UTC"
time.tzset()
# How long one example takes says more about the machine than about the program.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(EarlyCourses())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: READERS in item.nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """Hand out one file after the other.

    The default hands out an eighth of all tests at the start, which are all the slow ones to one
    worker, and has two workers start what the tests of a file share.
    """
    from xdist.scheduler import LoadFileScheduling

    if config.getoption("dist") != "load":
        return None
    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the settings of the person who runs the tests out of them."""
    for name in list(os.environ):
        if name.startswith("PERFTUI_") or name in {"REDIS_URL", "NO_COLOR"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg-config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg-state"))
