"""The server of the exporter's page: formats, other pages, addresses."""

from __future__ import annotations

import gzip
import http.client
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from measured_sample import full
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from perftui.output.exporter_metrics import SnapshotCollector
from perftui.output.exporter_server import Address, ListenError, PageServer

Serve = Callable[..., PageServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[PageServer] = []

    def start(healthy: bool = True, patience: float = 5.0, host: str = "127.0.0.1") -> PageServer:
        collector = SnapshotCollector(full, lambda: 56.0)
        server = PageServer(Address(host, 0), collector, lambda: healthy, patience)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def get(
    server: PageServer, path: str = "/metrics", method: str = "GET", **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    names = {name.replace("_", "-"): text for name, text in headers.items()}
    connection.request(method, path, headers=names)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


def test_plain_text_is_what_a_browser_gets(serve: Serve) -> None:
    response, body = get(serve())
    assert response.status == 200
    kind = response.getheader("Content-Type")
    assert kind is not None
    assert kind.startswith("text/plain; version=0.0.4")
    assert int(response.getheader("Content-Length") or 0) == len(body)
    families = {family.name for family in parse_text(body.decode())}
    assert "perftui_host_load1" in families


def test_openmetrics_and_gzip_for_those_who_ask(serve: Serve) -> None:
    server = serve()
    accept = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5"
    response, body = get(server, Accept=accept, Accept_Encoding="gzip")
    assert response.getheader("Content-Encoding") == "gzip"
    kind = response.getheader("Content-Type")
    assert kind is not None
    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in parse_openmetrics(gzip.decompress(body).decode())}
    assert families["perftui_pool_server_picks"].type == "counter"
    assert families["perftui_host_load1"].samples[0].value == 1.24


@pytest.mark.parametrize(
    "accept",
    ["application/openmetrics-text;version=x.y", "text/plain;version=", "*/*;q=x", ";;,,", "\xff"],
)
def test_odd_wishes_get_a_page_all_the_same(serve: Serve, accept: str) -> None:
    response, body = get(serve(), Accept=accept)
    assert response.status == 200
    assert b"perftui_host_load1 1.24" in body


def test_other_pages(serve: Serve) -> None:
    server = serve()
    response, body = get(server, "/")
    assert (response.status, b'href="/metrics"' in body) == (200, True)
    response, body = get(server, "/-/healthy")
    assert (response.status, body) == (200, b"healthy\n")
    assert get(server, "/metrics?x=1")[0].status == 200
    assert get(server, "/../etc/passwd")[0].status == 404
    assert get(server, "/metrics", "POST")[0].status == 501
    response, body = get(server, "/metrics", "HEAD")
    assert (response.status, body) == (200, b"")
    assert "Python" not in str(response.getheader("Server"))


def test_without_current_readings_it_is_not_healthy(serve: Serve) -> None:
    assert get(serve(healthy=False), "/-/healthy")[0].status == 503


def test_on_every_address(serve: Serve) -> None:
    assert get(serve(host=""))[0].status == 200


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:9465", Address("127.0.0.1", 9465)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:9465", Address("::1", 9465)),
        (":80", Address("", 80)),
    ],
)
def test_address(text: str, expected: Address) -> None:
    assert Address.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", ":", "host", "host:", "9465", "::1:9465", "[]:1", "[::1]", "a b:1", "h:65536", "h:-1",
     "h:1x", "http://h:1", "u@h:1", "h:٣", "[::1]:1:2", "h:999999999999"],
)  # fmt: skip
def test_an_address_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"is '"):
        Address.parse(text)


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_an_error(text: str) -> None:
    try:
        address = Address.parse(text)
    except ValueError:
        return
    assert 0 <= address.port <= 65535
    assert Address.parse(f"{address}") == address


def test_a_port_in_use_may_become_free(serve: Serve) -> None:
    port = serve().port
    collector = SnapshotCollector(full)
    with pytest.raises(ListenError, match=f"port {port} at 127.0.0.1 is in use") as caught:
        PageServer(Address("127.0.0.1", port), collector, lambda: True)
    assert caught.value.may_pass


@pytest.mark.parametrize(
    ("host", "said"),
    [("no-such-host.invalid", "not the name or address"), ("192.0.2.7", "no address of this")],
)
def test_an_address_of_somebody_else(host: str, said: str) -> None:
    with pytest.raises(ListenError, match=said) as caught:
        PageServer(Address(host, 0), SnapshotCollector(full), lambda: True)
    assert not caught.value.may_pass
