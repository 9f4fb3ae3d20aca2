"""Metric names of well-known programs, and what they mean as operations.

Names and labels are those of the projects named beside each mapping; a page or server that has
none of them is understood by `operations.metric` of the configuration.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from perftui.sources.metric_mapping import MetricMapping

if TYPE_CHECKING:
    from perftui.config.settings import Operations, PresetName

SERVER_ERROR = "5.."
"""Matches 500 to 599 and the grouped 5xx."""

ROUTES = (
    "handler",
    "route",
    "endpoint",
    "url_rule",
    "view",
    "template",
    "path_template",
    "uri",
    "path",
    "url_path",
    "url",
)
"""Labels that tell what was asked for: those with templates first, raw paths last."""
METHODS = ("method", "http_method", "request_method", "verb")
STATUSES = (
    "status",
    "status_code",
    "code",
    "http_status",
    "http_status_code",
    "http_code",
    "response_status",
    "response_code",
)
TASKS = ("name", "task_name", "task")
HTTP_LABELS = (*METHODS, *ROUTES)

GRPC_FAILURES = (
    "Unknown|DeadlineExceeded|Unimplemented|Internal|Unavailable|DataLoss"
    "|UNKNOWN|DEADLINE_EXCEEDED|UNIMPLEMENTED|INTERNAL|UNAVAILABLE|DATA_LOSS"
)
"""Codes that are the server's fault, by OpenTelemetry's conventions for gRPC; both spellings."""


def _http(metric: str, seconds_per_unit: float = 1.0, counter: str = "") -> MetricMapping:
    return MetricMapping(
        preset="http",
        metric=metric,
        labels=HTTP_LABELS,
        either=ROUTES,
        status_labels=STATUSES,
        failure=SERVER_ERROR,
        counter=counter,
        seconds_per_unit=seconds_per_unit,
        service_labels=("app_name",),
    )


def _otel(metric: str, seconds_per_unit: float) -> MetricMapping:
    return MetricMapping(
        preset="otel",
        metric=metric,
        labels=("http_request_method", "http_method", "http_route", "http_target"),
        either=("http_route", "http_target"),
        status_labels=("http_response_status_code", "http_status_code"),
        failure=SERVER_ERROR,
        seconds_per_unit=seconds_per_unit,
        service_labels=("service_name",),
    )


PRESETS: dict[PresetName, tuple[MetricMapping, ...]] = {
    "perftui": (
        MetricMapping(
            preset="perftui",
            metric="operation_execution_time_seconds",
            labels=("operation",),
            status_labels=("status",),
            failure="failure",
            counter="operation_count_total",
            cancelled_counter="operation_cancelled_total",
        ),
    ),
    "http": (
        # By convention of many client libraries; express-prom-bundle and others name it so.
        _http("http_request_duration_seconds", counter="http_requests_total"),
        _http("http_request_duration_milliseconds", 0.001, "http_requests_total"),
        _http("http_request_duration_ms", 0.001, "http_requests_total"),
        # Micrometer 1.x, whose `uri` is the template.
        _http("http_server_requests_seconds"),
        # starlette_exporter, whose `path` is the template unless group_paths is off.
        _http("starlette_request_duration_seconds", counter="starlette_requests_total"),
        # prometheus-flask-exporter; `path` is raw unless group_by="endpoint" or "url_rule".
        _http("flask_http_request_duration_seconds", counter="flask_http_request_total"),
    ),
    "otel": (
        # OpenTelemetry semantic conventions 1.23 and later, then the older ones, as the
        # Prometheus exporters write them: dots become underscores and the unit is appended.
        _otel("http_server_request_duration_seconds", 1.0),
        _otel("http_server_duration_milliseconds", 0.001),
        _otel("http_server_duration_seconds", 1.0),
        MetricMapping(
            preset="otel",
            metric="rpc_server_duration_milliseconds",
            labels=("rpc_service", "rpc_method"),
            status_labels=("rpc_grpc_status_code",),
            failure="2|4|12|13|14|15",
            seconds_per_unit=0.001,
            service_labels=("service_name",),
        ),
    ),
    "django": (
        # django-prometheus 2.x, PrometheusAfterMiddleware.
        MetricMapping(
            preset="django",
            metric="django_http_requests_latency_seconds_by_view_method",
            labels=("method", "view"),
            status_labels=("status",),
            failure=SERVER_ERROR,
            counter="django_http_responses_total_by_status_view_method_total",
        ),
    ),
    "fastapi": (
        # prometheus-fastapi-instrumentator 5 to 7, whose `handler` is the template and whose
        # status is grouped as 2xx unless told otherwise.
        MetricMapping(
            preset="fastapi",
            metric="http_request_duration_seconds",
            labels=("method", "handler"),
            status_labels=("status",),
            failure=SERVER_ERROR,
            counter="http_requests_total",
        ),
    ),
    "grpc": (
        # go-grpc-prometheus, go-grpc-middleware 2 and py-grpc-prometheus.
        MetricMapping(
            preset="grpc",
            metric="grpc_server_handling_seconds",
            labels=("grpc_service", "grpc_method"),
            status_labels=("grpc_code", "code"),
            failure=GRPC_FAILURES,
            counter="grpc_server_handled_total",
        ),
    ),
    "celery": (
        # danihodovic/celery-exporter 0.9 and later, which times tasks that succeeded only.
        MetricMapping(
            preset="celery",
            metric="celery_task_runtime",
            labels=TASKS,
            either=TASKS,
            failure_counter="celery_task_failed_total",
        ),
        # OvalMoney/celery-exporter 1.x.
        MetricMapping(
            preset="celery",
            metric="celery_tasks_runtime_seconds",
            labels=TASKS,
            either=TASKS,
        ),
        # celery_redis_prometheus, and workers that count by themselves.
        MetricMapping(
            preset="celery",
            metric="celery_task_runtime_seconds",
            labels=TASKS,
            either=TASKS,
        ),
    ),
}
"""Mappings by preset; those for one metric are alternatives, and the first one chosen counts."""

CUSTOM_LABELS = ("operation", "task", "name", "grpc_service", "grpc_method", *HTTP_LABELS)
"""Labels by which operations of a metric of one's own are named where none are set."""


