"""The doctor's look at pages of metrics and at a Prometheus server, with the sources' own eyes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from perftui.finding import Finding, of_absent
from perftui.setting_checks import metrics_problems
from perftui.snapshot import Absent, Endpoint, Prometheus, Scrape, Service, State

if TYPE_CHECKING:
    from perftui.config import Settings

LOOK_AGAIN = 0.5
"""Seconds after which pages are read again: operations show by their growth in a slot of time."""
LONGEST_LOOK = 5.0
NO_OPERATION = (
    "give the name of its histogram with operations.metric, or call the service so that it "
    "counts something"
)


def metrics_findings(settings: Settings) -> Iterator[Finding]:
    """Yield what is found, nothing where neither pages nor a server are configured."""
    problems = list(metrics_problems(settings))
    for setting, problem in problems:
        yield Finding("problem", setting, problem, "correct or remove it: perftui config show")
    unusable = {setting.partition(".")[0] for setting, _ in problems}
    if "operations" in unusable:
        return
    if (settings.scrape.urls or settings.scrape.discover) and "scrape" not in unusable:
        yield from _pages(settings)
    if settings.prometheus.url and "prometheus" not in unusable:
        yield from _server(settings)


def _pages(settings: Settings) -> Iterator[Finding]:
    from perftui.sources.scrape.source import ScrapeSource
    from perftui.sources.source import SourceError

    source = ScrapeSource(settings.scrape, settings.operations)
    try:
        scrape = source.sample()
        end = time.monotonic() + LONGEST_LOOK
        while not _all_tell(scrape) and time.monotonic() < end:
            time.sleep(LOOK_AGAIN)
            scrape = source.sample()
    except SourceError as error:
        yield of_absent("problem", "scrape", error.absent)
        return
    finally:
        source.close()
    if not scrape.endpoints:
        what = "no port of this machine answers with a page of metrics"
        yield Finding("note", "scrape", what, "start the service, or name its page with --scrape")
    for endpoint in scrape.endpoints:
        yield from _page(endpoint, scrape)


def _all_tell(scrape: Scrape) -> bool:
    return all(service.windows for service in scrape.services if service.processes)


def _page(endpoint: Endpoint, scrape: Scrape) -> Iterator[Finding]:
    if endpoint.state is not State.OK:
        reason = endpoint.reason
        if endpoint.address not in reason:
            reason = f"{endpoint.address}: {reason}"
        yield of_absent("problem", "scrape", Absent(endpoint.state, reason, endpoint.fix))
        return
    count = _operations(tuple(s for s in scrape.services if s.name == endpoint.service))
    where = f"{endpoint.address} (service {endpoint.service})"
    notes = list(endpoint.notes)
    if count:
        yield Finding("ok", "scrape", f"{where}: {_counted(count)}")
    else:
        why = notes.pop(0) if notes else "no operation is found in it"
        yield Finding("note", "scrape", f"{where}: {why}", endpoint.fix or NO_OPERATION)
    for note in notes:
        yield Finding("note", "scrape", f"{endpoint.address}: {note}", endpoint.fix)


def _server(settings: Settings) -> Iterator[Finding]:
    from perftui.sources.prometheus.source import PrometheusSource
    from perftui.sources.source import SourceError

    source = PrometheusSource(settings.prometheus, settings.operations)
    try:
        server = source.sample()
    except SourceError as error:
        yield of_absent("problem", "prometheus", error.absent)
        return
    finally:
        source.close()
    version = f"version {server.version}" if server.version else "version unknown"
    if isinstance(server.services, Absent):
        yield Finding("ok", "prometheus", f"{server.address} answers, {version}")
        yield of_absent("problem", "prometheus", server.services)
    else:
        yield _known(server, version, _operations(server.services))
    if isinstance(server.alerts, Absent):
        yield of_absent("note", "prometheus", server.alerts)
    for note in server.notes:
        yield Finding("note", "prometheus", note)


def _known(server: Prometheus, version: str, count: int) -> Finding:
    where = f"{server.address}, {version}"
    if count:
        return Finding("ok", "prometheus", f"{where}: {_counted(count)}")
    return Finding(
        "note",
        "prometheus",
        f"{where} answers, but no operation is found in it",
        "give the name of the histogram with operations.metric, and check prometheus.matcher",
    )


def _operations(services: tuple[Service, ...]) -> int:
    return sum(len(service.operations) for service in services)


def _counted(count: int) -> str:
    return "1 operation" if count == 1 else f"{count} operations"
