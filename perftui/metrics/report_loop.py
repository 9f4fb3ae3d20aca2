"""The thread that sends the reports of one process."""

from __future__ import annotations

import dataclasses
import logging
import random
import threading
import time
from typing import TYPE_CHECKING, Literal

from perftui.metrics import report as reports
from perftui.metrics.redis_clock import RedisClock

if TYPE_CHECKING:
    from perftui.metrics.redis_wire import Command, Wire
    from perftui.metrics.report_composer import Composer

CLEANING_ROUND = 150
"""Reports between two removals of forgotten processes from the index."""

_logger = logging.getLogger("perftui")


@dataclasses.dataclass(frozen=True)
class Delivery:
    """How the reports fare: `succeeded` is the moment of the last success on the monotonic clock.

    `error` says why the last report failed, and is empty when it did not.
    """

    state: Literal["starting", "reporting", "failing", "stopped"] = "starting"
    reports: int = 0
    succeeded: float | None = None
    error: str = ""


class ReportLoop:
    """Sends a report at once and then every `interval` seconds, until it is told to end.

    While Redis is away it waits longer each time, up to `longest_pause` seconds. A forked process
    takes what was counted so far for its parent's before it sets `ready`, and begins within an
    interval.
    """

    def __init__(
        self,
        wire: Wire,
        composer: Composer,
        interval: float,
        longest_pause: float,
        *,
        forked: bool,
    ) -> None:
        self.ready = threading.Event()
        self.delivery = Delivery()
        self._wire = wire
        self._composer = composer
        self._interval = interval
        self._longest_pause = longest_pause
        self._forked = forked
        self._clock = RedisClock()
        self._failures = 0
        self._key = reports.report_key(composer.service, composer.process.instance)
        self._before_key = reports.before_key(composer.service, composer.process.instance)
        self._kept: tuple[float, bytes] | None = None
        self._member = f"{composer.service}/{composer.process.instance}"
        self._woken = threading.Event()
        self._ending = False
        self._farewell = False
        self._leaving = False
        self._left = threading.Event()
        self._at_work = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="perftui-reporter", daemon=True)

    def start(self) -> None:
        """Start the thread; where the system has none to give, that is a failed delivery."""
        try:
            self._thread.start()
        except RuntimeError as error:
            self.ready.set()
            self._failed(str(error))

    def end(self, *, farewell: bool) -> None:
        """Tell the thread to end, after a last report if this is the `farewell` of the process."""
        self._farewell = farewell
        self._ending = True
        self._woken.set()

    def take_leave(self) -> threading.Event:
        """Let the thread send a last report now, and go on in an interval if it still can."""
        self._left.clear()
        self._leaving = True
        self._woken.set()
        return self._left

    def join(self, seconds: float) -> None:
        """Wait for the end of the thread, unless this is it or it never began."""
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(max(0.0, seconds))

    def rest(self, seconds: float) -> bool:
        """Wait until the thread is between two reports and keep it there; False: it is not."""
        return self._at_work.acquire(timeout=max(0.0, seconds))

    def go_on(self) -> None:
        """End the rest."""
        self._at_work.release()

    def _run(self) -> None:
        due = time.monotonic()
        try:
            if self._forked:
                self._composer.inherit()
                due += self._interval * random.uniform(0.25, 1.0)
        except Exception as error:
            # Without it the parent's counts would be counted twice.
            self._failed(f"what a forked process inherited cannot be told: {error}")
            return
        finally:
            self.ready.set()
        while True:
            self._woken.wait(max(0.0, due - time.monotonic()))
            self._woken.clear()
            with self._at_work:
                if self._ending:
                    self._finish()
                    return
                leaving, self._leaving = self._leaving, False
                self._report(ended=leaving)
            if leaving:
                due = time.monotonic()
                self._left.set()
            # A report that came late is not made up for.
            due = max(due + self._pause(), time.monotonic())

    def _pause(self) -> float:
        if not self._failures:
            return self._interval
        pause = self._interval * 2.0 ** min(self._failures - 1, 10) * random.uniform(0.75, 1.25)
        return min(pause, self._longest_pause)

    def _finish(self) -> None:
        if self._farewell:
            self._report(ended=True)
        self._wire.close()
        self.delivery = dataclasses.replace(self.delivery, state="stopped")

    def _report(self, *, ended: bool) -> None:
        try:
            self._wire.set_clock(self._clock)
            moment = time.monotonic()
            now = self._clock.at(moment)
            report = self._composer.compose(moment, now, ended=ended)
            if ended and not self.delivery.reports and not report.operations:
                # Nobody has heard of this process, and it has nothing to tell.
                return
            payload = reports.encode(report)
            commands = self._last(payload, now) if ended else self._next(payload, now)
            commands += self._composer.query_commands(now, ended=ended)
            self._wire.exchange(commands, self._clock)
        except Exception as error:
            # Whatever it was, the service must not notice, and the next report may go well.
            self._wire.close()
            self._failed(self._wire.reason(error))
        else:
            self._composer.process.said_farewell = ended
            self._succeeded(moment)

    def _next(self, payload: bytes, now: float) -> list[Command]:
        commands: list[Command] = [
            ("SET", self._key, payload, "EX", reports.EXPIRY),
            ("ZADD", reports.INDEX_KEY, f"{now:.6f}", self._member),
        ]
        kept = self._kept
        if kept is None or not 0 <= now - kept[0] < reports.BEFORE_INTERVAL:
            if kept is not None:
                commands.append(("SET", self._before_key, kept[1], "EX", reports.EXPIRY))
            self._kept = now, payload
        if self._composer.process.said_farewell:
            commands.append(("ZREM", reports.ENDED_KEY, self._member))
        if self.delivery.reports % CLEANING_ROUND == 0:
            forgotten = f"{now - reports.FORGOTTEN_AFTER:.6f}"
            commands.append(("ZREMRANGEBYSCORE", reports.INDEX_KEY, 0, forgotten))
        return commands

    def _last(self, payload: bytes, now: float) -> list[Command]:
        return [
            ("SET", self._key, payload, "EX", reports.EXPIRY),
            ("ZADD", reports.ENDED_KEY, f"{now:.6f}", self._member),
            ("ZREMRANGEBYSCORE", reports.ENDED_KEY, 0, f"{now - reports.EXPIRY:.6f}"),
            ("EXPIRE", reports.ENDED_KEY, reports.EXPIRY),
            ("ZREM", reports.INDEX_KEY, self._member),
        ]

    def _succeeded(self, moment: float) -> None:
        before = self.delivery
        self._failures = 0
        self.delivery = Delivery("reporting", before.reports + 1, moment)
        if before.state == "failing":
            _logger.info("service %s reports again", self._composer.service)

    def _failed(self, reason: str) -> None:
        self._failures += 1
        before = self.delivery
        self.delivery = dataclasses.replace(before, state="failing", error=reason)
        if before.state != "failing":
            _logger.warning("service %s cannot report: %s", self._composer.service, reason)