def mappings(settings: Operations) -> tuple[MetricMapping, ...]:
    """Return the mappings that the settings ask for, at most one per metric.

    Raises ValueError for a regular expression that cannot be understood.
    """
    if settings.failure:
        try:
            re.compile(settings.failure)
        except re.error as error:
            raise ValueError(f"operations.failure is not a regular expression: {error}") from None
    found: dict[str, MetricMapping] = {}
    for preset in settings.presets:
        for mapping in PRESETS[preset]:
            found.setdefault(mapping.metric, mapping)
    if settings.metric and settings.metric not in found:
        custom = MetricMapping(
            preset="custom",
            metric=settings.metric,
            labels=CUSTOM_LABELS,
            either=ROUTES,
            status_labels=STATUSES,
            failure=f"{SERVER_ERROR}|failure|failed|error",
        )
        found = {settings.metric: custom, **found}
    return tuple(_with_choices(mapping, settings) for mapping in found.values())


def _with_choices(mapping: MetricMapping, settings: Operations) -> MetricMapping:
    """Return the mapping with what a person set in its place."""
    status_labels = mapping.status_labels
    if settings.status_label:
        status_labels = tuple(dict.fromkeys((settings.status_label, *status_labels)))
    service_labels = mapping.service_labels
    if settings.service_label:
        service_labels = tuple(dict.fromkeys((settings.service_label, *service_labels)))
    return msgspec.structs.replace(
        mapping,
        preferred=settings.labels,
        status_labels=status_labels,
        failure=settings.failure or mapping.failure,
        service_labels=service_labels,
    )
