"""A snapshot with fixed numbers in which some values are missing, for tests of the outputs."""

from __future__ import annotations

from perftui.snapshot import (
    FIRST_SAMPLE,
    Absent,
    Alert,
    CacheNamespace,
    CacheTier,
    Call,
    Cgroup,
    Cpu,
    Disk,
    HitRatio,
    Host,
    Memory,
    MonitorCost,
    Network,
    Pool,
    PoolServer,
    Pressure,
    Process,
    ProcessTable,
    Prometheus,
    RedisServer,
    Resources,
    Scrape,
    Service,
    Severity,
    Snapshot,
    SourceStatus,
    Stall,
    State,
    Swap,
    TopCalls,
)

DENIED = Absent(State.DENIED, "the kernel says no", "sudo sysctl kernel.yama.ptrace_scope=0")
HITS = HitRatio(0.912, 0.9, FIRST_SAMPLE)


def process(pid: int, cpu: float | Absent, name: str = "python") -> Process:
    return Process(pid, 1, name, f"{name} -m web", "www", "S", cpu, 2**20, 4, 1e9, True)


def full() -> Snapshot:
    cpu = Cpu(58.2, (71.0, 44.0), 40.0, 18.0, 0.2, 0.0, (1.24, 0.98, 0.91))
    resources = Resources(
        cpu,
        Memory(81.4, 6 * 2**30, 8 * 2**30, 2 * 2**30),
        Swap(0, 0, 0),
        Disk(1_200_000.0, FIRST_SAMPLE),
        Network(1.0, 2.0),
        Pressure(Stall(0.4, 0.1, DENIED, DENIED), DENIED, Stall(0.0, 0.0, 0.0, 0.0)),
        Cgroup(2, "/web", 2.0, 1.1, 55.0, 3.1, None, 2**30, DENIED),
    )
    rows = (process(7, 12.5), process(8, FIRST_SAMPLE), process(9, 80.0, "evil\x1b[2J\n\udcff"))
    calls = (Call("price_for", "shop/price.py", 88, 41.2, 63.0),)
    server = PoolServer("api-1", "10.0.0.1:80", "ready", "", 1, 83.0, DENIED, 12.0, 3, 9, 1.0, True)
    return Snapshot(
        3,
        1_700_000_000.5,
        55.0,
        host=Host("web-01", "Linux", "6.1", 2, 1_051_200.0),
        resources=resources,
        processes=ProcessTable(rows, 312, 900, 2, 0.0),
        top_calls=TopCalls(
            7, "python -m web", "3.11", calls, 5.0, 500, 0, 1.0, "safe", 100, 99, 90, DENIED
        ),
        redis=RedisServer(
            "localhost:6379", "redis", "7.2", "master", 9.0, 0.0003, 4, 0, 120_000, 2**20, None,
            "noeviction", HITS, 10.0, 9.0, 1.0, 0.0, FIRST_SAMPLE,
        ),
        services=(
            Service("shop", 4, ("web-01",), 0.5, (), (
                CacheNamespace("price", (CacheTier("memory", HITS, 1000, FIRST_SAMPLE, 3.0),)),
            )),
        ),
        scrape=Scrape((), ()),
        prometheus=Prometheus("http://prom:9090", "2.42.0", (), (), 3, 0),
        pools=(Pool("web", (server,)), Pool("empty", ())),
        alerts=(
            Alert("R10", Severity.CRITICAL, "cpu", 99, 80, "%", 1_700_000_000.0, "cpu is full",
                  "see Processes", "processes"),
            Alert("R09", Severity.WARNING, "memory", 91, 90, "%", 1_700_000_000.0, "is full", "",
                  "processes", silenced_until=1_700_003_600.0, comment="known"),
        ),
        sources=(
            SourceStatus("host", State.OK, "", "", 0.1, 0.01, 1.0, 0, 5),
            SourceStatus("redis", State.STALE, "no answer", "restart it", 12.0, 0.5, 1.0, 2, 5),
        ),
        monitor=MonitorCost(0.6, 40_000_000, DENIED, 0),
    )  # fmt: skip
