"""The operations of all services that are shown, as the rows of one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perftui.snapshot import Absent, Operation, OperationWindow, Service
from perftui.tui.view import Choice, ServiceKey

STRETCHED = 1.5
"""From this ratio on a window that covers more than its seconds is another window."""


@dataclass(frozen=True, eq=False)
class OperationRow:
    """One operation of one service; `share` is its part of the time of all rows, 0..1.

    `prefix` is the service in front of the name where several are shown, else empty.
    """

    service: Service
    window: OperationWindow
    operation: Operation
    share: float
    prefix: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What the row is known by from one snapshot to the next."""
        return (self.service.origin, self.service.name, self.operation.name)

    @property
    def name(self) -> str:
        """What the row is called in the table."""
        return f"{self.prefix}{self.operation.name}"

    @property
    def called(self) -> bool:
        """Whether the operation was called at all in the window."""
        return self.operation.count > 0


@dataclass(frozen=True, eq=False)
class Listing:
    """The rows of the services that are shown; seconds of the window and of its watched part.

    `silent` are the shown services that have no numbers yet, `shown` all that are not hidden by
    the choice of services or hosts. `other_windows` are those whose window is not the chosen one.
    """

    rows: tuple[OperationRow, ...]
    shown: tuple[Service, ...]
    silent: tuple[Service, ...]
    covered: float | None
    other_windows: tuple[tuple[Service, OperationWindow], ...]


def real_seconds(window: OperationWindow) -> float:
    """Return how long a window is: much longer than asked for where readings are far apart."""
    stretched = window.covered > STRETCHED * window.seconds
    return window.covered if stretched else window.seconds


def service_key(service: Service) -> ServiceKey:
    """Return what a choice knows a service by."""
    return (service.origin, service.name)


def shown_services(services: Sequence[Service], choice: Choice) -> tuple[Service, ...]:
    """Return the services that the choice leaves: the chosen ones that run on a chosen host."""
    wanted = set(choice.hosts)
    return tuple(
        service
        for service in services
        if (not choice.services or service_key(service) in choice.services)
        and (not wanted or wanted & known_hosts(service))
    )


def known_hosts(service: Service) -> set[str]:
    """Return the hosts of a service, those of its silent processes too."""
    return {*service.hosts, *(instance.host for instance in service.instances)}


def list_operations(services: Sequence[Service], choice: Choice) -> Listing:
    """Return the operations of the shown services in the chosen window, or the next longer one."""
    shown = shown_services(services, choice)
    names = [service.name for service in shown]
    several = len(shown) > 1
    found: list[tuple[Service, OperationWindow]] = []
    silent: list[Service] = []
    for service in shown:
        window = _window(_windows(service, choice.hosts), choice.window)
        if window is None:
            silent.append(service)
        else:
            found.append((service, window))
    busy = sum(_busy(o) for _, window in found for o in window.operations) if several else 0.0
    rows = []
    for service, window in found:
        prefix = ""
        if several:
            twice = names.count(service.name) > 1
            prefix = f"{service.name} ({service.origin})/" if twice else f"{service.name}/"
        for operation in window.operations:
            share = operation.time_share
            if several:
                share = _busy(operation) / busy if busy > 0 else 0.0
            rows.append(OperationRow(service, window, operation, share, prefix))
    usual = [window for _, window in found if real_seconds(window) == choice.window]
    return Listing(
        rows=tuple(rows),
        shown=shown,
        silent=tuple(silent),
        covered=min((window.covered for window in usual), default=None),
        other_windows=tuple(
            (service, window) for service, window in found if real_seconds(window) != choice.window
        ),
    )


def _windows(service: Service, hosts: tuple[str, ...]) -> tuple[OperationWindow, ...]:
    """Return the windows of the whole service, or of the chosen hosts once they are told apart."""
    if not hosts:
        return service.windows
    wanted = set(hosts)
    told = set(service.chosen_hosts)
    # A source may name all that was asked for or only those it has.
    if told and told in (wanted, wanted & known_hosts(service)):
        return service.chosen
    return ()


def _window(windows: tuple[OperationWindow, ...], seconds: float) -> OperationWindow | None:
    longer = (window for window in windows if window.seconds >= seconds)
    return next(longer, windows[-1] if windows else None)


def _busy(operation: Operation) -> float:
    """Return how many calls are under way on average: seconds of calls in a second."""
    return 0.0 if isinstance(operation.mean, Absent) else operation.rate * operation.mean
