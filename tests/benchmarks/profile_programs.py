"""Programs of which it is known where their CPU time goes: 70, 20 and 10 percent."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

TRUTH = {"seventy": 70.0, "twenty": 20.0, "ten": 10.0}

# By CPU time, not by the clock, so that a busy machine does not change the shares.
SPIN = """
import threading, time
SCALE = 0.005
def spin(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end: pass
def seventy(): spin(SCALE * 0.7)
def twenty(): spin(SCALE * 0.2)
def ten(): spin(SCALE * 0.1)
def work(): seventy(); twenty(); ten()
def main():
    while True: work()
"""
IDLE = """
import queue, socket
def sleeping(): time.sleep(3600)
def waiting(event=threading.Event()): event.wait()
def getting(items=queue.Queue()): items.get()
def reading(ends=socket.socketpair()): ends[0].recv(1)
def locked(lock=threading.Lock()):
    lock.acquire(); lock.acquire()
def selecting():
    import select; select.select([], [], [], 3600)
for number in range(THREADS):
    job = (sleeping, waiting, getting, reading, locked, selecting)[number % 6]
    threading.Thread(target=job, daemon=True).start()
main()
"""
ASYNCIO = """
import asyncio
async def handle(reader, writer):
    while await reader.readline():
        work()
        writer.write(b"done\\n")
        await writer.drain()
async def client(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        writer.write(b"ask\\n")
        await reader.readline()
        await asyncio.sleep(0.02)
async def serve():
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await asyncio.gather(*(client(port) for _ in range(3)))
asyncio.run(serve())
"""
LIBRARY = """
import sys
sys.path.insert(0, DIRECTORY)
for number in range(1500): __import__(f"generated_{number}")
main()
"""
APPLICATION = """
def app(environ, start_response):
    work()
    start_response("200 OK", [])
    return [b"done"]
"""
MANY_STACKS = """
import itertools
def a(path): step(path)
def b(path): step(path)
def c(path): step(path)
def step(path):
    if path: (a, b, c)[path[0]](path[1:])
    else: work()
for path in itertools.cycle(itertools.product(range(3), repeat=8)): step(path)
"""
CLIENT = """
import sys, threading, time, urllib.request
def ask():
    while True:
        try: urllib.request.urlopen(sys.argv[1], timeout=10).read()
        except OSError: time.sleep(0.2)
for _ in range(6): threading.Thread(target=ask, daemon=True).start()
time.sleep(3600)
"""


class Program(NamedTuple):
    """A program to profile; `computes`: its main thread does nothing else, so pauses can be seen.

    `reference` are flags for py-spy that make its own figures right for this program.
    """

    source: str
    computes: bool = True
    reference: tuple[str, ...] = ()
    workers: int = 0


PROGRAMS = {
    "split": Program(SPIN + "main()"),
    "blocks": Program(SPIN.replace("0.005", "0.5") + "main()"),
    "idle18": Program(SPIN + IDLE.replace("THREADS", "18"), reference=("--nonblocking",)),
    "asyncio": Program(SPIN + ASYNCIO, computes=False, reference=("--gil",)),
    "deep": Program(SPIN + "def down(n): down(n - 1) if n else main()\ndown(195)"),
    "library": Program(SPIN + LIBRARY),
    "stacks": Program(SPIN + MANY_STACKS),
    "gunicorn": Program(SPIN + APPLICATION, False, ("--subprocesses", "--gil"), workers=4),
    "threads151": Program(SPIN + IDLE.replace("THREADS", "150"), reference=("--nonblocking",)),
}


@contextlib.contextmanager
def running(name: str) -> Iterator[int]:
    """Run a program, and give the id of its process once it does what it is for."""
    program = PROGRAMS[name]
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        source = program.source.replace("DIRECTORY", repr(directory))
        if name == "library":
            for number in range(1500):
                text = "".join(f"def f{line}(x):\n    return x + {line}\n" for line in range(20))
                Path(directory, f"generated_{number}.py").write_text(text)
        if program.workers:
            Path(directory, "measured.py").write_text(source)
            yield stack.enter_context(_gunicorn(directory, program.workers))
            return
        child = stack.enter_context(subprocess.Popen([sys.executable, "-c", source]))
        stack.callback(child.kill)
        time.sleep(6.0 if name == "library" else 0.5)
        yield child.pid


@contextlib.contextmanager
def _gunicorn(directory: str, workers: int) -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    command = [sys.executable, "-m", "gunicorn", "-w", str(workers), "-b", address, "measured:app"]
    with subprocess.Popen(command, cwd=directory, stderr=subprocess.DEVNULL) as master:
        with subprocess.Popen([sys.executable, "-c", CLIENT, f"http://{address}/"]) as client:
            try:
                time.sleep(3.0)
                yield master.pid
            finally:
                client.kill()
        master.terminate()
