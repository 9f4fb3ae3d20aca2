"""What Prometheus itself thinks of an exposition."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def promtool_complaints(registry: CollectorRegistry) -> str:
    """Return all that `promtool check metrics` says; skips the test where it is not installed."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    run = subprocess.run(
        [promtool, "check", "metrics"],
        input=generate_latest(registry),
        capture_output=True,
        timeout=30,
        check=False,
    )
    said = (run.stdout + run.stderr).decode()
    return said or ("" if run.returncode == 0 else f"exit status {run.returncode}")


def text_samples(registry: CollectorRegistry) -> Samples:
    """Return name, sorted labels and value of every sample in the text format, `_created` apart."""
    return _samples(read_text(generate_latest(registry).decode()))


def openmetrics_samples(registry: CollectorRegistry) -> Samples:
    """Return the same of the OpenMetrics format."""
    page = generate_openmetrics(registry)  # type: ignore[no-untyped-call]
    return _samples(read_openmetrics(page.decode()))  # type: ignore[no-untyped-call]


def _samples(families: object) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families  # type: ignore[attr-defined]
        for sample in family.samples
        if not sample.name.endswith("_created")
    }
