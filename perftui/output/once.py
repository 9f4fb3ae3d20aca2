"""One snapshot as plain text, line by line, for a log, a pipe or a screen reader."""

from __future__ import annotations

import re

from perftui import format as show
from perftui.output.document import document, iso_utc
from perftui.output.once_alerts import AlertsWriter
from perftui.output.once_caches import CachesWriter, hits
from perftui.output.once_fullness import FullnessWriter
from perftui.output.once_operations import OperationsWriter
from perftui.output.once_queries import MOST_SHAPES_AT_ONCE, QueriesWriter
from perftui.output.once_redis import RedisDetailWriter
from perftui.output.operation_rows import SHORTEST
from perftui.output.text_writer import Lines, TextWriter
from perftui.snapshot import (
    Absent,
    Cgroup,
    Cpu,
    Memory,
    Pressure,
    Process,
    ProcessTable,
    Snapshot,
    Stall,
    State,
    Swap,
)

TOP_PROCESSES = 15
TOP_CALLS = 15


def report(snapshot: Snapshot, ascii_only: bool = False, window: str = SHORTEST) -> str:
    """Return the report of one snapshot, ending with a line end.

    Text from outside is made printable; `ascii_only` keeps every character inside ASCII. `window`
    is that of the operations: `10s`, `1min`, `5min` or `all`.
    """
    writer = _Writer(ascii_only)
    operations = OperationsWriter(ascii_only)
    alerts = AlertsWriter(ascii_only)
    fullness = FullnessWriter(ascii_only)
    redis = RedisDetailWriter(ascii_only)
    sections = {
        "Host": writer.host(snapshot),
        "Resources": writer.resources(snapshot),
        "Alerts": alerts.alerts(snapshot),
        "Past alerts": alerts.events(snapshot),
        "Operations": operations.operations(snapshot, window),
        "Top calls": writer.top_calls(snapshot),
        "Redis": writer.redis(snapshot),
        "Redis commands": redis.commands(snapshot),
        "Redis slow log": redis.slow(snapshot),
        "Redis errors": redis.errors(snapshot),
        "Caches": CachesWriter(ascii_only).caches(snapshot),
        "Servers": writer.servers(snapshot),
        "Queries": _queries(snapshot, ascii_only),
        "Pages of metrics": operations.endpoints(snapshot),
        "Prometheus": operations.prometheus(snapshot),
        "File systems": fullness.file_systems(snapshot),
        "Open files": fullness.descriptors(snapshot),
        "Processes": writer.processes(snapshot),
        "Sources with problems": writer.sources(snapshot),
        "Missing values": writer.missing_values(snapshot),
    }
    blocks = []
    for title, lines in sections.items():
        body = [f"  {line}".rstrip() for line in lines]
        if body:
            blocks.append("\n".join([title, *body]))
    return "\n\n".join(blocks) + "\n"


def cache_report(snapshot: Snapshot, ascii_only: bool = False) -> str:
    """Return the Redis server and the caches of the services alone."""
    writer = _Writer(ascii_only)
    caches = CachesWriter(ascii_only).caches(snapshot)
    sections = {"Redis": writer.redis(snapshot), "Caches": caches}
    blocks = [
        "\n".join([title, *(f"  {line}" for line in lines)]) for title, lines in sections.items()
    ]
    return "\n\n".join(blocks) + "\n"


def _queries(snapshot: Snapshot, ascii_only: bool) -> Lines:
    writer = QueriesWriter(ascii_only)
    queries = snapshot.queries
    if isinstance(queries, Absent):
        return writer.absent(queries)
    return writer.queries(queries, MOST_SHAPES_AT_ONCE)


