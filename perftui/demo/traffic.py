"""The demo's customers: `python -m perftui.demo.traffic --directory=DIR`.

Requests come at random moments of a changing rate and go to the servers that the pool holds
eligible. What the shop cannot take is dropped, not queued without end.
"""

from __future__ import annotations

import argparse
import queue
import random
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from perftui.demo.control import CpuReport, follow_instructions, report
from perftui.demo.load_curve import Visitors, rate_at
from perftui.demo.messages import Instruction, Report
from perftui.demo.pool_choice import PoolChoice
from perftui.demo.pool_operator import PoolOperator
from perftui.demo.scenarios import scenario_named
from perftui.pool.selection import NoAvailableServersError

SENDERS = 8
"""Requests at work at the same time, at most."""
WAITING = 16
ANSWER_SECONDS = 5.0
FAILURE_STATUS = 500


class Traffic:
    """Asks the shop for pages, as many as the load curve wants."""

    def __init__(self, choice: PoolChoice) -> None:
        self._choice = choice
        self._waiting: queue.Queue[tuple[str, ...]] = queue.Queue(WAITING)

    def run(self) -> None:
        """Run until the process ends."""
        for number in range(SENDERS):
            threading.Thread(target=self._send_all, name=f"sender-{number}", daemon=True).start()
        chance = random.Random()
        visitors = Visitors(chance)
        cpu = CpuReport()
        started = due = time.monotonic()
        while True:
            cpu.tell_when_due()
            targets = visitors.next_targets()
            due += chance.expovariate(rate_at(due - started)) * len(targets)
            now = time.monotonic()
            if due > now:
                time.sleep(due - now)
            else:
                # Behind, as after a suspend: the lost time is not made up for.
                due = max(due, now - 1.0)
            try:
                self._waiting.put_nowait(targets)
            except queue.Full:
                continue

    def _send_all(self) -> None:
        while True:
            for target in self._waiting.get():
                self._send(target)

    def _send(self, target: str) -> None:
        # What one server does not answer, another one is asked.
        asked: list[str] = []
        for _ in range(2):
            request = self._choice.request(avoid=asked)
            try:
                with request as server:
                    asked.append(server.id)
                    try:
                        status, _ = request_page(server.address, target)
                    except ConnectionRefusedError:
                        request.unreachable()
                        raise
                    if status >= FAILURE_STATUS:
                        request.failed()
            except OSError:
                continue
            except NoAvailableServersError:
                return
            else:
                return


def request_page(address: str, target: str) -> tuple[int, bytes]:
    """Return status and whole answer of one request; raises OSError for an answer cut short."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS) as connection:
        connection.sendall(f"GET {target} HTTP/1.0\r\nHost: shop\r\n\r\n".encode())
        answer = bytearray()
        while arrived := connection.recv(65536):
            answer += arrived
    words = bytes(answer[:32]).split(None, 2)
    if len(words) < 2 or not words[1].isdigit():
        raise OSError(f"{address} gave no HTTP answer")
    return int(words[1]), bytes(answer)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make requests until the supervisor is gone."""
    parser = argparse.ArgumentParser(prog="perftui.demo.traffic")
    parser.add_argument("--directory", type=Path, required=True)
    options = parser.parse_args(arguments)
    choice = PoolChoice(options.directory)

    operator = PoolOperator(options.directory)

    def obey(instruction: Instruction) -> None:
        choice.know(instruction.workers)
        operator.drain(scenario_named(instruction.scenario).drained)

    follow_instructions(obey)
    choice.start()
    operator.start()
    report(Report())
    Traffic(choice).run()


if __name__ == "__main__":
    main()
