"""A client that asks ASGI applications directly, without a server between."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Application = Callable[[Any, Any, Any], Awaitable[None]]

LEFT = {"type": "http.disconnect"}
REQUEST = {"type": "http.request", "body": b"", "more_body": False}
START = {"type": "http.response.start", "status": 200, "headers": []}
END = {"type": "http.response.body", "body": b"ok"}


class Client:
    """What a server does for one request: an ASGI scope, a queue in, a list out."""

    def __init__(self, path: str, method: str = "GET", host: str = "shop.test") -> None:
        self.scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", host.encode())],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        self.inbox: asyncio.Queue[Message] = asyncio.Queue()
        self.inbox.put_nowait(REQUEST)
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        return await self.inbox.get()

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.inbox.put_nowait(LEFT)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])


def ask(app: Application, path: str, method: str = "GET", **headers: str) -> Client:
    """Make one request, whatever exception leaves the application."""
    client = Client(path, method, host=headers.pop("host", "shop.test"))
    client.scope["headers"] += [
        (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
    ]

    async def run() -> None:
        with contextlib.suppress(Exception):
            await app(client.scope, client.receive, client.send)

    asyncio.run(run())
    return client
