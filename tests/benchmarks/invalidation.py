"""How fast keys go by pattern, and what another client notices of it, beside two other ways.

Run: PYTHONPATH=. python tests/benchmarks/invalidation.py [keys]
Half of the keys match. The other client is a process that GETs every millisecond.
"""

from __future__ import annotations

import pathlib
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from redis_fixture import RedisProcess, find_binary, find_cli  # noqa: E402

from perftui.cache.invalidation import Invalidation, estimate  # noqa: E402

PATTERN = "app:user:*"


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


def show(name: str, deleted: int, seconds: float, latencies: list[float]) -> None:
    """Print one line: keys per second, and the other client's latencies in milliseconds."""
    median = latencies[len(latencies) // 2]
    high = latencies[len(latencies) * 99 // 100]
    speed = f"{deleted / seconds / 1000:9.0f} k/s" if deleted else " " * 13
    print(
        f"{name:32}{speed}{seconds * 1e3:9.0f} ms"
        f"   GET p50 {median * 1e3:7.3f}  p99 {high * 1e3:8.3f}  max {latencies[-1] * 1e3:8.3f} ms"
    )


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


def main() -> None:
    keys = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    binary, cli = find_binary(), find_cli()
    if binary is None:
        raise SystemExit("needs redis-server or valkey-server")
    server = RedisProcess(binary)
    half = keys // 2

    def run(name: str, act: Callable[[], object]) -> None:
        fill(server, keys)
        server.client.config_resetstat()
        seconds, latencies = meanwhile(server, act)
        left = server.client.dbsize() - 1
        show(name, keys - left, seconds, latencies)
        show_server_times(server)
        assert left == keys - half, f"{left} keys are left"

    try:
        fill(server, keys)
        seconds, latencies = meanwhile(server, lambda: time.sleep(1))
        show("idle", 0, seconds, latencies)
        seconds, latencies = meanwhile(server, lambda: estimate(server.client, PATTERN))
        show("estimate", 0, seconds, latencies)
        run("perftui, normal", Invalidation(server.client, PATTERN).run)
        run("perftui, gentle", Invalidation(server.client, PATTERN, "gentle").run)
        if cli is not None:
            run("redis-cli --scan | xargs unlink", lambda: naive_shell(server, cli))
        run("KEYS and one DEL", lambda: keys_and_del(server))
    finally:
        server.close()


if __name__ == "__main__":
    main()
