"""A real Redis Cluster and a real Sentinel for tests, made of servers that the test owns."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import redis
from redis_fixture import RedisProcess
from redis_fixture import _die_with_parent as die_with_parent

SLOTS = 16384
LONGEST_WAIT = 20.0

Start = Callable[..., RedisProcess]


def free_port() -> int:
    """Return a TCP port that leaves room for the bus of a cluster, which is 10,000 above."""
    for _ in range(200):
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = int(found.getsockname()[1])
        if port < 55_000:
            return port
    raise RuntimeError("no port below 55,000 is free")


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition of servers that change their minds slowly."""
    end = time.monotonic() + LONGEST_WAIT
    while True:
        try:
            if condition():
                return
        except redis.RedisError:
            pass
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen in {LONGEST_WAIT:g} s")
        time.sleep(0.02)


class Cluster:
    """Primaries that share all slots evenly; `ports` are theirs, in the order of the slots."""

    def __init__(self, start: Start, primaries: int = 3) -> None:
        self.ports: list[int] = []
        self.servers: list[RedisProcess] = []
        for _ in range(primaries):
            self._add(start)
        share = -(-SLOTS // primaries)
        for number, server in enumerate(self.servers):
            slots = range(number * share, min(SLOTS, (number + 1) * share))
            server.client.execute_command("CLUSTER", "ADDSLOTS", *slots)
        self._meet()
        self.start = start

    def _add(self, start: Start) -> RedisProcess:
        port = free_port()
        server = start(
            port=str(port),
            bind="127.0.0.1",
            cluster_enabled="yes",
            cluster_node_timeout="2000",
            cluster_config_file=f"nodes-{port}.conf",
        )
        self.ports.append(port)
        self.servers.append(server)
        return server

    def _meet(self) -> None:
        first = self.servers[0].client
        for port in self.ports[1:]:
            first.execute_command("CLUSTER", "MEET", "127.0.0.1", port)
        for server in self.servers:
            wait_until(lambda server=server: self._is_complete(server), "agreement of the cluster")

    def _is_complete(self, server: RedisProcess) -> bool:
        info = server.client.execute_command("CLUSTER INFO")
        nodes = server.client.execute_command("CLUSTER NODES")
        return info["cluster_state"] == "ok" and len(nodes) == len(self.servers)

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in self.ports[:2])

    def owner(self, key: bytes) -> RedisProcess:
        """Return the server that answers for a key."""
        for server in self.servers:
            try:
                server.client.execute_command("GET", key)
            except redis.ResponseError:
                continue
            return server
        raise AssertionError(f"nobody owns {key!r}")

    def add_server(self) -> RedisProcess:
        """Add a primary without slots."""
        server = self._add(self.start)
        self._meet()
        return server

    def move_slot(self, slot: int, source: RedisProcess, target: RedisProcess) -> None:
        """Hand a slot with its keys over, as redis-cli --cluster reshard does."""
        ids = {
            server: server.client.execute_command("CLUSTER", "MYID").decode()
            for server in (source, target)
        }
        port = self.ports[self.servers.index(target)]
        run = redis.Redis.execute_command
        run(target.client, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
        run(source.client, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
        keys = run(source.client, "CLUSTER", "GETKEYSINSLOT", slot, 1000)
        if keys:
            run(source.client, "MIGRATE", "127.0.0.1", port, "", 0, 5000, "KEYS", *keys)
        for server in (target, source):
            run(server.client, "CLUSTER", "SETSLOT", slot, "NODE", ids[target])


class Sentinel:
    """One primary, one replica and one Sentinel that watches them, on TCP ports."""

    def __init__(self, start: Start, binary: str, directory: Path) -> None:
        self.service = "shop"
        self.ports = [free_port(), free_port()]
        self.servers = [start(port=str(port), bind="127.0.0.1") for port in self.ports]
        self.servers[1].client.replicaof("127.0.0.1", self.ports[0])
        wait_until(self._is_replicated, "replication")
        self.port = free_port()
        config = directory / "sentinel.conf"
        config.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {directory}\n"
            f"sentinel monitor {self.service} 127.0.0.1 {self.ports[0]} 1\n"
            f"sentinel down-after-milliseconds {self.service} 500\n"
            f"sentinel failover-timeout {self.service} 3000\n"
        )
        self._process = subprocess.Popen(
            [binary, str(config), "--sentinel"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )
        self.client = redis.Redis(port=self.port, protocol=2)
        wait_until(self._knows_replica, "Sentinel's discovery of the replica")

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.port}/{self.service}/0"

    def _is_replicated(self) -> bool:
        return self.servers[1].client.info("replication")["master_link_status"] == "up"

    def _knows_replica(self) -> bool:
        return len(self.client.execute_command("SENTINEL", "REPLICAS", self.service)) == 1

    def fail_over(self) -> None:
        """Make the replica the primary, the old one staying as its replica."""

        def begun() -> bool:
            self.client.execute_command("SENTINEL", "FAILOVER", self.service)
            return True

        wait_until(begun, "a failover")
        wait_until(
            lambda: self.servers[1].client.info("replication")["role"] == "master", "promotion"
        )

    def close(self) -> None:
        """End the Sentinel; the servers belong to the test's fixture."""
        self.client.close()
        self._process.kill()
        self._process.wait()
