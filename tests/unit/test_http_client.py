"""One request over HTTP: where it goes, what it carries, and why it fails, on real sockets."""

from __future__ import annotations

import base64
import gzip
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from page_server import PageServer, answer, serving

from perftui.snapshot import Absent, State
from perftui.sources.http.client import HttpAnswer, HttpClient, HttpTarget
from perftui.sources.source import SourceError

SECRET = "hunter2-s3cr3t"
PAGE = b"# TYPE up gauge\nup 1\n"
OK = answer(PAGE)


def get(url: str, path: str = "", **options: object) -> HttpAnswer:
    client = HttpClient(HttpTarget.parse(url, **options))  # type: ignore[arg-type]
    try:
        return client.get(path, accept="text/plain")
    finally:
        client.close()


def refusal(url: str, path: str = "", **options: object) -> Absent:
    with pytest.raises(SourceError) as caught:
        get(url, path, **options)
    return caught.value.absent


# Targets


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://localhost:8000/metrics", "http://localhost:8000/metrics"),
        (f"https://ann:{SECRET}@shop.example/a/metrics", "https://shop.example/a/metrics"),
        (f"http://[::1]:9/m?token={SECRET}", "http://[::1]:9/m"),
        ("http://köln.example/metrics", "http://xn--kln-sna.example/metrics"),
    ],
)
def test_shows_the_address_without_the_secret(url: str, address: str) -> None:
    target = HttpTarget.parse(url, headers=[f"X-Key: {SECRET}"])
    assert target.address == address
    assert SECRET not in f"{target!r} {target}"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (f"ftp://:{SECRET}@h/", "http://"),
        (f"{SECRET}", "http://"),
        (f"http://ann:{SECRET}#1@h/", "port"),
        (f"http://h:{SECRET}/", "port"),
        ("http://h:0/", "1 to 65535"),
        ("http://h:70000/", "port"),
        (f"http://ann:{SECRET}@/x", "host"),
        (f"http://h/{SECRET} x", "blanks"),
        ("http://h/x#y", "#"),
    ],
)
def test_names_what_is_wrong_with_a_url(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=r".+") as caught:
        HttpTarget.parse(url)
    assert says in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


@given(st.text(max_size=8), st.text(max_size=8))
def test_no_url_makes_it_print_the_password(before: str, after: str) -> None:
    shown = ""
    try:
        shown = repr(HttpTarget.parse(f"http://ann:{before}{SECRET}{after}@h:80/metrics"))
    except ValueError as error:
        shown = str(error)
    assert SECRET not in shown


@pytest.mark.parametrize("line", ["no colon", ": x", "A b: c", "X: a\nInjected: 1", "Host: x"])
def test_refuses_headers_that_would_break_the_request(line: str) -> None:
    with pytest.raises(ValueError, match="header"):
        HttpTarget.parse("http://h/", headers=[line])


def test_refuses_two_ways_to_log_in() -> None:
    with pytest.raises(ValueError, match="not both"):
        HttpTarget.parse(f"http://ann:{SECRET}@h/", bearer_file="/token")


