"""Reports as the processes of services would write them, and questions about what came of them."""

from __future__ import annotations

from typing import Any

from redis_fixture import RedisProcess

from perftui.metrics import report as reports
from perftui.metrics.report import OperationCounts, ServiceReport
from perftui.snapshot import (
    CacheTier,
    Instance,
    Maybe,
    Operation,
    Service,
)
from perftui.sources.services.source import ServicesSource

BOUNDS = (0.1, 1.0)
FIVE_MINUTES = 2


class Fleet:
    """Writes reports as processes would; their times are seconds before now, by Redis' clock."""

    def __init__(self, server: RedisProcess) -> None:
        self.server = server
        self.zero = self.now()

    def now(self) -> float:
        seconds, micros = self.server.client.time()
        return int(seconds) + int(micros) / 1e6

    def report(
        self,
        ago: float,
        operations: dict[str, Any] | None = None,
        instance: str = "h1:1:aa",
        service: str = "shop",
        **fields: Any,
    ) -> ServiceReport:
        """Make a report of a process that has been up for an hour, unless `uptime` says else."""
        time = self.zero - ago
        return ServiceReport(
            service=service,
            instance=instance,
            host=instance.partition(":")[0],
            pid=int(instance.split(":")[1]),
            operations={
                name: counts if isinstance(counts, OperationCounts) else calls(*counts)
                for name, counts in (operations or {}).items()
            },
            **(
                {
                    "started": 1.0,
                    "time": time,
                    "uptime": 3600.0 - ago,
                    "clock": time,
                    "bounds": BOUNDS,
                }
                | fields
            ),
        )

    def publish(
        self,
        report: ServiceReport,
        payload: bytes | None = None,
        silent: float = 0.0,
        before: ServiceReport | None = None,
    ) -> None:
        client = self.server.client
        member = f"{report.service}/{report.instance}"
        index = reports.ENDED_KEY if report.ended else reports.INDEX_KEY
        other = reports.INDEX_KEY if report.ended else reports.ENDED_KEY
        client.zrem(other, member)
        client.zadd(index, {member: self.now() - silent})
        client.set(
            reports.report_key(report.service, report.instance),
            payload if payload is not None else reports.encode(report),
        )
        if before is not None:
            key = reports.before_key(report.service, report.instance)
            client.set(key, reports.encode(before))

    def silence(self, seconds: float, instance: str = "h1:1:aa", service: str = "shop") -> None:
        self.server.client.zadd(reports.INDEX_KEY, {f"{service}/{instance}": self.now() - seconds})


def calls(count: int, failures: int = 0, seconds: float = 0.0, *buckets: int) -> OperationCounts:
    return OperationCounts(count, failures, seconds, buckets or (count, 0, 0))


def one(source: ServicesSource) -> Service:
    services = source.sample()
    assert len(services) == 1
    return services[0]


def operation(service: Service, name: str, window: int = FIVE_MINUTES) -> Operation:
    return {each.name: each for each in service.windows[window].operations}[name]


def counts(service: Service, window: int = FIVE_MINUTES) -> dict[str, int]:
    if not service.windows:
        return {}
    return {each.name: each.count for each in service.windows[window].operations}


def ratio(tier: CacheTier) -> Maybe[float]:
    return tier.hit_ratio.seconds_10


def instance(service: Service, name: str) -> Instance:
    return {each.id: each for each in service.instances}[name]
