"""Pages of metrics that are scraped, and what a Prometheus server knows."""

from __future__ import annotations

from perftui.snapshot.part import Maybe, Part, State
from perftui.snapshot.services import Service


class Endpoint(Part, frozen=True):
    """One page of metrics and how reading it went; bytes, seconds of CPU time, series kept."""

    address: str
    service: str
    state: State
    reason: str
    fix: str
    age: float | None
    size: Maybe[int]
    series: Maybe[int]
    seconds: Maybe[float]
    notes: tuple[str, ...] = ()


class Scrape(Part, frozen=True):
    """The pages of metrics that are read directly, and the services they tell of."""

    endpoints: tuple[Endpoint, ...]
    services: tuple[Service, ...]


class ServerAlert(Part, frozen=True):
    """An alert that a Prometheus server found by its own rules; `since` is Unix time."""

    name: str
    severity: str
    labels: tuple[tuple[str, str], ...]
    summary: str
    runbook: str
    since: float
    value: Maybe[float]


class Prometheus(Part, frozen=True):
    """What a Prometheus server, or one that answers the same API, knows of the whole fleet."""

    address: str
    version: str
    services: Maybe[tuple[Service, ...]]
    alerts: Maybe[tuple[ServerAlert, ...]]
    targets_up: Maybe[int]
    targets_down: Maybe[int]
    notes: tuple[str, ...] = ()
