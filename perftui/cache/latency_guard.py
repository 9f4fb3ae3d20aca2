"""Watches what another client of the same Redis has to wait while keys are being deleted."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, deque
from typing import TYPE_CHECKING

from perftui.cache.conversation import CancelledError, Conversation

if TYPE_CHECKING:
    import redis

LIMIT = 0.005
"""Seconds by which the p99 of a PING may rise before the run has to slow down."""
SHORTEST, LONGEST = 0.002, 0.006
"""Seconds between two PINGs, at random so as never to beat in time with the run."""
QUIET_PINGS = 20
QUIET_SECONDS = 0.1
LEAST = 10
"""PINGs from which a verdict is given."""
BUCKET = 0.0001
QUANTILE = 0.99


class LatencyGuard:
    """PINGs on a connection and a thread of its own, from `start` to `stop`.

    `problem` says why nothing is measured, empty when all is well. Latencies are in seconds.
    """

    def __init__(self, client: redis.Redis) -> None:
        self.problem = ""
        self._client = client
        self._stop = threading.Event()
        self._recent: deque[float] = deque(maxlen=2000)
        self._buckets: Counter[int] = Counter()
        self._quiet: list[float] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="latency guard", daemon=True)

    def start(self) -> None:
        """Measure the server at rest for at most a tenth of a second, then go on beside the run."""
        self._thread.start()
        self._ready.wait(QUIET_SECONDS * 5)

    def stop(self) -> None:
        """End the measurement; never waits long, not for a server that is gone either."""
        self._stop.set()
        self._thread.join(0.3)

    @property
    def p99(self) -> float | None:
        """The 99th percentile of the whole run to 0.1 ms, None when nothing was measured."""
        buckets = sorted(self._buckets.copy().items())
        rest = sum(count for _, count in buckets) * (1 - QUANTILE)
        for bucket, count in reversed(buckets):
            rest -= count
            if rest < 0:
                return (bucket + 1) * BUCKET
        return None

    def too_slow(self) -> bool:
        """Tell whether the p99 since the last verdict is above the limit.

        The limit is 5 ms above a quiet server, or twice the p99 at rest where that is more: a far
        or busy server is not made faster by a run that crawls.
        """
        if len(self._recent) < LEAST:
            return False
        recent = sorted(self._recent.popleft() for _ in range(len(self._recent)))
        quiet = sorted(self._quiet)
        limit = max(quiet[0] + LIMIT, 2 * _p99(quiet)) if quiet else LIMIT
        return _p99(recent) > limit

    def _run(self) -> None:
        import redis

        try:
            with Conversation(self._client, self._stop) as talk:
                self._at_rest(talk)
                self._ready.set()
                while not self._stop.is_set():
                    pause = random.uniform(SHORTEST, LONGEST)
                    self._stop.wait(pause)
                    talk.ask_each([("PING",)])
                    self._take(talk.waited, pause)
        except CancelledError:
            return
        # The last two: the client was closed under a guard that nobody waits for any longer.
        except (redis.RedisError, OSError, ValueError, AttributeError) as error:
            if not self._stop.is_set():
                self.problem = str(error) or type(error).__name__
        finally:
            self._ready.set()

    def _at_rest(self, talk: Conversation) -> None:
        talk.ask_each([("PING",)])
        until = time.perf_counter() + QUIET_SECONDS
        while len(self._quiet) < QUIET_PINGS and not self._stop.is_set():
            talk.ask_each([("PING",)])
            self._quiet.append(talk.waited)
            if time.perf_counter() > until:
                return

    def _take(self, latency: float, pause: float) -> None:
        # One long wait stands for all the requests that would have been made meanwhile.
        while latency > 0:
            self._recent.append(latency)
            self._buckets[min(int(latency / BUCKET), 100_000)] += 1
            latency -= max(pause, LONGEST)


def _p99(ordered: list[float]) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * QUANTILE))]
