"""Reads pages over HTTP: one deadline for all of a request, a limit on its size, clear reasons."""

from __future__ import annotations

import base64
import contextlib
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode, urljoin, urlsplit

from perftui.snapshot import State
from perftui.sources.http.target import HttpTarget
from perftui.sources.source import SourceError
from perftui.version import __version__

if TYPE_CHECKING:
    import socket

    import urllib3

    from perftui.sources.http.connection import Request

__all__ = ["HttpAnswer", "HttpClient", "HttpTarget"]

LONGEST_TOKEN = 65536
MOST_REDIRECTS = 3
REDIRECTS = frozenset({301, 302, 303, 307, 308})
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


class HttpAnswer(NamedTuple):
    """What a server answered; `body` is unpacked, names of `headers` are in small letters."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str]


class HttpClient:
    """Reads from one target, keeping its connection; one request at a time, closed by any thread.

    Raises SourceError for whatever keeps the answer from being read, and for the statuses 401,
    403, 404 and 407 unless `any_status`. Any other status is the caller's to judge.
    """

    def __init__(self, target: HttpTarget, *, any_status: bool = False) -> None:
        self.target = target
        self._any_status = any_status
        self._busy = threading.Lock()
        self._state = threading.Lock()
        self._closed = False
        self._socket: socket.socket | None = None
        self._manager: urllib3.PoolManager | None = None
        self._proxy = ""

    def get(
        self,
        path: str = "",
        params: Mapping[str, str] | None = None,
        accept: str = "",
        *,
        fresh: bool = False,
    ) -> HttpAnswer:
        """Return the answer to a GET of `path`, which is appended to the path of the target.

        A `fresh` request does not use the connection of the one before, which several processes
        behind one address would keep to one of them.
        """
        return self._request("GET", path, params, None, "", accept, fresh)

    def post_form(self, path: str, fields: Mapping[str, str]) -> HttpAnswer:
        """Return the answer to a POST of a form, which may be longer than a URL may."""
        return self._request("POST", path, None, urlencode(fields).encode(), FORM, "", False)

    def post_json(self, body: bytes) -> HttpAnswer:
        """Return the answer to a POST of JSON to the target itself.

        It may arrive twice, when the server closes the connection in the moment of its use.
        """
        return self._request("POST", "", None, body, JSON, "", False)

    def close(self) -> None:
        """Close the connection for good; a request on another thread ends with an error."""
        with self._state:
            self._closed = True
            sock, manager = self._socket, self._manager
            self._socket = None
        if sock is not None:
            _hang_up(sock)
        if manager is not None:
            manager.clear()

    def _request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        body: bytes | None,
        content_type: str,
        accept: str,
        fresh: bool,
    ) -> HttpAnswer:
        deadline = time.monotonic() + self.target.timeout
        from perftui.sources.http import failure as http_failure
        from perftui.sources.http.connection import Request, current

        if not self._busy.acquire(timeout=self.target.timeout):
            raise http_failure.late(self.target, False)
        try:
            request = Request(deadline, self._opened)
            with current(request):
                manager = self._connections()
                if fresh:
                    manager.clear()
                return self._follow(
                    manager, request, method, path, params, body, content_type, accept
                )
        finally:
            self._busy.release()

    def _follow(
        self,
        manager: urllib3.PoolManager,
        request: Request,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        body: bytes | None,
        content_type: str,
        accept: str,
    ) -> HttpAnswer:
        from perftui.sources.http import failure as http_failure

        url = self._url(path, params)
        headers = self._headers(accept, content_type)
        for _ in range(MOST_REDIRECTS + 1):
            response = self._send(manager, request, method, url, body, headers)
            if response.status not in REDIRECTS or not response.headers.get("location"):
                break
            response.close()
            url = self._redirected(url, response.headers["location"])
            if response.status == 303:
                method, body = "GET", None
        else:
            raise SourceError(
                State.UNAVAILABLE,
                f"{self.target.address} redirects more than {MOST_REDIRECTS} times",
                "correct the URL",
            )
        sent = any(name.lower() == "authorization" for name in headers)
        refused = http_failure.refused_status(response.status, self.target, path, sent)
        if refused is not None and not self._any_status:
            response.close()
            raise refused
        content = self._content(response)
        if response.status == 400 and self.target.scheme == "http" and b"HTTPS" in content[:2000]:
            raise http_failure.wants_tls(self.target)
        return HttpAnswer(
            response.status,
            response.headers.get("content-type", ""),
            content,
            {name.lower(): value for name, value in response.headers.items()},
        )

    def _send(
        self,
        manager: urllib3.PoolManager,
        request: Request,
        method: str,
        url: str,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> urllib3.BaseHTTPResponse:
        import urllib3

        from perftui.sources.http import failure as http_failure

        for attempt in range(2):
            request.fresh = False
            try:
                request.remaining()
                return manager.urlopen(
                    method,
                    url,
                    body=body,
                    headers=headers,
                    redirect=False,
                    retries=False,
                    preload_content=False,
                    decode_content=False,
                    timeout=None,
                )
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                self._ensure_open()
                # The server may close a kept connection in the moment of its next use.
                kept = isinstance(error, urllib3.exceptions.ProtocolError) and not request.fresh
                if attempt == 0 and kept:
                    continue
                raise http_failure.failure(error, self.target, self._proxy) from error
        raise AssertionError("the second attempt returns or raises")

    def _content(self, response: urllib3.BaseHTTPResponse) -> bytes:
        from perftui.sources.http.body import read_body

        try:
            return read_body(response, self.target)
        except BaseException:
            response.close()
            self._ensure_open()
            raise

    def _connections(self) -> urllib3.PoolManager:
        from perftui.sources.http.connection import connections

        self._ensure_open()
        if self._manager is None:
            manager, self._proxy = connections(self.target)
            with self._state:
                self._manager = manager
        return self._manager

    def _ensure_open(self) -> None:
        if self._closed:
            raise SourceError(
                State.UNAVAILABLE, f"the connection to {self.target.address} was closed"
            )

    def _opened(self, sock: socket.socket) -> None:
        with self._state:
            self._socket = sock
            closed = self._closed
        if closed:
            _hang_up(sock)

    def _url(self, path: str, params: Mapping[str, str] | None) -> str:
        base = self.target.url
        if path:
            base = f"{base.rstrip('/')}/{path.lstrip('/')}"
        elif not urlsplit(base).path:
            base += "/"
        query = "&".join(filter(None, (self.target.query, urlencode(params or {}))))
        return f"{base}?{query}" if query else base

    def _headers(self, accept: str, content_type: str) -> dict[str, str]:
        headers = {"User-Agent": f"perftui/{__version__}", "Accept-Encoding": "gzip"}
        if accept:
            headers["Accept"] = accept
        if content_type:
            headers["Content-Type"] = content_type
        target = self.target
        if target.username or target.password:
            secret = f"{target.username}:{target.password}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(secret).decode()}"
        elif target.bearer_file:
            headers["Authorization"] = f"Bearer {self._token()}"
        for name, value in target.headers:
            for own in [own for own in headers if own.lower() == name.lower()]:
                del headers[own]
            headers[name] = value
        # What latin-1 lacks would break in the client; servers read headers as bytes anyway.
        return {name: value.encode().decode("latin-1") for name, value in headers.items()}

    def _token(self) -> str:
        """Return the token, read anew each time because it is replaced before it expires."""
        file = self.target.bearer_file
        fix = f"correct {self.target.setting('bearer_file')}"
        try:
            with open(file, encoding="utf-8") as stream:
                token = stream.read(LONGEST_TOKEN).strip()
        except (OSError, UnicodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise SourceError(
                State.UNAVAILABLE, f"the token file {file} cannot be read: {why}", fix
            ) from None
        if not token or any(character <= " " for character in token):
            raise SourceError(State.UNAVAILABLE, f"the file {file} holds no token", fix)
        return token

    def _redirected(self, url: str, location: str) -> str:
        """Return where a redirect leads; raises SourceError for one to another server."""
        try:
            parts = urlsplit(urljoin(url, location))
            shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
            there = HttpTarget.parse(shown)
        except ValueError:
            raise SourceError(
                State.UNAVAILABLE,
                f"{self.target.address} redirects to what is no URL",
                "correct the URL",
            ) from None
        if there.origin != self.target.origin:
            raise SourceError(
                State.UNAVAILABLE,
                f"{self.target.address} redirects to {shown[:200]}",
                f"use {shown[:200]} as the URL if you trust it",
            )
        return f"{shown}?{parts.query}" if parts.query else shown


def _hang_up(sock: socket.socket) -> None:
    """End a connection under the thread that reads from it."""
    import socket as sockets

    with contextlib.suppress(OSError):
        # Not the method of an SSLSocket, which would take the TLS layer from under the reader.
        sockets.socket.shutdown(sock, sockets.SHUT_RDWR)
