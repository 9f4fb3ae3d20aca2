"""A complete snapshot with fixed numbers, for tests of panes, screens and outputs."""

from __future__ import annotations

import math

from sample_services import shop

from perftui.assembly import NO_PROMETHEUS, NO_SCRAPE, operation_series
from perftui.config import Settings
from perftui.history import History
from perftui.monitor import Monitor
from perftui.snapshot import (
    Absent,
    Alert,
    Call,
    Cgroup,
    Cpu,
    Descriptors,
    Disk,
    FileSystem,
    FileSystems,
    HitRatio,
    Host,
    Memory,
    MonitorCost,
    Network,
    Pool,
    PoolAdvice,
    PoolEvent,
    PoolServer,
    PoolThresholds,
    Pressure,
    Process,
    ProcessDescriptors,
    ProcessTable,
    RedisServer,
    Resources,
    Selection,
    Service,
    Severity,
    Snapshot,
    SourceStatus,
    Stall,
    State,
    Swap,
    TopCalls,
)

NOW = 1_767_225_600.0
"""2026-01-01 00:00:00 UTC."""

HOSTILE = "[/x] \x1b[31m 名前\n"
"""Markup, a colour sequence, wide characters and a newline in one name."""

NO_LIMIT = Absent(State.UNAVAILABLE, "no limit is set")


def statuses(**states: SourceStatus) -> tuple[SourceStatus, ...]:
    """Return a healthy status of every usual source but those given."""
    usual = ("host", "cgroup", "processes", "top_calls", "redis", "services", "pools")
    return tuple(
        states.get(name, SourceStatus(name, State.OK, "", "", 0.4, 0.002, 1.0, 0, 10))
        for name in dict.fromkeys((*usual, *states))
    )


def processes(count: int = 40) -> tuple[Process, ...]:
    """Return processes with a hostile one among them; a tree of depth two under pid 100."""
    rows = [
        Process(100, 1, "gunicorn", "/srv/venv/bin/python /srv/venv/bin/gunicorn shop:app",
                "www-data", "S", 2.0, 48_000_000, 2, NOW - 90_000, True),
        Process(101, 100, "gunicorn", "/srv/venv/bin/python -m shop.worker --name api-1",
                "www-data", "R", 88.5, 212_000_000, 9, NOW - 80_000, True),
        Process(102, 101, HOSTILE, HOSTILE, "www-data", "S", 1.5, 9_000_000, 1, NOW - 70_000,
                False),
    ]  # fmt: skip
    rows += [
        Process(200 + n, 1, f"svc-{n}", f"/usr/sbin/svc-{n} --daemon", "root", "S",
                round(0.1 * (count - n), 1), 1_000_000 * (n + 1), 1, NOW - 1000 * n, False)
        for n in range(count - len(rows))
    ]  # fmt: skip
    return tuple(rows)


def file_systems() -> FileSystems:
    """Return mounts of each kind: full, half full, without inodes, hung, and one that is denied."""
    gib = 2**30
    return FileSystems(
        (
            FileSystem("/", "/dev/nvme0n1p1", "ext4", 100 * gib, 43 * gib, 54.7, 12.1),
            FileSystem("/dev/shm", "tmpfs", "tmpfs", 4 * gib, 4 * gib, 0.0, 0.0),
            FileSystem("/srv/media", "media:/export/video", "nfs4", 8192 * gib, 180 * gib, 97.8,
                       NO_LIMIT),
            FileSystem("/var/lib/postgresql", "/dev/nvme1n1", "xfs", 500 * gib, 31 * gib, 93.8,
                       0.4),
            FileSystem(f"/mnt/{HOSTILE}", HOSTILE, "ext4", 2 * gib, 15_000_000, 99.3, 98.5),
        ),
        hung=("/mnt/archive",),
        refused=(("/mnt/secret", "Permission denied"),),
    )  # fmt: skip


def descriptors() -> Descriptors:
    """Return open files of a machine without a limit, and of a process near to its own."""
    rows = (
        ProcessDescriptors(101, "gunicorn", 901, 1024),
        ProcessDescriptors(1, "init", 70, 1024),
    )
    return Descriptors(11_264, 2**63 - 1, rows, 130)


