"""Sends the requests of an httpx.AsyncClient to the servers of a pool; needs the package httpx."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from urllib.parse import urlsplit

import httpx

from perftui.pool.balancer import LoadBalancer
from perftui.pool.picked_request import PickedRequest
from perftui.pool.readings import Server

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""The methods that RFC 9110, section 9.2.2, lets a client repeat by itself."""
NO_CONNECTION = (httpx.ConnectError, httpx.ConnectTimeout)


class BalancedTransport(httpx.AsyncBaseTransport):
    """Asks for each request the balancer, and puts the server's address in the URL's place.

    Scheme, host and port of the URL are replaced by those of the address, `10.0.0.7:8000` or
    `https://web-7:8443`; path, query and the header Host stay. Where no connection can be made, a
    request whose method is among `retry_methods` goes to another server, each at most once and
    `attempts` in all; the server is out at once. Other failures and statuses 5xx count against
    the server and are returned as they are. A request is at work until its response is closed, and
    its time is that up to the head of the response. What NoAvailableServersError says is raised as
    httpx.ConnectError. `transport` sends the requests, by default httpx.AsyncHTTPTransport().
    """

    def __init__(
        self,
        balancer: LoadBalancer,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        attempts: int = 3,
        retry_methods: Collection[str] = IDEMPOTENT,
    ) -> None:
        if attempts < 1:
            raise ValueError(f"attempts is {attempts}, it must be 1 or more")
        self._balancer = balancer
        self._transport = httpx.AsyncHTTPTransport() if transport is None else transport
        self._attempts = attempts
        self._retry_methods = frozenset(retry_methods)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        tried: set[str] = set()
        attempts = self._attempts if request.method in self._retry_methods else 1
        while True:
            picked = self._balancer.request(request, avoid=tried)
            server = await self._begin(picked, request)
            tried.add(server.id)
            again = len(tried) < attempts and not tried.issuperset(self._balancer.status.live)
            try:
                response = await self._transport.handle_async_request(_addressed(request, server))
            except NO_CONNECTION:
                picked.unreachable()
                picked.end()
                if not again:
                    raise
            except BaseException as error:
                # What the caller did wrong, and its own end, say nothing about the server.
                if not isinstance(error, httpx.TransportError) or isinstance(
                    error, httpx.PoolTimeout | httpx.UnsupportedProtocol
                ):
                    picked.abandon()
                picked.end(error)
                raise
            else:
                picked.answered(ok=response.status_code < 500)
                stream = response.stream
                assert isinstance(stream, httpx.AsyncByteStream)
                response.stream = _Followed(stream, picked)
                return response

    async def aclose(self) -> None:
        """Close the connections; the balancer stays open."""
        await self._transport.aclose()

    async def _begin(self, picked: PickedRequest, request: httpx.Request) -> Server:
        from perftui.pool.selection import NoAvailableServersError

        try:
            return await picked.begin()
        except NoAvailableServersError as error:
            raise httpx.ConnectError(str(error), request=request) from error


class _Followed(httpx.AsyncByteStream):
    """The body of a response; the request is at work until it is closed."""

    def __init__(self, stream: httpx.AsyncByteStream, picked: PickedRequest) -> None:
        self._stream = stream
        self._picked = picked

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._stream:
                yield part
        except httpx.TransportError:
            self._picked.failed()
            raise

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            self._picked.end()


def _addressed(request: httpx.Request, server: Server) -> httpx.Request:
    """Return the request for one server; raises httpx.UnsupportedProtocol for its address."""
    address = server.address if "://" in server.address else f"http://{server.address}"
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise httpx.UnsupportedProtocol(
            f"the address of server {server.id!a} is {server.address!a}, it must be host:port or "
            "a URL with http or https",
            request=request,
        )
    return httpx.Request(
        request.method,
        request.url.copy_with(scheme=parts.scheme, host=parts.hostname, port=port),
        headers=request.headers,
        stream=request.stream,
        extensions=request.extensions,
    )
