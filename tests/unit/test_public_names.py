"""What importing the library loads, as a fresh interpreter sees it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import perftui

ROOT = Path(__file__).parents[2]
SCREEN = {"textual", "rich", "plotext", "perftui.tui", "perftui.sources", "perftui.monitor"}


def loaded_by(statement: str) -> set[str]:
    """Return the modules a fresh interpreter has after the statement."""
    run = subprocess.run(
        [sys.executable, "-c", f"{statement}\nimport json, sys; print(json.dumps([*sys.modules]))"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(json.loads(run.stdout))


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not loaded_by("import perftui") & {*SCREEN, "prometheus_client", "psutil", "redis"}


def test_execution_metrics_load_neither_psutil_nor_redis() -> None:
    loaded = loaded_by("from perftui import ExecutionMetrics")
    assert "prometheus_client" in loaded
    assert not loaded & {*SCREEN, "psutil", "redis", "asyncio"}


def test_psutil_comes_with_the_first_object() -> None:
    assert "psutil" not in loaded_by("from perftui import ResourceMetrics")
    assert "psutil" in loaded_by("from perftui import ResourceMetrics; ResourceMetrics()")


@pytest.mark.parametrize("name", perftui.__all__)
def test_every_public_name_is_there_without_the_screen(name: str) -> None:
    named = f"getattr({name}, '__name__', repr({name}))"
    assert not loaded_by(f"from perftui import {name}; assert {named} == '{name}'") & SCREEN


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="NoSuchName"):
        _ = perftui.NoSuchName