class _Writer(TextWriter):
    """Writes the sections; every line is complete without the ones above it, as far as it goes."""

    def host(self, snapshot: Snapshot) -> Lines:
        yield f"time      {iso_utc(snapshot.time)}"
        host = snapshot.host
        if isinstance(host, Absent):
            yield from self.absent(host)
            return
        yield f"name      {self.clean(host.name)}"
        yield f"system    {self.clean(f'{host.system} {host.kernel}')}, {host.cpus} cpus"
        yield f"up        {show.duration(host.uptime).strip()}"

    def resources(self, snapshot: Snapshot) -> Lines:
        part = snapshot.resources
        yield from self.absent(part.cpu, "cpu") if isinstance(part.cpu, Absent) else _cpu(part.cpu)
        for name, room in (("memory", part.memory), ("swap", part.swap)):
            yield from self.absent(room, name) if isinstance(room, Absent) else _room(name, room)
        if isinstance(part.disk, Absent):
            yield from self.absent(part.disk, "disk")
        else:
            read, write = part.disk.read_rate, part.disk.write_rate
            yield f"disk      read {_rate(read)}, write {_rate(write)}"
        if isinstance(part.network, Absent):
            yield from self.absent(part.network, "network")
        else:
            received, sent = part.network.receive_rate, part.network.transmit_rate
            yield f"network   receive {_rate(received)}, transmit {_rate(sent)}"
        if isinstance(part.pressure, Absent):
            yield from self.absent(part.pressure, "pressure")
        else:
            yield _pressure(part.pressure)
        if isinstance(part.cgroup, Absent):
            yield from self.absent(part.cgroup, "cgroup")
        else:
            yield from self.cgroup(part.cgroup)

    def cgroup(self, group: Cgroup) -> Lines:
        yield f"cgroup    v{group.version} {self.clean(group.path)}"
        if not isinstance(group.cpu_limit, Absent):
            limit = "no limit" if group.cpu_limit is None else f"limit {group.cpu_limit:g} cores"
            throttled = ""
            if not isinstance(group.throttled_percent, Absent):
                throttled = f", throttled {show.percent(group.throttled_percent).strip()} %"
            used = show.percent(group.cpu_percent).strip()
            of_limit = "" if group.cpu_limit is None else f", {used} % of it"
            yield f"          cpu {limit}{of_limit}{throttled}"
        if not isinstance(group.memory_limit, Absent):
            used = show.size(group.memory_used).strip()
            if group.memory_limit is None:
                yield f"          memory no limit, {used} used"
            else:
                limit = show.size(group.memory_limit).strip()
                share = show.percent(group.memory_percent).strip()
                yield f"          memory limit {limit}, {used} used, {share} %"

    def top_calls(self, snapshot: Snapshot) -> Lines:
        calls = snapshot.top_calls
        if isinstance(calls, Absent):
            yield from self.absent(calls)
            return
        yield (
            f"pid {calls.pid} {self.cell(calls.command, 60).rstrip()}, python {calls.python}, "
            f"{calls.samples} samples in {show.duration(calls.window).strip()}, mode {calls.mode}"
        )
        if calls.note:
            yield self.clean(calls.note)
        yield " own %  total %  function                            where"
        for call in calls.calls[:TOP_CALLS]:
            yield (
                f" {show.percent(call.own_percent)}    {show.percent(call.total_percent)}  "
                f"{self.cell(call.function, 34)}  {self.clean(call.file)}:{call.line}"
            )

    def redis(self, snapshot: Snapshot) -> Lines:
        redis = snapshot.redis
        if isinstance(redis, Absent):
            yield from self.absent(redis)
            return
        yield (
            f"{self.clean(redis.flavour)} {self.clean(redis.version)} at "
            f"{self.clean(redis.address)}, {self.clean(redis.role)}, "
            f"up {show.duration(redis.uptime).strip()}, "
            f"answers in {show.duration(redis.latency).strip()}"
        )
        limit = "no limit" if redis.memory_limit is None else show.size(redis.memory_limit).strip()
        yield (
            f"memory    {show.size(redis.memory_used).strip()} of {limit}, "
            f"policy {self.clean(redis.memory_policy)}"
        )
        yield (
            f"keys      {redis.keys}, clients {redis.clients}, "
            f"blocked clients {redis.blocked_clients}"
        )
        yield f"hit ratio {hits(redis.hit_ratio)}"
        yield (
            f"commands  {_events(redis.commands_rate)}, evicted {_events(redis.evictions_rate)}, "
            f"expired {_events(redis.expirations_rate)}"
        )

    def servers(self, snapshot: Snapshot) -> Lines:
        missing = [
            pools for pools in (snapshot.pools, snapshot.haproxy) if isinstance(pools, Absent)
        ]
        told = [absent for absent in missing if absent.state is not State.NOT_COLLECTED]
        for absent in told if len(missing) < 2 or told else missing[:1]:
            yield from self.absent(absent)
        if len(missing) == 2:
            return
        pools = snapshot.all_pools
        for pool in pools:
            if isinstance(pool.eligible, Absent) and not pool.servers:
                yield from self.absent(pool.eligible)
        if not any(pool.servers for pool in pools):
            yield "no server is registered"
            return
        yield "pool        server            state     cpu %  mem %     req/s  in flight  seen"
        for pool in pools:
            for server in pool.servers:
                marks = ["overloaded"] if server.overloaded else []
                marks += [self.clean(server.reason)] if server.reason else []
                yield (
                    f"{self.cell(pool.name, 10)}  {self.cell(server.id, 16)}  "
                    f"{self.cell(server.state, 8)}  {show.percent(server.cpu_usage)}  "
                    f"{show.percent(server.memory_usage)}  {show.rate(server.requests_per_second)}"
                    f"  {show.count(server.in_flight):>9}  {show.age(server.last_seen):<8}"
                    f"{', '.join(marks)}"
                )

    def processes(self, snapshot: Snapshot) -> Lines:
        table = snapshot.processes
        if isinstance(table, Absent):
            yield from self.absent(table)
            return
        yield f"{table.total} processes, {table.threads} threads, {table.running} running"
        yield "    pid  cpu %     memory  user        command"
        for row in _by_cpu(table)[:TOP_PROCESSES]:
            yield (
                f"{row.pid:>7}  {show.percent(row.cpu_percent)}   {show.size(row.memory_rss)}  "
                f"{self.cell(row.user, 10)}  {self.cell(row.command or row.name, 80).rstrip()}"
            )

    def sources(self, snapshot: Snapshot) -> Lines:
        for source in snapshot.sources:
            # What is not collected was not asked for; its section says how to get it.
            if source.state in (State.OK, State.NOT_COLLECTED):
                continue
            word = show.stale(source.age) if source.state is State.STALE else source.state.value
            reason = f": {self.clean(source.reason)}" if source.reason else ""
            yield f"{self.clean(source.name):<10}{word}{reason}"
            if source.fix:
                yield f"{'':<10}fix: {self.clean(source.fix)}"

    def missing_values(self, snapshot: Snapshot) -> Lines:
        """Explain the dashes: single values, grouped by reason, list items taken together."""
        states = document(snapshot)["states"]
        assert isinstance(states, dict)
        groups: dict[tuple[str, str, str], list[str]] = {}
        for path, state in states.items():
            assert isinstance(state, dict)
            stale = state["state"] == State.STALE.value
            if stale or path in _SHOWN_WHOLE or _SHOWN_ELSEWHERE.search(path):
                continue
            key = (str(state["state"]), str(state["reason"]), str(state["fix"]))
            name = re.sub(r"\.\d+(?=\.|$)", "[]", path)
            names = groups.setdefault(key, [])
            if name not in names:
                names.append(name)
        for (state_word, reason, fix), names in groups.items():
            more = f" and {len(names) - 4} more" if len(names) > 4 else ""
            yield f"{', '.join(names[:4])}{more}: {state_word}: {self.clean(reason)}"
            if fix:
                yield f"  fix: {self.clean(fix)}"


