"""Pages found on the listening ports of this machine, with real processes and made-up tables."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from page_server import answer, serving

from perftui.config.settings import Operations, Scrape
from perftui.snapshot import State
from perftui.sources.scrape.discovery import Discovery, Listener, listeners
from perftui.sources.scrape.source import ScrapeSource

HEAD = (
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode"
)


def table(*rows: tuple[str, str, int]) -> str:
    lines = [HEAD]
    for number, (address, state, inode) in enumerate(rows):
        lines.append(
            f"   {number}: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 "
            f"00000000  1000        0 {inode} 1 0000000000000000 100 0 0 10 0"
        )
    return "\n".join(lines) + "\n"


def proc(folder: Path, tcp: str, tcp6: str = HEAD + "\n") -> Path:
    (folder / "net").mkdir()
    (folder / "net" / "tcp").write_text(tcp)
    (folder / "net" / "tcp6").write_text(tcp6)
    return folder


def test_reads_the_tables_of_the_kernel(tmp_path: Path) -> None:
    tcp = table(
        ("00000000:1F90", "0A", 1),
        ("0100007F:1F91", "0A", 2),
        ("0200007F:1F92", "0A", 3),
        ("0100A8C0:1F93", "0A", 4),
        ("0100007F:1F94", "01", 5),
        ("0100007F:", "0A", 6),
        ("junk:1F99", "0A", 6),
    )
    zero = "0" * 32
    tcp6 = table(
        (f"{zero}:1F95", "0A", 7),
        (f"{'0' * 24}01000000:1F96", "0A", 8),
        ("0000000000000000FFFF00000100007F:1F97", "0A", 9),
        ("000080FE00000000FF005450B6AD1DFE:1F98", "0A", 10),
        (f"{zero}:1F90", "0A", 11),
    )
    found = listeners(proc(tmp_path, tcp, tcp6))
    assert found == (
        Listener("127.0.0.1", 8080, "1"),
        Listener("127.0.0.1", 8081, "2"),
        Listener("127.0.0.2", 8082, "3"),
        Listener("127.0.0.1", 8085, "7"),
        Listener("::1", 8086, "8"),
        Listener("127.0.0.1", 8087, "9"),
    )
    assert found[4].url == "http://[::1]:8086/metrics"


def test_leaves_out_the_sockets_of_this_process() -> None:
    with serving(answer(b"# TYPE up gauge\nup 1\n")) as server:
        assert server.port not in {each.port for each in listeners()}


@pytest.fixture
def exposing() -> Iterator[int]:
    code = (
        "import time, prometheus_client as p\n"
        "from perftui import ExecutionMetrics\n"
        "m = ExecutionMetrics()\n"
        "server, _ = p.start_http_server(0, addr='127.0.0.1')\n"
        "print(server.server_port, flush=True)\n"
        "while True:\n"
        "    m.record_execution('work', 0.01, True)\n"
        "    time.sleep(0.05)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def test_finds_the_page_of_another_process(exposing: int) -> None:
    source = ScrapeSource(Scrape(discover=True, interval=0.5), Operations())
    try:
        end = time.monotonic() + 10
        while True:
            found = source.sample()
            mine = [each for each in found.services if each.name == f"127.0.0.1:{exposing}"]
            if mine and mine[0].operations and mine[0].operations[0].count:
                break
            assert time.monotonic() < end, found
            time.sleep(0.5)
    finally:
        source.close()
    assert mine[0].operations[0].name == "work"
    endpoint = next(each for each in found.endpoints if f":{exposing}/" in each.address)
    assert (endpoint.address, endpoint.state) == (
        f"http://127.0.0.1:{exposing}/metrics",
        State.OK,
    )


def test_a_page_that_is_named_is_not_found_again(exposing: int) -> None:
    url = f"http://localhost:{exposing}/metrics"
    source = ScrapeSource(Scrape(urls=(url,), discover=True), Operations())
    try:
        found = source.sample()
    finally:
        source.close()
    assert [each.address for each in found.endpoints if f":{exposing}/" in each.address] == [url]


def test_only_pages_of_metrics_count_and_mute_ports_are_left_alone(tmp_path: Path) -> None:
    def row(port: int, inode: int) -> tuple[str, str, int]:
        return f"0100007F:{port:04X}", "0A", inode

    with (
        serving(answer(b"# TYPE up gauge\nup 1\n")) as page,
        serving(answer(b"<html>", "text/html")) as web,
        serving(b"+PONG\r\n-ERR\r\n") as mute,
    ):
        servers = (page, web, mute)
        rows = [row(server.port, index) for index, server in enumerate(servers)]
        discovery = Discovery(proc(tmp_path, table(*rows, ("0100007F:18EB", "0A", 99))))
        discovery.look(5.0)
        assert discovery.urls == (page.url,)
        discovery.look(5.0)
        assert [len(server.requests) for server in servers] == [1, 1, 1]
        discovery._looked_at -= 100
        discovery.look(5.0)
        assert [len(server.requests) for server in servers] == [2, 2, 1]
        discovery.close()
