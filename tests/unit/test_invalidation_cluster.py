"""Deleting, counting, listing and undoing over all primaries of a real cluster."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from redis_fixture import RedisProcess

from perftui.cache.audit import AUDIT_KEY, read_audit
from perftui.cache.dry_run import DryRun
from perftui.cache.invalidation import Invalidation, estimate
from perftui.cache.key_listing import KeyListing
from perftui.cache.topology import Primary, Topology, slot_of, topology
from perftui.cache.undo import Undo
from perftui.cache.undo_journal import journals

NODES = 3
SLOTS = 16384


def _ports() -> list[int]:
    """Return free ports below those of the nodes' bus, which is 10,000 above."""
    sockets = [socket.socket() for _ in range(NODES)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] - 10_000 for one in sockets]
    for one in sockets:
        one.close()
    return sorted(ports)


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def cluster(start_redis: Callable[..., RedisProcess]) -> list[RedisProcess]:
    ports = _ports()
    nodes = [
        start_redis(
            cluster_enabled="yes",
            port=str(port),
            cluster_config_file="nodes",
            cluster_node_timeout="2000",
        )
        for port in ports
    ]
    for number, node in enumerate(nodes):
        first, last = SLOTS * number // NODES, SLOTS * (number + 1) // NODES
        node.client.execute_command("CLUSTER", "ADDSLOTS", *range(first, last))
        node.client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        if number:
            nodes[0].client.execute_command("CLUSTER", "MEET", "127.0.0.1", ports[number])
    _until(
        lambda: all(
            b"cluster_state:ok" in node.client.execute_command("CLUSTER", "INFO")
            and len(node.client.execute_command("CLUSTER", "SLOTS")) == NODES
            for node in nodes
        )
    )
    return nodes


def _fill(cluster: list[RedisProcess], keys: list[str]) -> None:
    for key in keys:
        _owner(cluster, key.encode()).client.set(key, key)


def _owner(cluster: list[RedisProcess], key: bytes) -> RedisProcess:
    return cluster[min(slot_of(key) * NODES // SLOTS, NODES - 1)]


def _sizes(cluster: list[RedisProcess]) -> int:
    return sum(node.client.dbsize() for node in cluster)


def test_the_whole_cluster_through_any_node(cluster: list[RedisProcess], tmp_path: Path) -> None:
    keys = [f"app:{n}" for n in range(900)]
    _fill(cluster, [*keys, "other:1", "other:2"])
    any_node = cluster[1].client

    where = topology(any_node)
    assert where.clustered
    assert len(where.primaries) == NODES
    where.close()

    assert estimate(any_node, "app:*").matched == 900
    assert DryRun(any_node, "app:*").run().matched == 900

    listing = KeyListing(any_node, b"app:*", details=True)
    found = []
    while True:
        page = listing.next_page(100)
        found += [one.key for one in page.keys]
        assert all((one.type, one.ttl) == ("string", None) for one in page.keys)
        if page.done:
            break
    listing.close()
    assert sorted(found) == sorted(key.encode() for key in keys)

    plain = Invalidation(any_node, "app:1*", audit_as="ann").run()
    assert (plain.deleted, plain.denied, plain.error, plain.complete) == (111, 0, "", True)
    assert plain.audit_error == ""
    owner = _owner(cluster, AUDIT_KEY.encode()).client
    assert read_audit(owner)[0].deleted == 111

    kept = Invalidation(any_node, "app:*", keep=True, journals=tmp_path).run()
    assert (kept.deleted, kept.error, kept.kept and kept.kept.keys) == (789, "", 789)
    assert _sizes(cluster) == 3
    undone = Undo(any_node, journals(tmp_path)[0]).run()
    assert (undone.restored, undone.error, undone.complete) == (789, "", True)
    for key in keys:
        wanted = None if key.startswith("app:1") else key.encode()
        assert _owner(cluster, key.encode()).client.get(key) == wanted

    one = Invalidation(any_node, "app:5").run()
    assert (one.deleted, one.complete) == (1, True)


def test_listeners_on_every_node_are_told(cluster: list[RedisProcess]) -> None:
    listener = redis.Redis(unix_socket_path=cluster[2].socket, protocol=2).pubsub()
    listener.subscribe("app:__inv")
    assert listener.get_message(timeout=5) is not None
    Invalidation(cluster[0].client, "app:*").run()
    heard = 0
    deadline = time.monotonic() + 5
    while heard < 2 and time.monotonic() < deadline:
        heard += listener.get_message(ignore_subscribe_messages=True, timeout=0.1) is not None
    assert heard == 2


def test_a_node_that_is_gone_is_named_and_the_others_are_swept(
    cluster: list[RedisProcess],
) -> None:
    for node in cluster:
        node.client.config_set("cluster-require-full-coverage", "no")
    keys = [f"app:{n}" for n in range(300)]
    _fill(cluster, keys)
    lost = cluster[2].client.dbsize()
    cluster[2].kill()
    result = Invalidation(cluster[0].client, "app:*").run()
    assert (result.deleted, result.complete) == (300 - lost, False)
    assert "127.0.0.1:" in result.error


def test_keys_whose_slot_moves_meanwhile_go_too(
    cluster: list[RedisProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [f"app:{n}" for n in range(600)]
    _fill(cluster, keys)
    source, target = cluster[2].client, cluster[0].client
    moving: dict[int, list[str]] = {}
    for key in keys:
        if _owner(cluster, key.encode()) is cluster[2]:
            moving.setdefault(slot_of(key.encode()), []).append(key)
    names = [node.client.execute_command("CLUSTER", "MYID") for node in cluster]
    port = target.config_get("port")["port"]
    swept: list[str] = []
    original = Invalidation._sweep

    def sweep(self: Invalidation, primary: Primary, where: Topology) -> bool:
        done = original(self, primary, where)
        if not swept:
            # The slots of the last server go to the first one, which is done already.
            for slot, of_slot in moving.items():
                target.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", names[2])
                source.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", names[0])
                source.execute_command("MIGRATE", "127.0.0.1", port, "", 0, 5000, "KEYS", *of_slot)
                for node in (target, source, cluster[1].client):
                    node.execute_command("CLUSTER", "SETSLOT", slot, "NODE", names[0])
        swept.append(primary.address)
        return done

    monkeypatch.setattr(Invalidation, "_sweep", sweep)
    result = Invalidation(target, "app:*").run()
    assert swept[0].endswith(f":{port}")
    assert _sizes(cluster) == 0
    assert (result.deleted, result.complete, result.error) == (600, True, "")
