"""What a person should know about the numbers of a service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from perftui.sources.services.instances import MOST_INSTANCES
from perftui.sources.services.process import MOST_OPERATIONS, ServiceProcess

MOST_PROCESSES = 5000
"""Processes that are read, of all services together."""
MOST_COUNTS = 200_000
"""Operations that are kept of all processes, each process counted apart; about 100 MB."""
SAME_VERSION = "run the same version of perftui in the services and here"


def refusal(reasons: Sequence[str]) -> str:
    """Return how many reports could not be read, and why the first of them could not."""
    plural = "report" if len(reasons) == 1 else "reports"
    return f"{len(reasons):,} service {plural} could not be read: {reasons[0]}"


def notes(
    service: str,
    processes: Sequence[ServiceProcess],
    left_out: int,
    operations: int,
    now: float,
) -> tuple[str, ...]:
    """Return the warnings about a service, the most severe first."""
    found = []
    problems = [each.problem for each in processes if each.problem and each.recent(now)]
    if problems:
        found.append(f"{refusal(problems)}; {SAME_VERSION}")
    if left_out:
        found.append(
            f"{left_out:,} {'process' if left_out == 1 else 'processes'} of {service} "
            f"{'is' if left_out == 1 else 'are'} left out: at most {MOST_PROCESSES:,} "
            f"with {MOST_COUNTS:,} operations in all are read"
        )
    reports = [each.last.report for each in processes if each.last is not None and each.live(now)]
    overflow = max([report.overflow for report in reports], default=0)
    if overflow > 0:
        found.append(
            f"{overflow:,} operation names of {service} are too many and are added up as _other; "
            "name operations by route templates"
        )
    if operations > MOST_OPERATIONS:
        found.append(
            f"{service} has {operations:,} operations; those beyond {MOST_OPERATIONS:,} are "
            "added up as _other"
        )
    bounds = Counter(report.bounds for report in reports if report.bounds)
    if len(bounds) > 1:
        found.append(
            f"processes of {service} use {len(bounds)} different sets of buckets; quantiles rest "
            "on the bounds they share"
        )
    if len(processes) > MOST_INSTANCES:
        found.append(
            f"{MOST_INSTANCES:,} of {len(processes):,} processes of {service} are listed one by one"
        )
    return tuple(found)
