"""What another client notices: the latency of a GET every millisecond, until its input ends.

Run by invalidation.py in a process of its own. Prints one latency in seconds per line. A GET that
should have begun while the last one was still waiting counts from when it should have begun.
"""

from __future__ import annotations

import gc
import select
import socket
import sys
import time

EVERY = 0.001


def main() -> None:
    server = socket.socket(socket.AF_UNIX)
    server.connect(sys.argv[1])
    request = b"*2\r\n$3\r\nGET\r\n$11\r\nlatency:key\r\n"
    found: list[float] = []
    gc.disable()
    print("ready", flush=True)
    due = time.perf_counter()
    while not select.select([sys.stdin], [], [], 0)[0]:
        time.sleep(max(0.0, due - time.perf_counter()))
        begin = (
            min(due, time.perf_counter()) if found and found[-1] > EVERY else time.perf_counter()
        )
        server.sendall(request)
        server.recv(1000)
        now = time.perf_counter()
        found.append(now - begin)
        due += EVERY
        if due < now - EVERY and found[-1] <= EVERY:
            # This process itself overslept; that is no latency of the server.
            due = now
    print("\n".join(f"{latency:.7f}" for latency in found))


if __name__ == "__main__":
    main()
