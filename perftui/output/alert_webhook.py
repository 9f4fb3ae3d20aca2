"""Posts messages to a web hook, trying again a few times when it has a bad moment."""

from __future__ import annotations

import threading

from perftui.output.alert_messages import DeliveryError, Message
from perftui.sources.http.client import HttpAnswer, HttpClient
from perftui.sources.http.target import HttpTarget
from perftui.sources.source import SourceError

PAUSES = (1.0, 4.0, 16.0)
"""Seconds between one attempt and the next; there is one attempt more than pauses."""

LONGEST_PAUSE = 30.0
"""Seconds that a server may ask for with Retry-After."""

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that may be others a moment later (RFC 9110 section 15, RFC 6585)."""

ANSWER_LIMIT = 1_000_000
SHORTEST_SECRET = 4
"""Characters of a part of the URL that is hidden wherever it stands."""


class AlertWebhook:
    """One URL that takes JSON by POST.

    The path of the URL of a web hook is often a secret, so only its host is ever shown.
    """

    name = "alerts.webhook"

    def __init__(self, url: str, timeout: float, pauses: tuple[float, ...] = PAUSES) -> None:
        self._target = HttpTarget.parse(
            url, timeout=timeout, size_limit=ANSWER_LIMIT, section="alerts"
        )
        self._client = HttpClient(self._target, any_status=True)
        self._pauses = pauses

    def deliver(self, message: Message, stop: threading.Event) -> None:
        """Post a message until it is taken; raises DeliveryError when it is not."""
        for pause in (*self._pauses, None):
            answer: HttpAnswer | None = None
            try:
                answer = self._client.post_json(message.body)
            except SourceError as error:
                if stop.is_set():
                    reason = f"{self._target.origin} had not answered before the end"
                    raise DeliveryError(reason) from None
                problem = self._plain(error.absent.reason)
            else:
                if 200 <= answer.status < 300:
                    return
                problem = f"{self._target.origin} answered with status {answer.status}"
                if answer.status not in PASSING:
                    raise DeliveryError(problem)
            if pause is None:
                attempts = len(self._pauses) + 1
                raise DeliveryError(f"{problem}, {attempts} times" if attempts > 1 else problem)
            if stop.wait(max(pause, _wanted_pause(answer))):
                raise DeliveryError(f"{problem}, and there was no time to try again")

    def interrupt(self) -> None:
        """End a request that is under way; may come from another thread."""
        self._client.close()

    def _plain(self, reason: str) -> str:
        """Return a reason with the host alone, and without what else of the URL is in it."""
        target = self._target
        reason = reason.replace(target.url, target.origin)
        path = target.url.removeprefix(f"{target.scheme}://").partition("/")[2]
        for secret in (path and f"/{path}", target.password, target.query):
            # What is shorter is no secret, but may be a part of any word.
            if len(secret) >= SHORTEST_SECRET:
                reason = reason.replace(secret, "/***" if secret[0] == "/" else "***")
        return reason


def _wanted_pause(answer: HttpAnswer | None) -> float:
    """Return the seconds of Retry-After (RFC 9110 section 10.2.3), bounded; 0 for a date."""
    text = answer.headers.get("retry-after", "") if answer is not None else ""
    return min(float(text), LONGEST_PAUSE) if text.isascii() and text.isdecimal() else 0.0
