"""Pages of other people's libraries, as those wrote them, are understood by the presets alone.

Each library ran a small service and was asked for its page twice. In between came ten calls of
`/items/{item}` that went well and two that ended with 503, four orders, and one for a path that
does not exist. The pages are whole but for families that have nothing to do with operations; the
one of OpenTelemetry is in the format OpenMetrics.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from perftui.config.settings import Operations
from perftui.sources.metric_presets import mappings
from perftui.sources.packed_counts import Counts
from perftui.sources.scrape.growth import Growth
from perftui.sources.scrape.history import Moment, PageHistory
from perftui.sources.scrape.page import PageReader

PAGES = Path(__file__).parent / "recorded/pages"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

BETWEEN = {
    "fastapi_instrumentator_8.1": {
        "GET /items/{item}": (12, 2),
        "POST /orders": (4, 0),
        "GET none": (1, 0),
        "GET /metrics": (1, 0),
    },
    "starlette_exporter_0.24": {
        "GET /items/{item}": (12, 2),
        "POST /orders": (4, 0),
        "GET /metrics": (1, 0),
    },
    "django_prometheus_2.5": {
        "GET item": (12, 2),
        "POST orders": (4, 0),
        "GET <unnamed view>": (1, 0),
        "GET prometheus-django-metrics": (1, 0),
    },
    "flask_exporter_0.23": {
        "GET /items/<int:item>": (12, 2),
        "POST /orders": (4, 0),
        "GET None": (1, 0),
    },
    "opentelemetry_0.66": {
        "GET /items/{item}": (12, 2),
        "POST /orders": (4, 0),
        "GET": (1, 0),
    },
}
SERVICES = {"starlette_exporter_0.24": "shop"}


def growth_of(library: str) -> tuple[Growth, str]:
    """Return what was counted between the two pages, and the service the second one names."""
    chosen = mappings(Operations())
    reader, history = PageReader(chosen), PageHistory(chosen)
    kind = OPENMETRICS if library.startswith("opentelemetry") else TEXT
    for index, part in enumerate(("before", "after")):
        page = reader.read((PAGES / f"{library}_{part}.txt").read_bytes(), kind)
        assert page.notes == ()
        growth = history.take(page, Moment(100.0 + index, 100.0, None, lambda: None))
    return growth, page.service


@pytest.mark.parametrize("library", BETWEEN)
def test_operations_of_a_real_library(library: str) -> None:
    growth, service = growth_of(library)
    assert growth.known
    assert growth.notes == ()
    assert set(growth.services) == {SERVICES.get(library, "")}
    assert service == ("shop" if library.startswith("opentelemetry") else "")
    (mine,) = growth.services.values()
    found: dict[str, Counts] = {}
    for place, operations in mine.counts.items():
        for name, packed in operations.items():
            found[name] = place.unpack(packed << 16)
    outcome = {name: (each.calls, each.failures) for name, each in found.items()}
    assert outcome == BETWEEN[library]
    for each in found.values():
        assert each.told == each.calls == sum(each.buckets)
        # OpenTelemetry counts whole milliseconds by its older names, which is none for some.
        assert 0 <= each.seconds < 0.1 * each.calls
        assert each.bounds[0] < 0.2 < each.bounds[-1] <= 75
