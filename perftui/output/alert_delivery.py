"""Tells the changes of alerts to a command and a web hook, on threads of their own."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from perftui.output.alert_changes import AlertNews
from perftui.output.alert_command import AlertCommand
from perftui.output.alert_messages import DeliveryError, Message, message_of, summary_message
from perftui.output.alert_pace import AlertPace
from perftui.output.alert_webhook import AlertWebhook
from perftui.snapshot import Snapshot

if TYPE_CHECKING:
    from perftui.mailbox import Mailbox

MOST_WAITING = 100
"""Messages that wait for a slow command or web hook; the oldest are given up for newer ones."""

LOOK = 1.0
"""Seconds between two looks at whether something was held back for long enough."""


class Wanted(Protocol):
    """The settings of the section `alerts` that say who is told, and how often."""

    @property
    def exec(self) -> str: ...

    @property
    def webhook(self) -> str: ...

    @property
    def command_timeout(self) -> float: ...

    @property
    def min_interval(self) -> float: ...


class Channel(Protocol):
    """One way to tell somebody."""

    name: str

    def deliver(self, message: Message, stop: threading.Event) -> None:
        """Tell it, however long that takes; raises DeliveryError. Ends early once `stop` is set."""
        ...

    def interrupt(self) -> None:
        """End what `deliver` is waiting for; comes from another thread."""
        ...


class AlertDelivery:
    """Tells what `offer` or `watch` sees; neither ever waits for a command or a web hook.

    Raises ValueError for a command or URL that cannot be understood. A failure is logged once
    until something succeeds again; `log` gets lines without a line end, on any thread.
    """

    def __init__(
        self,
        settings: Wanted,
        log: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        channels: list[Channel] = []
        if settings.exec:
            channels.append(AlertCommand(settings.exec, settings.command_timeout))
        if settings.webhook:
            channels.append(AlertWebhook(settings.webhook, settings.command_timeout))
        self._clock = clock
        self._news = AlertNews()
        self._pace = AlertPace(settings.min_interval)
        self._lock = threading.Lock()
        self._closed = False
        self._senders = [_Sender(channel, log or _to_stderr) for channel in channels]

    def __bool__(self) -> bool:
        """Return whether there is anybody to tell."""
        return bool(self._senders)

    def offer(self, snapshot: Snapshot) -> None:
        """Take the alerts of the newest snapshot; returns at once."""
        if not self._senders:
            return
        with self._lock:
            if self._closed:
                return
            now = self._clock()
            for change in self._news.update(snapshot):
                if self._pace.admit(change, now):
                    self._send(message_of(change))
            summary = self._pace.due(now)
            if summary is not None:
                self._send(summary_message(summary, snapshot.time))

    def watch(self, mailbox: Mailbox[Snapshot]) -> None:
        """Take every snapshot that arrives in `mailbox`, on a thread of its own, until `close`."""
        if self._senders:
            threading.Thread(
                target=self._follow, args=(mailbox,), name="alert-delivery", daemon=True
            ).start()

    def close(self, patience: float = 1.0) -> None:
        """Tell what is held back or waits, for up to `patience` seconds, then end all of it.

        A command that still runs is killed, so the end may take a second longer.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            summary = self._pace.due(self._clock(), at_once=True)
            if summary is not None:
                self._send(summary_message(summary, time.time()))
        deadline = time.monotonic() + patience
        for sender in self._senders:
            sender.finish()
        for sender in self._senders:
            sender.join(max(0.0, deadline - time.monotonic()))
        for sender in self._senders:
            sender.abort()
        for sender in self._senders:
            sender.join(2.0)

    def _send(self, message: Message) -> None:
        for sender in self._senders:
            sender.send(message)

    def _follow(self, mailbox: Mailbox[Snapshot]) -> None:
        version = -1
        while not self._closed:
            last = version
            snapshot = mailbox.wait(LOOK, lambda newest: newest.version > last)  # noqa: B023
            if snapshot is not None:
                version = snapshot.version
                self.offer(snapshot)


class _Sender:
    """Tells one channel, a message at a time; the thread begins with the first message.

    `done` counts the messages that were told or given up after all attempts.
    """

    def __init__(self, channel: Channel, log: Callable[[str], None]) -> None:
        self._channel = channel
        self._log = log
        self._condition = threading.Condition()
        self._waiting: deque[Message] = deque()
        self._given_up = 0
        self._finishing = False
        self._stop = threading.Event()
        self._failing = False
        self.done = 0
        self._thread: threading.Thread | None = None

    def send(self, message: Message) -> None:
        """Have a message told after those before it."""
        with self._condition:
            if len(self._waiting) >= MOST_WAITING:
                self._waiting.popleft()
                self._given_up += 1
            self._waiting.append(message)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name=self._channel.name, daemon=True
                )
                self._thread.start()
            self._condition.notify_all()

    def finish(self) -> None:
        """Have the thread end when nothing waits any more."""
        with self._condition:
            self._finishing = True
            self._condition.notify_all()

    def abort(self) -> None:
        """Have the thread end now."""
        if self._thread is not None and self._thread.is_alive():
            self._stop.set()
            self._channel.interrupt()

    def join(self, patience: float) -> None:
        """Wait for the thread to end."""
        if self._thread is not None:
            self._thread.join(patience)

    def _run(self) -> None:
        while (message := self._next()) is not None:
            try:
                self._channel.deliver(message, self._stop)
            except DeliveryError as error:
                self._failed(str(error))
            except Exception as error:
                # Whatever happens to one message, the thread has to be there for the next.
                self._failed(f"this is a defect of perftui: {type(error).__name__}: {error}")
            else:
                self._failing = False
            self.done += 1
        left = len(self._waiting)
        if left:
            what = "1 message was" if left == 1 else f"{left} messages were"
            self._log(f"{self._channel.name}: {what} not delivered before the end")

    def _next(self) -> Message | None:
        with self._condition:
            while not self._waiting and not self._finishing:
                self._condition.wait()
            if self._stop.is_set() or not self._waiting:
                return None
            message = self._waiting.popleft()
            given_up, self._given_up = self._given_up, 0
        if given_up:
            what = "1 message was" if given_up == 1 else f"{given_up} messages were"
            self._log(f"{self._channel.name}: too slow, {what} given up")
        return message

    def _failed(self, reason: str) -> None:
        if not self._failing:
            self._log(f"{self._channel.name}: {reason}")
        self._failing = True


def _to_stderr(line: str) -> None:
    from perftui.text import printable

    sys.stderr.write(f"perftui: {printable(line)}\n")
    sys.stderr.flush()
