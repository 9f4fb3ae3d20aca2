"""How fast keys go by pattern, and what another client notices of it, beside two other ways.

Run: PYTHONPATH=. python tests/benchmarks/cache.py --only sweep [--keys 1000000]
Half of the keys match. The other client is a process that GETs every millisecond. At the end the
undo of 100,000 keys, each compared with what it was, and what was promised.
"""

from __future__ import annotations

import pathlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from redis_fixture import RedisProcess, find_cli
from verdict import Verdict

from perftui.cache.dry_run import DryRun
from perftui.cache.invalidation import Invalidation, InvalidationResult, estimate
from perftui.cache.undo import Undo
from perftui.cache.undo_journal import MOST_KEYS, journals

HERE = pathlib.Path(__file__).parent
PATTERN = "app:user:*"
OWN = "perftui, normal"
SHELL = "redis-cli --scan | xargs unlink"


def fill(server: RedisProcess, keys: int) -> None:
    """Write the keys afresh, half of them under the prefix, 100 bytes each."""
    server.client.flushall()
    value = b"v" * 100
    for start in range(0, keys, 10_000):
        names = range(start, min(keys, start + 10_000))
        server.client.mset({f"app:{'user' if n % 2 else 'item'}:{n}": value for n in names})
    server.client.set("latency:key", b"v" * 100)


