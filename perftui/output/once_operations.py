"""The sections of the text report about operations and where they were read."""

from __future__ import annotations

import math

from perftui import format as show
from perftui.output.operation_rows import ALL, chosen_window
from perftui.output.text_writer import Lines, TextWriter
from perftui.snapshot import (
    Absent,
    Endpoint,
    Maybe,
    Operation,
    OperationWindow,
    Prometheus,
    Quantile,
    Service,
    Snapshot,
    State,
)

TOP_OPERATIONS = 40
TOP_SILENT = 10
WIDE_BUCKET = 1.5
"""Upper over lower bound from which on a quantile is shown with the bucket it lies in."""

ORIGINS = {"redis": "Redis", "scrape": "its page of metrics", "prometheus": "Prometheus"}


class OperationsWriter(TextWriter):
    """Writes operations, scraped pages and the Prometheus server, problems with their fix."""

    def operations(self, snapshot: Snapshot, window: str) -> Lines:
        """Write a table per service and window, what takes most of the time first."""
        services = snapshot.all_services
        reporting = snapshot.services
        if isinstance(reporting, Absent) and (
            not services or reporting.state is not State.NOT_COLLECTED
        ):
            yield from self.absent(reporting)
        elif not services:
            yield "no service is known"
        for service in services:
            nearest = chosen_window(service, window)
            windows = service.windows if window == ALL else (nearest,) if nearest else ()
            yield self._service(service)
            yield from self._notes(service)
            if not windows:
                yield "  no operation is known yet"
            for part in windows:
                yield from self._window(part)

    def _service(self, service: Service) -> str:
        count = len(service.hosts)
        hosts = f" on {_counted(count, 'host', 'hosts')}" if count else ""
        where = ORIGINS.get(service.origin, service.origin)
        return (
            f"{self.clean(service.name)}, read from {where}, "
            f"{_counted(service.processes, 'process', 'processes')}{hosts}, "
            f"seen {show.age(service.last_seen)} ago"
        )

    def _notes(self, service: Service) -> Lines:
        for note in service.notes:
            yield f"  note: {self.clean(note)}"
        silent = [one for one in service.instances if one.state is not State.OK]
        for one in silent[:TOP_SILENT]:
            note = f", {self.clean(one.note)}" if one.note else ""
            yield (
                f"  {self.clean(one.id)} on {self.clean(one.host)}: {one.state.value}, "
                f"silent for {show.age(one.last_seen)}{note}"
            )
        if len(silent) > TOP_SILENT:
            yield f"  and {len(silent) - TOP_SILENT} more silent ones"

    def _window(self, window: OperationWindow) -> Lines:
        covered = ""
        if window.covered < window.seconds - 1:
            covered = f", of which {show.age(window.covered)} have been watched"
        elif window.covered > window.seconds + 1:
            covered = f", stretched to {show.age(window.covered)}"
        yield f"  last {_span(window.seconds)}{covered}"
        operations = sorted(window.operations, key=lambda o: (-o.time_share, -o.count, o.name))
        if not operations:
            yield "  no operation was called"
            return
        yield (
            f"  {'operation':<32}      rate      p50      p95      p99     mean  "
            "err %  time %   count"
        )
        for operation in operations[:TOP_OPERATIONS]:
            yield f"  {self._operation(operation)}"
        if len(operations) > TOP_OPERATIONS:
            yield f"  and {len(operations) - TOP_OPERATIONS} more, see perftui once --json"

    def _operation(self, operation: Operation) -> str:
        cancelled = f", {operation.cancelled} cancelled" if operation.cancelled else ""
        return (
            f"{self.cell(operation.name, 32)}  {show.rate(operation.rate)}  "
            f"{_quantile(operation.p50)}  {_quantile(operation.p95)}  {_quantile(operation.p99)}  "
            f"{show.duration(operation.mean)}  {show.ratio(operation.error_ratio)}   "
            f"{show.ratio(operation.time_share)}  {show.count(operation.count)}"
            f"{_bucket(operation.p95)}{cancelled}"
        )

    def endpoints(self, snapshot: Snapshot) -> Lines:
        """Write one block per page of metrics."""
        scrape = snapshot.scrape
        if isinstance(scrape, Absent):
            yield from self.absent(scrape)
            return
        if not scrape.endpoints:
            yield "no page of metrics was found"
        for endpoint in scrape.endpoints:
            yield from self._endpoint(endpoint)

    def _endpoint(self, endpoint: Endpoint) -> Lines:
        # Most reasons begin with what the line begins with.
        why = endpoint.reason.removeprefix(endpoint.address).strip()
        reason = f": {self.clean(why)}" if why else ""
        word = endpoint.state.value
        if endpoint.state is State.STALE:
            word = show.stale(endpoint.age)
        head = f"{self.clean(endpoint.address)} {word}{reason}"
        if endpoint.state in (State.OK, State.STALE):
            head += (
                f", service {self.clean(endpoint.service)}, {show.size(endpoint.size).strip()}, "
                f"{show.count(endpoint.series).strip()} series used, "
                f"{show.duration(endpoint.seconds).strip()} of CPU"
            )
        yield head
        if endpoint.fix:
            yield f"  fix: {self.clean(endpoint.fix)}"
        for note in endpoint.notes:
            yield f"  note: {self.clean(note)}"

    def prometheus(self, snapshot: Snapshot) -> Lines:
        """Write what kind of server it is, what it watches and what it could not tell."""
        server = snapshot.prometheus
        if isinstance(server, Absent):
            yield from self.absent(server)
            return
        version = f" {self.clean(server.version)}" if server.version else ""
        yield f"{self.clean(server.address)}, version{version or ' unknown'}"
        yield (
            f"targets   {show.count(server.targets_up).strip()} up, "
            f"{show.count(server.targets_down).strip()} down"
        )
        yield from self._server_parts(server)
        for note in server.notes:
            yield f"note: {self.clean(note)}"

    def _server_parts(self, server: Prometheus) -> Lines:
        if isinstance(server.services, Absent):
            yield from self.absent(server.services, "services")
        else:
            yield f"services  {len(server.services)}"
        if isinstance(server.alerts, Absent):
            yield from self.absent(server.alerts, "alerts")
        else:
            yield f"alerts    {len(server.alerts)} firing"


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _span(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 and not seconds % 60 else f"{seconds:g} s"


def _quantile(quantile: Maybe[Quantile]) -> str:
    return show.duration(quantile if isinstance(quantile, Absent) else quantile.value)


def _bucket(quantile: Maybe[Quantile]) -> str:
    """Return where a quantile lies when its bucket is so wide that the number says little."""
    if isinstance(quantile, Absent):
        return ""
    low, high = quantile.low, quantile.high
    if not math.isfinite(high):
        return f"  p95 above {show.duration(low).strip()}"
    if math.isfinite(low) and high > WIDE_BUCKET * low:
        return f"  p95 in {show.duration(low).strip()} to {show.duration(high).strip()}"
    return ""