_SHOWN_WHOLE = frozenset(
    {
        "host",
        "process_counts",
        "processes",
        "file_systems",
        "descriptors",
        "top_calls",
        "redis",
        "redis_detail",
        "redis_detail.commands",
        "redis_detail.slow",
        "redis_detail.slower_than",
        "redis_detail.errors",
        "services",
        "scrape",
        "prometheus",
        "prometheus.services",
        "prometheus.alerts",
        "pools",
        "haproxy",
        "queries",
        *(f"resources.{name}" for name in ("cpu", "memory", "swap", "disk", "network")),
        "resources.pressure",
        "resources.cgroup",
    }
)
_SHOWN_ELSEWHERE = re.compile(
    # The operations come once more below their services; an endpoint has its own reason; what an
    # alert does not have and an open bucket are no failure to measure.
    r"^services\.\d+\.operations\.|^scrape\.endpoints\.|^alerts\.|^alert_events\.|_interval"
    # Advice without a number says why where it is shown.
    r"|^queries\."
)


def _cpu(cpu: Cpu) -> Lines:
    yield (
        f"cpu       {show.percent(cpu.percent).strip()} %, "
        f"user {show.percent(cpu.user_percent).strip()} %, "
        f"system {show.percent(cpu.system_percent).strip()} %, "
        f"iowait {show.percent(cpu.iowait_percent).strip()} %, "
        f"steal {show.percent(cpu.steal_percent).strip()} %"
    )
    if not isinstance(cpu.per_core, Absent):
        cores = " ".join(show.percent(core).strip() for core in cpu.per_core)
        yield f"per core  {cores}"
    if not isinstance(cpu.load, Absent):
        yield "load      {:.2f} {:.2f} {:.2f}".format(*cpu.load)


def _room(name: str, room: Memory | Swap) -> Lines:
    if not room.total:
        yield f"{name:<10}none"
        return
    yield (
        f"{name:<10}{show.percent(room.percent).strip()} %, "
        f"{show.size(room.used).strip()} of {show.size(room.total).strip()}"
    )


def _pressure(pressure: Pressure) -> str:
    def some(stall: Stall | Absent) -> str:
        return show.percent(stall if isinstance(stall, Absent) else stall.some_avg10).strip()

    return (
        f"pressure  cpu {some(pressure.cpu)} %, memory {some(pressure.memory)} %, "
        f"io {some(pressure.io)} % of the last 10 s stalled"
    )


def _rate(value: float | Absent) -> str:
    return show.byte_rate(value).strip()


def _events(value: float | Absent) -> str:
    return show.rate(value).strip()


def _by_cpu(table: ProcessTable) -> list[Process]:
    def weight(row: Process) -> tuple[float, int]:
        cpu = 0.0 if isinstance(row.cpu_percent, Absent) else row.cpu_percent
        return (-cpu, -row.memory_rss)

    return sorted(table.rows, key=weight)