def test_importing_it_imports_no_client() -> None:
    code = (
        "import sys, perftui.sources.http.client, perftui.sources.scrape.source;"
        "assert not {'urllib3', 'ssl', 'http.client', 'prometheus_client'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)


# Requests


def test_sends_user_password_headers_and_keeps_query_and_prefix() -> None:
    with serving(OK) as server:
        url = f"http://ann:p%40ss@127.0.0.1:{server.port}/prefix/?a=1"
        client = HttpClient(HttpTarget.parse(url, headers=["X-Scope-OrgID: tenant"]))
        found = client.get("/api/v1/query", {"query": 'up{a="b"}'}, "application/json")
        client.close()
    head = server.requests[0].decode()
    assert found == HttpAnswer(200, found.content_type, PAGE, found.headers)
    assert found.headers["content-length"] == str(len(PAGE))
    assert head.startswith("GET /prefix/api/v1/query?a=1&query=up%7Ba%3D%22b%22%7D HTTP/1.1\r\n")
    assert f"Basic {base64.b64encode(b'ann:p@ss').decode()}" in head
    assert "X-Scope-OrgID: tenant\r\n" in head
    assert "Accept: application/json\r\n" in head
    assert "Accept-Encoding: gzip\r\n" in head


def test_posts_a_form() -> None:
    with serving(OK) as server:
        client = HttpClient(HttpTarget.parse(server.url))
        client.post_form("api", {"query": "sum(x)", "time": "1"})
        client.close()
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /metrics/api HTTP/1.1\r\n")
    assert b"application/x-www-form-urlencoded" in head
    assert body == b"query=sum%28x%29&time=1"


def test_reads_the_token_anew_for_each_request(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    with serving(OK) as server:
        client = HttpClient(HttpTarget.parse(server.url, bearer_file=str(token)))
        client.get()
        token.write_text("second")
        client.get()
        token.unlink()
        with pytest.raises(SourceError, match="cannot be read"):
            client.get()
        client.close()
    assert b"Bearer first\r\n" in server.requests[0]
    assert b"Bearer second\r\n" in server.requests[1]


def test_keeps_the_connection_and_makes_a_new_one_when_asked_to() -> None:
    with serving(OK) as server:
        client = HttpClient(HttpTarget.parse(server.url))
        for _ in range(3):
            client.get()
        assert server.connections == 1
        client.get(fresh=True)
        assert server.connections == 2
        client.close()


def test_a_kept_connection_that_was_closed_is_no_error() -> None:
    def once(connection: socket.socket, request: bytes) -> None:
        # The end of the connection comes without a word, as at a server's idle timeout.
        connection.sendall(OK)
        if len(server.requests) % 2 == 1:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.recv(1, socket.MSG_PEEK)
            connection.close()

    with serving(once) as server:
        client = HttpClient(HttpTarget.parse(server.url, timeout=5))
        assert client.get().status == 200
        # The server resets the connection when this request arrives on it.
        assert client.get().status == 200
        client.close()
    assert server.connections == 2


def test_follows_redirects_on_the_same_server_only() -> None:
    def moved(connection: socket.socket, request: bytes) -> None:
        if b"GET /metrics " in request:
            connection.sendall(answer(b"", status="302 Found", extra="Location: /m/?x=1\r\n"))
        else:
            connection.sendall(OK)

    with serving(moved) as server:
        assert get(server.url).body == PAGE
    assert server.requests[1].startswith(b"GET /m/?x=1 ")
    elsewhere = f"Location: https://u:{SECRET}@other.example/x?k={SECRET}\r\n"
    with serving(answer(b"", status="301 Moved", extra=elsewhere)) as server:
        absent = refusal(server.url)
    assert absent.reason == f"{server.url} redirects to https://other.example/x"
    assert "use https://other.example/x as the URL" in absent.fix
    with serving(answer(b"", status="301 Moved", extra="Location: /metrics\r\n")) as server:
        assert "more than 3 times" in refusal(server.url).reason
    assert len(server.requests) == 4


# Answers


def test_unpacks_gzip_of_several_members() -> None:
    body = gzip.compress(PAGE) + gzip.compress(b"down 0\n")
    with serving(answer(body, extra="Content-Encoding: gzip\r\n")) as server:
        assert get(server.url).body == PAGE + b"down 0\n"


def test_stops_at_the_limit_whatever_the_server_says() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"4e20\r\n%b\r\n" % (
        b"a" * 20_000
    )
    for whole in (
        answer(bomb, extra="Content-Encoding: gzip\r\n"),
        answer(b"a" * 20_000),
        chunked,
    ):
        with serving(whole) as server:
            absent = refusal(server.url, size_limit=10_000, section="scrape")
        assert absent.reason == f"the answer of {server.url} is larger than 10,000 bytes"
        assert "scrape.size_limit" in absent.fix


@pytest.mark.parametrize(
    ("whole", "says"),
    [
        (answer(gzip.compress(PAGE)[:-6], extra="Content-Encoding: gzip\r\n"), "not complete"),
        (answer(b"no gzip at all", extra="Content-Encoding: gzip\r\n"), "broken gzip"),
        (answer(PAGE, extra="Content-Encoding: br\r\n"), "encoding br"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nup 1\n", "ends early"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nup 1\n\r\n", "ends early"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nup 1\n\r\n", "ends early"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x16", "speaks TLS"),
        (b"", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n", "does not keep to HTTP"),
    ],
    ids=lambda value: value if isinstance(value, str) else "answer",
)
def test_says_what_is_wrong_with_an_answer(whole: bytes, says: str) -> None:
    def broken(connection: socket.socket, request: bytes) -> None:
        connection.sendall(whole)
        connection.shutdown(socket.SHUT_RDWR)

    with serving(broken) as server:
        absent = refusal(server.url)
    assert absent.state is State.UNAVAILABLE
    assert says in absent.reason
    assert absent.fix


@pytest.mark.parametrize(
    ("status", "state", "says", "fix"),
    [
        ("401 Unauthorized", State.DENIED, "user and password", "USER:PASSWORD@127.0.0.1"),
        ("403 Forbidden", State.DENIED, "forbids", "access rules"),
        ("404 Not Found", State.UNAVAILABLE, "no page", "/metrics?"),
    ],
)
def test_statuses_become_advice(status: str, state: State, says: str, fix: str) -> None:
    with serving(answer(b"x", status=status)) as server:
        absent = refusal(server.url.removesuffix("/metrics"))
    assert (absent.state, says in absent.reason, fix in absent.fix) == (state, True, True)


def test_other_statuses_are_the_callers_to_judge() -> None:
    with serving(answer(b'{"status":"error"}', status="503 Busy")) as server:
        assert get(server.url)[0::2] == (503, b'{"status":"error"}')


def test_a_server_that_wants_https_is_named() -> None:
    body = b"Client sent an HTTP request to an HTTPS server.\n"
    with serving(answer(body, status="400 Bad Request")) as server:
        absent = refusal(server.url)
    assert "speaks TLS" in absent.reason
    assert absent.fix == f"use {server.url.replace('http:', 'https:')}"


def test_refused_port_and_unknown_host() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        absent = refusal(f"http://127.0.0.1:{taken.getsockname()[1]}/metrics")
    assert "refused the connection" in absent.reason
    absent = refusal("http://nobody.invalid/metrics", timeout=10)
    assert absent.reason == "the host name nobody.invalid cannot be resolved"


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_one_byte_at_a_time_does_not_outlast_the_deadline(head: bytes) -> None:
    def drip(connection: socket.socket, request: bytes) -> None:
        connection.sendall(head)
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 10_000:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    with serving(drip) as server:
        begin = time.monotonic()
        absent = refusal(server.url, timeout=0.4)
        assert time.monotonic() - begin < 2
    what = "did not finish its answer" if head else "did not answer"
    assert absent.reason == f"{server.url} {what} within 0.4 s"


def test_closing_ends_a_request_on_another_thread() -> None:
    with serving(lambda connection, request: time.sleep(5)) as server:
        client = HttpClient(HttpTarget.parse(server.url, timeout=30))
        timer = threading.Timer(0.2, client.close)
        timer.start()
        begin = time.monotonic()
        with pytest.raises(SourceError, match="was closed"):
            client.get()
        assert time.monotonic() - begin < 3
        with pytest.raises(SourceError, match="was closed"):
            client.get()


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    key, crt = str(folder / "key.pem"), str(folder / "crt.pem")
    subprocess.run(
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        f"-subj /CN=shop -addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {crt}".split(),
        check=True,
        capture_output=True,
        timeout=30,
    )
    return crt, key


def _server_context(certificate: tuple[str, str], clients: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificate[0])
    return context


def test_trusts_the_file_or_nobody(certificate: tuple[str, str], tmp_path: Path) -> None:
    with serving(OK, _server_context(certificate)) as server:
        assert get(server.url, ca_file=certificate[0]).body == PAGE
        assert get(server.url, verify=False).body == PAGE
        absent = refusal(server.url, section="prometheus")
        other = refusal(server.url.replace("127.0.0.1", "localhost"), ca_file=certificate[0])
    assert "self-signed certificate" in absent.reason
    assert "prometheus.ca_file" in absent.fix
    assert "not trusted" in other.reason
    assert "host name of the certificate" in other.fix
    missing = refusal("https://127.0.0.1:1/", ca_file=str(tmp_path / "none"))
    assert "cannot be read" in missing.reason


def test_shows_its_own_certificate(certificate: tuple[str, str]) -> None:
    crt, key = certificate
    with serving(OK, _server_context(certificate, clients=True)) as server:
        assert get(server.url, ca_file=crt, cert_file=crt, key_file=key).body == PAGE
        absent = refusal(server.url, ca_file=crt, section="prometheus")
    assert "certificate" in absent.reason + absent.fix


def test_a_plain_server_behind_https_is_named() -> None:
    with serving(OK) as server:
        absent = refusal(server.url.replace("http:", "https:"), verify=False)
    assert "does not speak TLS" in absent.reason


def test_a_deadline_holds_over_tls_too(certificate: tuple[str, str]) -> None:
    def drip(connection: socket.socket, request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(200):
            connection.sendall(b"#")
            time.sleep(0.05)

    with serving(drip, _server_context(certificate)) as server:
        begin = time.monotonic()
        # Long enough for the handshake on a busy machine; the page takes ten seconds.
        absent = refusal(server.url, verify=False, timeout=1.5)
        assert time.monotonic() - begin < 8
    assert "did not finish" in absent.reason


# Proxies


def test_asks_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(OK) as proxy:
        monkeypatch.setenv("http_proxy", f"http://ann:{SECRET}@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "inside.invalid")
        assert get("http://shop.invalid/metrics").body == PAGE
        assert "inside.invalid cannot be resolved" in refusal("http://inside.invalid/").reason
        with serving(OK) as server:
            assert get(server.url).body == PAGE
    head = proxy.requests[0].decode()
    assert head.startswith("GET http://shop.invalid/metrics HTTP/1.1\r\n")
    assert base64.b64encode(f"ann:{SECRET}".encode()).decode() in head
    assert len(proxy.requests) == 1


def test_names_a_proxy_that_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(answer(b"", status="407 Auth")) as proxy:
        monkeypatch.setenv("https_proxy", f"http://ann:{SECRET}@127.0.0.1:{proxy.port}")
        absent = refusal("https://shop.invalid/metrics")
    assert f"the proxy 127.0.0.1:{proxy.port}" in absent.reason
    assert "407" in absent.reason
    assert proxy.requests[0].startswith(b"CONNECT shop.invalid:443 ")
    gone = refusal("https://shop.invalid/metrics")
    assert f"the proxy 127.0.0.1:{proxy.port} refused the connection" in gone.reason
    monkeypatch.setenv("https_proxy", f"socks5://x:{SECRET}@127.0.0.1:1")
    odd = refusal("https://shop.invalid/metrics")
    assert "HTTPS_PROXY names no proxy that can be used" in odd.reason
    assert SECRET not in f"{absent} {gone} {odd}"


def test_a_server_object_stops() -> None:
    server = PageServer(OK)
    server.stop()
    assert "refused" in refusal(server.url).reason
