"""A server that gives answers which a real Prometheus gave, and others where a test wants them.

Record anew, which needs Prometheus, after a query has changed:
PYTHONPATH=. python tests/recorded_prometheus.py
"""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from perftui.config.settings import Operations, Prometheus
from perftui.snapshot import Selection
from perftui.sources.http.client import HttpAnswer
from perftui.sources.prometheus.source import PrometheusSource

RECORDING = Path(__file__).parent / "unit/recorded/prometheus_2.42.json"
SELECTION = Selection(hosts=("shop-1:8000",), operation=("shop", "pay"))
JSON = "application/json"


class Asked(NamedTuple):
    """One question: `query` is empty for anything but queries."""

    method: str
    path: str
    query: str


class Given(NamedTuple):
    """One answer; `delay` seconds pass before it."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: Mapping[str, str] = {}
    delay: float = 0.0


def error(status: int, kind: str, text: str) -> Given:
    """Return an answer as Prometheus words its errors."""
    body = {"status": "error", "errorType": kind, "error": text}
    return Given(status, json.dumps(body).encode())


def vector(series: list[dict[str, Any]], **more: object) -> Given:
    """Return the answer to an instant query."""
    data = {"resultType": "vector", "result": series}
    return Given(200, json.dumps({"status": "success", "data": data, **more}).encode())


def name_of(query: str) -> str:
    """Return what a query is found by: those that list all known metrics or labels by their aim.

    So that one more preset does not make the recording useless.
    """
    if "count by (__name__,job)" in query:
        return "which metrics exist"
    if found := re.match(r"label_replace\(count by \(job\) \((\w+)", query):
        return f"labels of {found.group(1)}"
    if found := re.match(r"count\((\w+)\{job=~", query):
        return f"failures of {found.group(1)}"
    return query


class RecordedPrometheus:
    """Answers from the recording on a free port; `instead` may return another answer."""

    def __init__(self) -> None:
        self.recording = json.loads(RECORDING.read_text())
        self.asked: list[Asked] = []
        self.unknown: list[str] = []
        self.instead: Callable[[Asked], Given | None] = lambda _: None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body in one packet, or each answer waits for an acknowledgement.
            wbufsize = -1

            def do_GET(self) -> None:
                path, _, text = self.path.partition("?")
                self._answer(path, text)

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                self._answer(self.path, self.rfile.read(length).decode())

            def _answer(self, path: str, text: str) -> None:
                fields = dict(urllib.parse.parse_qsl(text))
                asked = Asked(str(self.command), path, fields.get("query", ""))
                outer.asked.append(asked)
                given = outer.instead(asked) or outer.recorded(asked)
                time.sleep(given.delay)
                self.send_response(given.status)
                self.send_header("Content-Type", given.content_type)
                self.send_header("Content-Length", str(len(given.body)))
                for name, value in given.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(given.body)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def recorded(self, asked: Asked) -> Given:
        """Return the answer that the real server gave."""
        name = name_of(asked.query) or asked.path
        answer = self.recording["answers"].get(name)
        if answer is None:
            self.unknown.append(name)
            return error(400, "bad_data", "not recorded")
        return Given(200, json.dumps(answer).encode())

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def main() -> None:
    from prometheus_server import ShopFleet, starting

    answers: dict[str, Any] = {}
    with starting() as start:
        fleet = ShopFleet(start)
        source = PrometheusSource(Prometheus(url=fleet.server.url), Operations())
        ask = source.api._ask

        def note(path: str, fields: dict[str, str], get_only: bool = False) -> HttpAnswer:
            answer = ask(path, fields, get_only)
            answers[name_of(fields.get("query", "")) or path] = json.loads(answer.body)
            return answer

        source.api._ask = note  # type: ignore[method-assign]
        source.sample()
        moment = source._time
        source.select(SELECTION)
        source.sample()
        bucket = 'operation_execution_time_seconds_bucket{job="shop",operation="pay"}[10s]'
        query = f"histogram_quantile(0.95,sum by(le)(rate({bucket})))"
        (p95,) = fleet.server.ask(query, moment)
        source.close()
        fleet.close()
    for group in answers["/api/v1/rules"]["data"]["groups"]:
        del group["file"]
    version = answers["/api/v1/status/buildinfo"]["data"]["version"]
    answers["/api/v1/status/buildinfo"]["data"] = {"version": version}
    # Targets carry much that is not read, and addresses of the machine that recorded them.
    targets = answers["/api/v1/targets"]["data"]["activeTargets"]
    kept = ("labels", "scrapeInterval", "health")
    answers["/api/v1/targets"]["data"] = {
        "activeTargets": [{name: target[name] for name in kept} for target in targets]
    }
    recording = {"p95_of_pay": float(p95["value"][1]), "answers": answers}
    RECORDING.write_text(json.dumps(recording, indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
