"""Which servers have to tell of changes: one, or each primary of a cluster as it is now."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from perftui.cache.coherence import Board, CoherenceState, LinkReport
from perftui.cache.coherent_memory import CoherentMemory
from perftui.cache.config import CacheConfig
from perftui.cache.connections import connection_maker, sync_client
from perftui.cache.pattern_message import channel
from perftui.cache.topology import Topology, topology
from perftui.cache.tracking_link import TrackingLink

if TYPE_CHECKING:
    import redis

SLOTS = "slots"
"""The name on the board of the knowledge who owns which keys of a cluster."""
JOIN_SECONDS = 0.3


class TrackingLinks:
    """The links of one cache in one process, from `start` to `stop`."""

    def __init__(self, config: CacheConfig, memory: CoherentMemory, board: Board) -> None:
        self._config = config
        self._memory = memory
        self._board = board
        self._links: dict[str, TrackingLink] = {}
        self._planner: SlotPlanner | None = None
        self._client: redis.Redis | None = None

    def start(self) -> None:
        """Begin to connect, on threads of their own."""
        if self._config.redis.mode == "cluster":
            self._planner = SlotPlanner(self._config, self._board, self.follow)
            self._board.plan({SLOTS})
            self._planner.start()
            return
        self._client = sync_client(self._config, self._config.ping_limit)
        name = self._config.redis.shown
        self._board.plan({name})
        self._begin(name, self._client)

    def follow(self, servers: Topology) -> None:
        """Have one link to each primary of a cluster; may be called whenever anything changed."""
        wanted = {primary.address: primary for primary in servers.primaries}
        for gone in self._links.keys() - wanted.keys():
            self._links.pop(gone).stop()
        self._board.plan({SLOTS, *wanted})
        for address in wanted.keys() - self._links.keys():
            self._begin(address, wanted[address].client)

    def _begin(self, name: str, client: redis.Redis) -> None:
        config = self._config
        link = TrackingLink(
            name,
            connection_maker(client, config.ping_limit),
            config.prefix,
            channel(config.prefix),
            self._memory,
            self._board,
            config.ping_interval,
            config.ping_limit,
            user=config.redis.username,
            track=config.memory_enabled,
        )
        self._links[name] = link
        link.start()

    def hurry(self) -> None:
        """Try at once to connect where there is no connection."""
        for link in tuple(self._links.values()):
            link.hurry()

    def restart(self) -> None:
        """Connect anew, because the server turned out not to be the primary any more."""
        if self._planner is None:
            for link in tuple(self._links.values()):
                link.renew()

    def stop(self) -> None:
        """Close all connections; waits 0.3 s at most for their threads."""
        if self._planner is not None:
            self._planner.stop()
        links = tuple(self._links.values())
        for link in links:
            link.stop()
        deadline = time.monotonic() + JOIN_SECONDS
        for link in links:
            link.join(max(0.0, deadline - time.monotonic()))
        if self._client is not None:
            self._client.close()


class SlotPlanner:
    """Asks a cluster again and again who owns the slots, and proves it to the board.

    A primary that nobody listens to would change keys in silence, so memory is closed when the
    question has not been answered for as long as a PING may take. A node that gives slots away
    knows it at once; the answer of another one is late by the gossip of the cluster, for about a
    second.
    """

    def __init__(
        self, config: CacheConfig, board: Board, follow: Callable[[Topology], None]
    ) -> None:
        self._config = config
        self._board = board
        self._follow = follow
        self._known: Topology | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="perftui-cache-slots", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end."""
        self._stopped.set()

    def _run(self) -> None:
        import redis

        client: redis.Redis | None = None
        while not self._stopped.is_set():
            try:
                client = client or sync_client(self._config, self._config.ping_limit)
                self._look(client)
            except (redis.RedisError, OSError) as error:
                # Another node may answer.
                if client is not None:
                    client.close()
                client = None
                text = str(error) or type(error).__name__
                self._board.report(SLOTS, LinkReport(CoherenceState.LOST, reason=text))
            self._stopped.wait(self._config.ping_interval)
        if client is not None:
            client.close()

    def _look(self, client: redis.Redis) -> None:
        asked = time.monotonic()
        found = topology(client)
        if not found.clustered:
            self._board.report(
                SLOTS,
                LinkReport(
                    CoherenceState.OFF,
                    reason="this is no cluster, or the user may not ask for its slots",
                    fix="ACL SETUSER USER +cluster|slots +cluster|myid",
                ),
            )
            return
        until = asked + self._config.ping_interval + self._config.ping_limit
        if found == self._known:
            found.close()
            self._board.renew(SLOTS, asked, time.monotonic() - asked)
        else:
            # The clients of the old one stay open for the links that go on.
            self._known = found
            self._follow(found)
        self._board.report(SLOTS, LinkReport(CoherenceState.LIVE, until))
