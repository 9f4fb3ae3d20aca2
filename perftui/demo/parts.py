"""One part of the demo as the supervisor keeps it: starting, ready, and started again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from perftui.demo.child import Child, describe_end
from perftui.demo.messages import LONGEST_REASON, PartState, PartStatus

START_LIMIT = 10.0
"""Seconds a part may take until it is ready; generous for a machine that is very busy."""
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
LONG_LIFE = 10.0
"""Seconds after which an end counts as the first one again and not as another quick failure."""


class Part:
    """A part that runs as a child process.

    `command` returns the command line, or raises LookupError with (reason, fix) when the part
    cannot run here. `publish` gets every new status; `watch` and `unwatch` get the descriptor of
    the child's output when there is one and before it is closed.
    """

    def __init__(
        self,
        name: str,
        command: Callable[[], list[str]],
        log: Path,
        publish: Callable[[PartStatus], None],
        watch: Callable[[int], None],
        unwatch: Callable[[int], None],
        *,
        speaks: bool = True,
    ) -> None:
        self.status = PartStatus(name, PartState.WAITING)
        self.child: Child | None = None
        self.due: float | None = None
        self._command = command
        self._log = log
        self._publish = publish
        self._watch = watch
        self._unwatch = unwatch
        self._speaks = speaks
        self._born = time.monotonic()
        self.started = self._born
        self._quick_failures = 0

    @property
    def name(self) -> str:
        return self.status.part

    @property
    def settled(self) -> bool:
        """Whether the part is past its first start, well or badly."""
        return self.status.state not in (PartState.WAITING, PartState.STARTING)

    def start(self) -> None:
        """Start the child and forget what was due."""
        self.due = None
        self.started = time.monotonic()
        try:
            self.child = Child(self._command(), self._log, speaks=self._speaks)
        except LookupError as error:
            reason, fix = error.args
            self._become(PartState.FAILED, reason=reason, fix=fix)
        except OSError as error:
            self._fail(f"could not be started: {error.strerror}")
        else:
            if self.child.output is not None:
                self._watch(self.child.output)
            self._become(PartState.STARTING, pid=self.child.pid)

    def ready(self, address: str = "") -> None:
        """Note that the part does its work now; only the first time counts as start-up time."""
        after = self.status.ready_after
        if after is None:
            after = round(time.monotonic() - self._born, 3)
        self._become(PartState.READY, reason="", fix="", address=address, ready_after=after)

    def measured(self, cpu_percent: float) -> None:
        """Note what the part costs, in percent of one core."""
        self._become(self.status.state, cpu_percent=cpu_percent)

    def stop(self, reason: str) -> None:
        """End the child on purpose; it stays down until `start`."""
        self.due = None
        self._end_child()
        self._become(PartState.STOPPED, pid=None, reason=reason, cpu_percent=None)

    def check(self) -> bool:
        """Note an end that nobody ordered or a start that takes too long; return whether so."""
        if self.child is None:
            return False
        code = self.child.process.poll()
        if code is not None:
            words = self.child.last_words() if code > 0 else ""
            self._end_child()
            self._fail(describe_end(code) + (f": {words}" if words else ""))
            return True
        late = time.monotonic() - self.started > START_LIMIT
        if late and self.status.state is PartState.STARTING:
            words = self.child.last_words()
            self._end_child()
            self._fail(
                f"was not ready within {START_LIMIT:.0f} s" + (f": {words}" if words else "")
            )
            return True
        return False

    def _end_child(self) -> None:
        if self.child is not None:
            if self.child.output is not None:
                self._unwatch(self.child.output)
            self.child.kill()
            self.child = None

    def _fail(self, reason: str) -> None:
        now = time.monotonic()
        self._quick_failures = self._quick_failures + 1 if now - self.started < LONG_LIFE else 1
        pause = min(FIRST_PAUSE * 2 ** (self._quick_failures - 1), LONGEST_PAUSE)
        self.due = now + pause
        self._become(
            PartState.FAILED,
            pid=None,
            reason=f"{self.name} {reason}; starting it again in {pause:.1f} s",
            cpu_percent=None,
            restarts=self.status.restarts + 1,
        )

    def _become(self, state: PartState, **changes: object) -> None:
        if isinstance(reason := changes.get("reason"), str):
            changes["reason"] = reason[:LONGEST_REASON]
        self.status = msgspec.structs.replace(self.status, state=state, **changes)
        self._publish(self.status)