def full_snapshot(alerts: bool = True) -> Snapshot:
    """Return a snapshot in which every part is measured."""
    return Snapshot(
        version=7,
        time=NOW,
        monotonic=1000.0,
        host=Host("web-01", "Linux", "6.1.0", 2, 1_051_200.0),
        resources=Resources(
            cpu=Cpu(58.2, (71.0, 44.0), 40.1, 15.0, 2.1, 0.0, (1.24, 0.98, 0.91)),
            memory=Memory(81.4, 6_990_000_000, 8_589_934_592, 1_599_934_592),
            swap=Swap(0.0, 0, 0),
            disk=Disk(1_200_000.0, 340_000.0),
            network=Network(2_100_000.0, 400_000.0),
            pressure=Pressure(
                cpu=Stall(0.4, 0.3, NO_LIMIT, NO_LIMIT),
                memory=Stall(0.0, 0.0, 0.0, 0.0),
                io=Stall(1.5, 1.0, 0.5, 0.2),
            ),
            cgroup=Cgroup(
                2, "/shop", 2.0, 1.16, 58.0, 3.1, 8_589_934_592, 6_990_000_000, 81.4
            ),
        ),
        processes=ProcessTable(processes(), 142, 512, 3, 1.0),
        file_systems=file_systems(),
        descriptors=descriptors(),
        top_calls=TopCalls(
            pid=101, command="gunicorn: worker [shop]", python="3.11.7",
            calls=(
                Call("price_for", "/srv/shop/price.py", 88, 41.2, 63.0),
                Call("loads", "/usr/lib/python3.11/json/decoder.py", 335, 12.9, 12.9),
                Call(HOSTILE, "/srv/shop/名前.py", 3, 4.2, 9.0),
            ),
            window=5.0, samples=412, errors=2, cores=0.87, mode="exact", rate_wanted=100.0,
            rate_reached=98.7, coverage_percent=95.4, pause_percent=1.6,
        ),
        redis=RedisServer(
            address="localhost:6379", flavour="Redis", version="7.0.15", role="master",
            uptime=86_400.0, latency=0.0003, clients=12, blocked_clients=0, keys=120_000,
            memory_used=310_000_000, memory_limit=512_000_000, memory_policy="allkeys-lru",
            hit_ratio=HitRatio(0.674, 0.701, 0.698), commands_rate=812.0, hits_rate=400.0,
            misses_rate=190.0, evictions_rate=0.0, expirations_rate=3.1,
        ),
        services=(shop(),),
        scrape=NO_SCRAPE,
        prometheus=NO_PROMETHEUS,
        pools=(
            Pool(
                "web",
                (
                    PoolServer("api-1", "10.0.0.1:80", "ready", "", 1, 41.0, 60.2, 120.0, 3, 500,
                               0.6, False, weight_set=1, response_mean=0.021, response_p95=0.084,
                               error_percent=0.2, since=4200.0, eligible=True, decided="ready",
                               picks_per_second=118.4, picks_percent=66.0,
                               picks_expected_percent=66.7),
                    PoolServer("api-2", "10.0.0.2:80", "ready", "cpu 91 % > 80 %", 1, 91.0, 61.0,
                               80.0, 9, 450, 0.7, True, weight_set=1, response_mean=0.19,
                               response_p95=0.61, error_percent=3.5, since=42.0, eligible=False,
                               decided="ready", picks_per_second=0.0, picks_percent=0.0,
                               picks_expected_percent=0.0),
                    PoolServer("api-3", "10.0.0.3:80", "stale", "no heartbeat for 12 s", 2,
                               NO_LIMIT, NO_LIMIT, NO_LIMIT, NO_LIMIT, 50, 12.0, False,
                               weight_set=2, since=12.0, eligible=False, decided="ready",
                               picks_per_second=0.0, picks_percent=0.0,
                               picks_expected_percent=0.0),
                    PoolServer("api-4", "10.0.0.4:80", "drain", "new version", 1, 7.0, 55.0, 2.0, 2,
                               498, 0.4, False, weight_set=1, response_mean=0.02,
                               response_p95=0.07, error_percent=0.0, since=95.0, eligible=False,
                               decided="drain", decided_by="ana@ops-1", picks_per_second=0.0,
                               picks_percent=0.0, picks_expected_percent=0.0),
                    PoolServer("api-5", "10.0.0.5:80", "ready", "", 1, 22.0, 41.0, 61.0, 1, 44,
                               0.3, False, weight_set=1, response_mean=0.024, response_p95=0.09,
                               error_percent=0.1, since=15.0,
                               detail="slow start: 50 % of its weight", eligible=True,
                               decided="ready", picks_per_second=61.0, picks_percent=34.0,
                               picks_expected_percent=33.3),
                ),
                eligible=2,
                picks_per_second=179.4,
                advice=PoolAdvice(5, 6, "cpu 51 % of 5 servers, above 45 %", "cpu", 51.0, 45.0, "",
                                  "target", 2, 8, 20.0),
                thresholds=PoolThresholds(80.0, 90.0, 1000.0),
                panic=False,
                events=(
                    PoolEvent(NOW - 12, "stale", "api-3", "", "no heartbeat for 3 s"),
                    PoolEvent(NOW - 15, "join", "api-5", "", ""),
                    PoolEvent(NOW - 42, "overload", "api-2", "", "cpu 91 % > 80 %"),
                    PoolEvent(NOW - 95, "drain", "api-4", "ana@ops-1", "new version"),
                ),
            ),
        ),
        alerts=(
            Alert("high_memory", Severity.CRITICAL, "cgroup limit", 93.1, 90.0, "percent",
                  NOW - 75, "memory 93.1 %, above 90 %",
                  "8 Processes sorted by memory shows the largest", "resources"),
            Alert("slow_operation", Severity.WARNING, "shop/checkout", 0.412, 0.303, "seconds",
                  NOW - 12, "takes 412 ms on average, 2.7 x the mean of its peers (n=860)",
                  "profile a worker of the service: select it in 8 Processes, press p",
                  "operations"),
        )
        if alerts
        else (),
        sources=statuses(),
        monitor=MonitorCost(0.6, 41_000_000, 1800.0, 0),
    )  # fmt: skip