def meanwhile(server: RedisProcess, act: Callable[[], object]) -> tuple[float, list[float]]:
    """Return the seconds that `act` took and the sorted latencies of the other client."""
    probe = subprocess.Popen(
        [sys.executable, str(HERE / "get_latency.py"), server.socket],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert probe.stdout is not None
    probe.stdout.readline()
    start = time.perf_counter()
    act()
    seconds = time.perf_counter() - start
    output, _ = probe.communicate("\n", timeout=60)
    return seconds, sorted(float(line) for line in output.split())


def show(name: str, deleted: int, seconds: float, latencies: list[float]) -> float:
    """Print one line: keys per second, and the other client's latencies in milliseconds.

    Returns their 99th percentile in seconds.
    """
    median = latencies[len(latencies) // 2]
    high = latencies[len(latencies) * 99 // 100]
    speed = f"{deleted / seconds / 1000:9.0f} k/s" if deleted else " " * 13
    print(
        f"{name:32}{speed}{seconds * 1e3:9.0f} ms"
        f"   GET p50 {median * 1e3:7.3f}  p99 {high * 1e3:8.3f}  max {latencies[-1] * 1e3:8.3f} ms"
    )
    return high


def show_server_times(server: RedisProcess) -> None:
    """Print what the server itself measured: no other client is served during one command.

    Sturdier than the latencies on a machine where other programs take the processors.
    """
    percentiles: dict[str, Any] = {}
    if int(server.client.info("server")["redis_version"].split(".")[0]) >= 7:
        percentiles = server.client.info("latencystats")
    for name, stats in server.client.info("commandstats").items():
        verb = name.removeprefix("cmdstat_")
        if verb in ("scan", "unlink", "keys", "del"):
            high = percentiles.get(f"latency_percentiles_usec_{verb}", {}).get("p99")
            p99 = f", p99 {float(high) / 1000:.3f} ms" if high is not None else ""
            mean = stats["usec_per_call"] / 1000
            print(f"    server: {stats['calls']} {verb.upper()}, mean {mean:.3f} ms{p99}")


def memory_of_client(act: Callable[[], object]) -> float:
    """Return by how many MB the peak of this process grew during `act`."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    act()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def undo(server: RedisProcess) -> list[Verdict]:
    """Delete 100,000 keys of several types with expiry and put them back."""
    client = server.client
    client.flushall()
    for start in range(0, MOST_KEYS, 10_000):
        pipeline = client.pipeline(transaction=False)
        for number in range(start, start + 10_000):
            key = f"app:user:{number}"
            if number % 10 == 0:
                pipeline.hset(key, mapping={"name": f"n{number}", "age": number % 90})
            elif number % 10 == 1:
                pipeline.rpush(key, *range(number % 7 + 1))
            else:
                pipeline.set(key, f"{number}" * 20)
            if number % 2:
                pipeline.pexpire(key, 3_600_000 + number)
        pipeline.execute()
    before = contents(server)
    with tempfile.TemporaryDirectory() as where:
        done: list[InvalidationResult] = []
        run = Invalidation(client, PATTERN, keep=True, journals=pathlib.Path(where))
        seconds, latencies = meanwhile(server, lambda: done.append(run.run()))
        show("delete, keeping the keys", done[0].deleted, seconds, latencies)
        (journal,) = journals(pathlib.Path(where))
        size = journal.size
        seconds, latencies = meanwhile(server, lambda: Undo(client, journal).run())
    show("undo", MOST_KEYS, seconds, latencies)
    after = contents(server)
    # Before Redis 7 the moment is a remaining time and a reading of the clock, taken one by one.
    slack = 0 if exact_expiry(server) else 5000
    assert before.keys() == after.keys(), "keys are missing"
    for key, (kind, value, expiry) in before.items():
        assert after[key][:2] == (kind, value), key
        assert abs(after[key][2] - expiry) <= slack, (key, expiry, after[key][2])
    return [
        Verdict(
            "undo: keys with value, type and expiry as before", f"{len(after):,} of {MOST_KEYS:,}"
        ),
        Verdict("undo: journal", f"{size:,} bytes"),
        Verdict(f"undo of {MOST_KEYS:,} keys", f"{seconds:.2f} s", "<= 5 s", seconds <= 5),
    ]


def exact_expiry(server: RedisProcess) -> bool:
    """Tell whether the server knows PEXPIRETIME."""
    return int(server.client.info("server")["redis_version"].split(".")[0]) >= 7


def contents(server: RedisProcess) -> dict[str, tuple[bytes, Any, float]]:
    """Return type, value and moment of expiry in milliseconds (0 for none) of every key."""
    client = server.client
    exact = exact_expiry(server)
    found: dict[str, tuple[bytes, Any, float]] = {}
    for start in range(0, MOST_KEYS, 10_000):
        names = [f"app:user:{number}" for number in range(start, start + 10_000)]
        now = 0.0 if exact else client.time()[0] * 1000.0
        pipeline = client.pipeline(transaction=False)
        for number, name in enumerate(names, start):
            pipeline.type(name)
            pipeline.execute_command("PEXPIRETIME" if exact else "PTTL", name)
            if number % 10 == 0:
                pipeline.hgetall(name)
            elif number % 10 == 1:
                pipeline.lrange(name, 0, -1)
            else:
                pipeline.get(name)
        replies = iter(pipeline.execute())
        for name, kind, left, value in zip(names, replies, replies, replies, strict=True):
            found[name] = (kind, value, now + left if left >= 0 else 0.0)
    return found


def keys_and_del(server: RedisProcess) -> None:
    found = server.client.execute_command("KEYS", PATTERN)
    server.client.delete(*found)


def naive_shell(server: RedisProcess, cli: str) -> None:
    scan = subprocess.Popen(
        [cli, "-s", server.socket, "--scan", "--pattern", PATTERN], stdout=subprocess.PIPE
    )
    subprocess.run(
        ["xargs", cli, "-s", server.socket, "unlink"],
        stdin=scan.stdout,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    scan.wait()


def run(binary: str, keys: int) -> list[Verdict]:
    """Delete a half of so many keys in several ways, each from the same begin."""
    cli = find_cli()
    server = RedisProcess(binary)
    half = keys // 2
    speeds: dict[str, float] = {}
    highs: dict[str, float] = {}

    def measure(name: str, act: Callable[[], object]) -> None:
        fill(server, keys)
        server.client.config_resetstat()
        seconds, latencies = meanwhile(server, act)
        left = server.client.dbsize() - 1
        speeds[name] = (keys - left) / seconds
        highs[name] = show(name, keys - left, seconds, latencies)
        show_server_times(server)
        assert left == keys - half, f"{left} keys are left"

    try:
        fill(server, keys)
        seconds, latencies = meanwhile(server, lambda: time.sleep(1))
        idle = show("idle", 0, seconds, latencies)
        seconds, latencies = meanwhile(server, lambda: estimate(server.client, PATTERN))
        show("estimate", 0, seconds, latencies)
        seconds, latencies = meanwhile(server, DryRun(server.client, PATTERN).run)
        show("dry run", 0, seconds, latencies)
        grown: list[float] = []
        results: list[InvalidationResult] = []
        sweep = Invalidation(server.client, PATTERN)
        measure(OWN, lambda: grown.append(memory_of_client(lambda: results.append(sweep.run()))))
        p99 = results[0].p99
        own = f"{p99 * 1e3:.1f} ms" if p99 is not None else "not measured"
        print(f"    own probe p99 {own}, went slower {results[0].slowed} times")
        measure("perftui, gentle", Invalidation(server.client, PATTERN, "gentle").run)
        if cli is not None:
            measure(SHELL, lambda: naive_shell(server, cli))
        measure("KEYS and one DEL", lambda: keys_and_del(server))
        limit = max(0.005, 2 * idle)
        found = [
            Verdict(
                f"{half:,} of {keys:,} keys deleted",
                f"{speeds[OWN]:,.0f} keys/s",
                ">= 100,000 keys/s",
                speeds[OWN] >= 100_000,
            ),
            Verdict(
                "p99 GET of another client meanwhile",
                f"{highs[OWN] * 1e3:.2f} ms (idle {idle * 1e3:.2f})",
                f"< {limit * 1e3:.1f} ms",
                highs[OWN] < limit,
            ),
            Verdict(
                "p99 GET, the shell : perftui" if cli is not None else "",
                f"{highs.get(SHELL, 0.0) / highs[OWN]:.1f} x",
            ),
            Verdict("memory of the client grew by", f"{grown[0]:.1f} MB", "<= 8 MB", grown[0] <= 8),
        ]
        if cli is not None:
            ratio = speeds[OWN] / speeds[SHELL]
            found.append(Verdict(f"perftui : {SHELL}", f"{ratio:.2f} x", ">= 1.5 x", ratio >= 1.5))
        else:
            del found[2]
        return found + undo(server)
    finally:
        server.close()
