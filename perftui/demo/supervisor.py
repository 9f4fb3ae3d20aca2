"""The process that owns all other processes of the demo: `python -m perftui.demo.supervisor DIR`.

It reads commands from standard input and writes the status of its parts to standard output, one
JSON per line. The end of its input means that the monitor is gone, by whatever death: it kills its
children and removes the directory. It has one thread, on which the death signal of its children
depends (see child.py).
"""

from __future__ import annotations

import argparse
import os
import selectors
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec

from perftui.demo.messages import (
    Instruction,
    PartState,
    PartStatus,
    decode_command,
    decode_report,
    encode_line,
)
from perftui.demo.part_names import DATABASE, PARTS, REDIS, TRAFFIC
from perftui.demo.parts import Part
from perftui.demo.private_directory import SOCKET, remove_abandoned, remove_directory
from perftui.demo.redis_server import answers, redis_arguments
from perftui.demo.scenarios import SCENARIOS, WORKERS, scenario_named

_PING_PAUSE = 0.01
_CHECK_PAUSE = 1.0
_SHORTEST_LIFE = 4.0
"""Seconds that a worker lives before a scenario kills it, so that the pool has known it."""


class Supervisor:
    """Starts the parts, passes scenarios on to them and starts again what dies."""

    def __init__(self, directory: Path, scenario: str, tracer: int) -> None:
        self._directory = directory
        self._scenario = scenario_named(scenario)
        self._tracer = tracer
        self._started = time.monotonic()
        self._waiting = deque(PARTS)
        self._addresses: dict[str, str] = {}
        self._outbox: dict[str, PartStatus] = {}
        self._selector = selectors.DefaultSelector()
        self._commands = b""
        self._stopping = False
        commands: dict[str, Callable[[], list[str]]] = {
            REDIS: self._redis_command,
            TRAFFIC: self._traffic_command,
        }
        for worker in WORKERS:
            commands[worker] = partial(self._worker_command, worker)
        self._parts = {
            name: Part(
                name,
                command,
                directory / f"{name}.log",
                self._publish,
                self._watch,
                self._unwatch,
                speaks=name != REDIS,
            )
            for name, command in commands.items()
        }

    def run(self) -> None:
        """Run until the monitor is gone or a signal says so, then leave nothing behind."""
        try:
            self._listen()
            remove_abandoned(self._directory)
            while not self._stopping:
                self._start_next()
                self._wait()
                self._look_after_parts()
        finally:
            self._end()

    def _listen(self) -> None:
        read_end, write_end = os.pipe()
        for descriptor in (read_end, write_end, 0, 1):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(write_end)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        self._selector.register(read_end, selectors.EVENT_READ, self._hear_signals)
        self._selector.register(0, selectors.EVENT_READ, self._hear_commands)

    def _wait(self) -> None:
        for key, _ in self._selector.select(self._patience()):
            key.data(key.fd)

    def _patience(self) -> float:
        """Return the seconds until something has to be done without being asked."""
        if self._parts[REDIS].status.state is PartState.STARTING:
            return _PING_PAUSE
        now = time.monotonic()
        due = [part.due - now for part in self._parts.values() if part.due is not None]
        starting = any(part.status.state is PartState.STARTING for part in self._parts.values())
        if starting:
            due.append(_CHECK_PAUSE)
        if (doomed := self._doomed_at()) is not None:
            due.append(doomed - now)
        # Nothing due: a signal, a line or the end of the input wakes the loop. An outbox that
        # is not empty means a monitor that does not read, and is tried again.
        if self._outbox:
            due.append(_CHECK_PAUSE)
        return max(0.0, min(due, default=60.0))

    def _start_next(self) -> None:
        while self._waiting:
            name = self._waiting[0]
            if name == DATABASE:
                self._make_database()
            elif self._parts[name].status.state is PartState.WAITING:
                self._start(name)
            if name != DATABASE and not self._parts[name].settled:
                return
            self._waiting.popleft()

    def _start(self, name: str) -> None:
        part = self._parts[name]
        if name == REDIS and not self._scenario.redis:
            part.stop(self._why_down())
            return
        part.start()
        if part.child is not None:
            part.child.send(self._instruction())

    def _look_after_parts(self) -> None:
        redis = self._parts[REDIS]
        if redis.status.state is PartState.STARTING and answers(self._directory / SOCKET):
            redis.ready(str(self._directory / SOCKET))
        now = time.monotonic()
        if (doomed := self._doomed_at()) is not None and doomed <= now:
            self._parts[self._scenario.dead].stop(self._why_down())
            self._addresses.pop(self._scenario.dead, None)
            self._broadcast()
        for part in self._parts.values():
            if part.check():
                if self._addresses.pop(part.name, None):
                    self._broadcast()
            elif part.due is not None and part.due <= now:
                self._start(part.name)
        self._flush()

    def _doomed_at(self) -> float | None:
        """Return when the worker has to die that the scenario wants dead, None when it lives on."""
        part = self._parts.get(self._scenario.dead)
        if part is None or part.status.state is not PartState.READY:
            return None
        return part.started + _SHORTEST_LIFE

    def _watch(self, output: int) -> None:
        self._selector.register(output, selectors.EVENT_READ, self._hear_child)

    def _hear_signals(self, descriptor: int) -> None:
        numbers = os.read(descriptor, 512)
        if set(numbers) & {signal.SIGTERM, signal.SIGHUP, signal.SIGINT}:
            self._stopping = True

    def _hear_commands(self, descriptor: int) -> None:
        arrived = os.read(descriptor, 65536)
        if not arrived:
            self._stopping = True
            return
        *lines, self._commands = (self._commands + arrived).split(b"\n")
        for line in lines:
            try:
                self._play(decode_command(line).scenario)
            except (msgspec.DecodeError, ValueError) as error:
                _complain(f"a command was not understood: {error}")

    def _hear_child(self, descriptor: int) -> None:
        for part in self._parts.values():
            if part.child is None or part.child.output != descriptor:
                continue
            for line in part.child.lines():
                try:
                    report = decode_report(line)
                except msgspec.DecodeError as error:
                    _complain(f"{part.name} said what is no report: {error}")
                    continue
                if report.cpu_percent is not None:
                    part.measured(report.cpu_percent)
                else:
                    part.ready(report.address)
                    if report.address:
                        self._addresses[part.name] = report.address
                        self._broadcast()

    def _play(self, name: str) -> None:
        self._scenario = scenario_named(name)
        self._broadcast()
        redis = self._parts[REDIS]
        if not self._scenario.redis:
            redis.stop(self._why_down())
        elif redis.status.state is PartState.STOPPED:
            self._start(REDIS)
        for worker in WORKERS:
            stopped = self._parts[worker].status.state is PartState.STOPPED
            if stopped and worker != self._scenario.dead:
                self._start(worker)

    def _why_down(self) -> str:
        return f"stopped by the scenario {self._scenario.name}"

    def _instruction(self) -> bytes:
        return encode_line(Instruction(self._scenario.name, dict(self._addresses)))

    def _unwatch(self, output: int) -> None:
        self._selector.unregister(output)

    def _broadcast(self) -> None:
        line = self._instruction()
        for part in self._parts.values():
            if part.child is not None:
                part.child.send(line)

    def _make_database(self) -> None:
        import sqlite3

        from perftui.demo.shop_catalogue import create_database

        path = self._directory / "shop.sqlite"
        try:
            create_database(path)
        except (sqlite3.Error, OSError) as error:
            self._publish(PartStatus(DATABASE, PartState.FAILED, reason=f"{path}: {error}"))
        else:
            after = round(time.monotonic() - self._started, 3)
            self._publish(
                PartStatus(DATABASE, PartState.READY, address=str(path), ready_after=after)
            )

    def _publish(self, status: PartStatus) -> None:
        self._outbox[status.part] = status
        self._flush()

    def _flush(self) -> None:
        for part, status in list(self._outbox.items()):
            try:
                os.write(1, encode_line(status))
            except BlockingIOError:
                return
            except BrokenPipeError:
                self._stopping = True
                return
            del self._outbox[part]

    def _redis_command(self) -> list[str]:
        from perftui.demo.redis_binary import find_redis_server, how_to_install

        program = find_redis_server()
        if program is None:
            raise LookupError(
                "no redis-server or valkey-server of version 6.0 or newer was found",
                how_to_install(),
            )
        return redis_arguments(program, self._directory / SOCKET)

    def _worker_command(self, name: str) -> list[str]:
        return [
            *_python("perftui.demo.shop"),
            f"--name={name}",
            f"--directory={self._directory}",
            f"--tracer={self._tracer}",
        ]

    def _traffic_command(self) -> list[str]:
        return [*_python("perftui.demo.traffic"), f"--directory={self._directory}"]

    def _end(self) -> None:
        running = [part.child for part in self._parts.values() if part.child is not None]
        for child in running:
            child.process.kill()
        for child in running:
            child.kill()
        remove_directory(self._directory)


def _complain(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _python(module: str) -> list[str]:
    # -P keeps the current directory, which may hold a redis.py, out of the way of imports.
    return [sys.executable, "-P", "-m", module]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a supervisor until its standard input ends."""
    parser = argparse.ArgumentParser(prog="perftui.demo.supervisor")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--scenario", default=SCENARIOS[0].name)
    parser.add_argument("--tracer", type=int, default=0, help="pid that may profile the workers")
    options = parser.parse_args(arguments)
    Supervisor(options.directory, options.scenario, options.tracer).run()


if __name__ == "__main__":
    main()