def filled_history() -> History:
    """Return a history of five minutes of waves with a gap."""
    history = History(300)
    shop = Service("shop", 4, ("web-01",), 0.8)
    for tick in range(300):
        wave = 50 + 45 * math.sin(tick / 15)
        gap = 100 <= tick < 110
        history.record(
            float(tick),
            {
                "cpu.percent": None if gap else wave,
                "memory.percent": 60 + tick / 15,
                "redis.hit_percent": 90 - tick / 30,
                "cgroup.cpu": wave,
                "cgroup.memory": 81.0,
                operation_series(shop, "checkout", "rate"): 12 + 3 * math.sin(tick / 9),
                operation_series(shop, "checkout", "p95"): None if gap else 400 + 3 * wave,
                operation_series(shop, "checkout", "errors"): max(0.0, wave / 10 - 3),
                operation_series(shop, "product", "p95"): 20 + wave / 20,
                operation_series(shop, "search", "p95"): 900.0 if tick > 290 else 60.0,
            },
        )
    return history


class StillMonitor(Monitor):
    """A monitor that samples nothing: the test shows its own snapshots."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings or Settings(), sources=lambda _: [])
        self.history = filled_history()
        self.demands: list[frozenset[str]] = []
        self.selections: list[Selection] = []
        self.acknowledged: list[str] = []
        self.silenced: list[tuple[Alert, float, str, str]] = []
        self.unsilenced: list[str] = []
        self.started = False

    def start(self) -> None:
        """Note that sampling was asked for."""
        self.started = True

    def demand(self, needs: frozenset[str]) -> None:
        """Note what is looked at."""
        self.demands.append(needs)

    def select(self, selection: Selection) -> None:
        """Note what is looked at in detail."""
        super().select(selection)
        self.selections.append(selection)

    def acknowledge(self, fingerprint: str) -> bool:
        """Note which alert was acknowledged; `gone` is none any more."""
        self.acknowledged.append(fingerprint)
        return fingerprint != "gone"

    def silence(self, alert: Alert, seconds: float, comment: str, scope: str = "alert") -> None:
        """Note what was silenced."""
        self.silenced.append((alert, seconds, comment, scope))

    def unsilence(self, fingerprint: str) -> bool:
        """Note which alert's silence was ended."""
        self.unsilenced.append(fingerprint)
        return True

    def refresh(self) -> None:
        """Do nothing: there is no tick to hurry."""
