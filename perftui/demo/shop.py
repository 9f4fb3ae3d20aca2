"""One worker of the demo shop: `python -m perftui.demo.shop --name=web-1 --directory=DIR`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socket import socket
from urllib.parse import parse_qs, quote, urlsplit

from perftui.demo.control import CpuReport, follow_instructions, report
from perftui.demo.messages import Instruction, Report
from perftui.demo.private_directory import SOCKET
from perftui.demo.scenarios import scenario_named
from perftui.demo.shop_errors import NotFoundError, RejectedError
from perftui.demo.shop_pool import pool_agent
from perftui.demo.shop_trouble import EndlessRebuild, PageArchive
from perftui.metrics.execution import ExecutionMetrics, shared
from perftui.metrics.reporter import Reporter
from perftui.pool.agent import ServerAgent
from perftui.profiling.permission import allow_profiling

SERVICE = "shop"
THREADS = 4
"""Threads that serve requests; a fixed few, because each makes a profiler's pause longer."""
SOCKET_SECONDS = 5.0
"""Seconds a client may take to send its request."""
REPORT_PAUSE = 2.0
"""Seconds at most until a worker reports to a Redis that has come back, which people watch."""


class Worker:
    """A shop with what measures it and what may trouble it."""

    def __init__(self, name: str, directory: Path, agent: ServerAgent) -> None:
        from perftui.demo.shop_operations import Shop

        self.name = name
        self.agent = agent
        self.shop = Shop(directory / "shop.sqlite", directory / SOCKET)
        self.metrics: ExecutionMetrics = shared()
        self._archive = PageArchive()
        self._rebuild = EndlessRebuild(self.shop.descriptions)
        self._stampede = False

    def obey(self, instruction: Instruction) -> None:
        """Bring about the scenario as far as it concerns this worker."""
        scenario = scenario_named(instruction.scenario)
        self.shop.set_slow_checkout(scenario.slow_checkout)
        self._archive.switch(scenario.leaking == self.name)
        self._rebuild.switch(scenario.burning == self.name)
        if scenario.stampede != self._stampede:
            self._stampede = scenario.stampede
            self.shop.set_stampede(scenario.stampede)

    def answer(self, target: str) -> tuple[HTTPStatus, bytes]:
        """Return status and page for a request's target, whatever its method."""
        with self.agent.request():
            return self._answer(target)

    def _answer(self, target: str) -> tuple[HTTPStatus, bytes]:
        try:
            operation, call = self._route(target)
        except (LookupError, ValueError):
            return HTTPStatus.NOT_FOUND, b"no such page"
        try:
            with self.metrics.track(operation):
                page = call()
        except NotFoundError as error:
            return HTTPStatus.NOT_FOUND, f"there is no {error}".encode()
        except RejectedError as error:
            return HTTPStatus.CONFLICT, str(error).encode()
        self._archive.remember(page)
        return HTTPStatus.OK, page

    def _route(self, target: str) -> tuple[str, Callable[[], bytes]]:
        """Return operation and call for a target; raises LookupError or ValueError."""
        url = urlsplit(target)
        values = {name: texts[-1] for name, texts in parse_qs(url.query).items()}
        customer = int(values["customer"])
        shop = self.shop
        if url.path == "/products":
            category, page = values["category"], max(0, min(int(values.get("page", "0")), 1000))
            return "list_products", lambda: shop.list_products(category, page, customer)
        if url.path == "/search":
            query = values["q"][:80]
            return "search", lambda: shop.search(query, customer)
        if url.path == "/cart":
            added = int(values["add"]) if "add" in values else None
            return "cart", lambda: shop.cart(customer, added)
        if url.path == "/checkout":
            return "checkout", lambda: shop.checkout(customer)
        number = int(values["product"])
        if url.path == "/product":
            return "product_detail", lambda: shop.product_detail(number, customer)
        if url.path == "/price":
            return "price_for", lambda: shop.price_for(number, customer)
        raise LookupError(url.path)


class ShopServer(HTTPServer):
    """An HTTP server on a free port of the loopback interface, with a fixed pool of threads."""

    request_queue_size = 64

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="request")
        self._cpu = CpuReport()
        super().__init__(("127.0.0.1", 0), BaseHTTPRequestHandler)

    @property
    def address(self) -> str:
        """Host and port, where requests wait until somebody serves them."""
        host, port = self.server_address[:2]
        return f"{host!s}:{port}"

    def serve(self, worker: Worker) -> None:
        """Let a worker answer until the process ends."""
        self.RequestHandlerClass = _handler_of(worker)
        self.serve_forever()

    def server_bind(self) -> None:
        # HTTPServer would look up the name of the host, which may take seconds.
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def service_actions(self) -> None:
        self._cpu.tell_when_due()

    def process_request(
        self, request: socket | tuple[bytes, socket], client_address: object
    ) -> None:
        self._threads.submit(self._serve, request, client_address)

    def _serve(self, request: socket | tuple[bytes, socket], client_address: object) -> None:
        try:
            self.finish_request(request, client_address)
        except OSError:
            # The client went away: its trouble, not the server's.
            pass
        except Exception:
            self.handle_error(request, client_address)
        finally:
            self.shutdown_request(request)


def _handler_of(worker: Worker) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = SOCKET_SECONDS
        server_version = "demo-shop"

        def do_GET(self) -> None:
            status, page = worker.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Write no access log: the worker's log is for what went wrong."""

    return Handler


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until the supervisor is gone."""
    parser = argparse.ArgumentParser(prog="perftui.demo.shop")
    parser.add_argument("--name", required=True)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--tracer", type=int, default=0)
    options = parser.parse_args(arguments)
    if options.tracer > 0:
        allow_profiling(options.tracer)
    server = ShopServer()
    # The next worker can start while this one imports what its shop needs.
    report(Report(address=server.address))
    agent = pool_agent(options.name, server.address, options.directory)
    worker = Worker(options.name, options.directory, agent)
    follow_instructions(worker.obey)
    Reporter(
        f"unix://{quote(str(options.directory / SOCKET))}",
        SERVICE,
        longest_pause=REPORT_PAUSE,
        metrics=worker.metrics,
        caches=worker.shop.cache,
        queries=worker.shop.queries,
    ).start()
    agent.start()
    try:
        server.serve(worker)
    finally:
        worker.shop.close()


if __name__ == "__main__":
    main()
