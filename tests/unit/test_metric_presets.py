"""Other people's metric names as operations."""

from __future__ import annotations

import re

import pytest

from perftui.config.settings import PRESET_NAMES, Operations
from perftui.sources.metric_mapping import MetricMapping
from perftui.sources.metric_presets import PRESETS, mappings


def find(metric: str, settings: Operations | None = None) -> MetricMapping:
    found = [each for each in mappings(settings or Operations()) if each.metric == metric]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("metric", "labels", "operation", "status", "failed"),
    [
        ("operation_execution_time_seconds", {"operation": "pay"}, "pay", None, False),
        (
            "http_request_duration_seconds",
            {"path": "/items/7", "handler": "/items/{id}", "method": "GET", "status": "5xx"},
            "GET /items/{id}",
            "5xx",
            True,
        ),
        (
            "http_request_duration_seconds",
            {"method": "POST", "path": "/items", "status_code": "404"},
            "POST /items",
            "404",
            False,
        ),
        (
            "http_request_duration_seconds",
            {"code": "500"},
            "http_request_duration_seconds",
            "500",
            True,
        ),
        (
            "http_server_request_duration_seconds",
            {
                "http_request_method": "GET",
                "http_route": "/cart/{id}",
                "http_response_status_code": "503",
                "url_scheme": "http",
            },
            "GET /cart/{id}",
            "503",
            True,
        ),
        (
            "http_server_duration_milliseconds",
            {
                "http_method": "GET",
                "http_target": "/x",
                "http_route": "/{y}",
                "http_status_code": "200",
            },
            "GET /{y}",
            "200",
            False,
        ),
        (
            "django_http_requests_latency_seconds_by_view_method",
            {"view": "shop.cart", "method": "GET"},
            "GET shop.cart",
            None,
            False,
        ),
        (
            "grpc_server_handling_seconds",
            {"grpc_type": "unary", "grpc_service": "shop.Cart", "grpc_method": "Add"},
            "shop.Cart Add",
            None,
            False,
        ),
        (
            "celery_task_runtime",
            {"name": "mail.send", "hostname": "w1", "queue_name": "celery"},
            "mail.send",
            None,
            False,
        ),
        (
            "starlette_request_duration_seconds",
            {"app_name": "shop", "method": "GET", "path": "/items/{id}", "status_code": "200"},
            "GET /items/{id}",
            "200",
            False,
        ),
    ],
)  # fmt: skip
def test_names_operations_as_their_programs_label_them(
    metric: str, labels: dict[str, str], operation: str, status: str | None, failed: bool
) -> None:
    mapping = find(metric)
    assert mapping.operation(labels) == operation
    assert mapping.status(labels) == status
    assert bool(status and re.fullmatch(mapping.failure, status)) is failed


@pytest.mark.parametrize("code", ["Internal", "DEADLINE_EXCEEDED", "Unknown"])
def test_grpc_failures_are_those_of_the_server(code: str) -> None:
    failure = find("grpc_server_handling_seconds").failure
    assert re.fullmatch(failure, code)
    assert not re.fullmatch(failure, "NotFound")
    assert not re.fullmatch(failure, "OK")


def test_all_presets_of_the_settings_exist_and_are_understood() -> None:
    assert set(PRESETS) == set(PRESET_NAMES)
    for mapping in (each for found in PRESETS.values() for each in found):
        re.compile(mapping.failure)
        assert set(mapping.either) <= set(mapping.labels)
        assert not mapping.metric.endswith(("_bucket", "_count", "_sum"))


def test_one_mapping_per_metric_and_the_first_preset_wins() -> None:
    metrics = [each.metric for each in mappings(Operations())]
    assert len(metrics) == len(set(metrics))
    assert find("http_request_duration_seconds").preset == "http"
    only = Operations(presets=("fastapi",))
    assert find("http_request_duration_seconds", only).labels == ("method", "handler")
    assert len(mappings(only)) == 1


def test_chosen_labels_count_where_a_series_has_them() -> None:
    settings = Operations(labels=("tenant", "route"), status_label="outcome", service_label="app")
    mapping = find("http_request_duration_seconds", settings)
    labels = {"method": "GET", "route": "/x", "tenant": "a", "outcome": "ok", "app": "shop"}
    assert mapping.operation(labels) == "a /x"
    assert (mapping.status(labels), mapping.service(labels)) == ("ok", "shop")
    django = find("django_http_requests_latency_seconds_by_view_method", settings)
    assert django.operation({"view": "v", "method": "GET"}) == "GET v"
    assert mapping.name_labels[:2] == ("tenant", "route")
    assert len(mapping.name_labels) == len(set(mapping.name_labels))


def test_a_metric_of_ones_own() -> None:
    settings = Operations(metric="job_seconds", failure="bad|worse", status_label="end")
    mapping = find("job_seconds", settings)
    assert mapping.preset == "custom"
    assert mapping.operation({"task": "import", "end": "bad"}) == "import"
    assert mapping.failure == "bad|worse"
    assert mappings(settings)[0] is not None
    assert mappings(settings)[0].metric == "job_seconds"
    known = Operations(metric="operation_execution_time_seconds")
    assert find("operation_execution_time_seconds", known).preset == "perftui"


def test_a_broken_expression_is_named() -> None:
    with pytest.raises(ValueError, match=r"operations\.failure is not a regular expression"):
        mappings(Operations(failure="5(.."))
