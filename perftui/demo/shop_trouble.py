"""Real trouble for one worker: memory that is kept, and work that never ends."""

from __future__ import annotations

import ctypes
import sys
import threading
import time
import zlib
from collections.abc import Callable
from itertools import combinations

from perftui.demo.own_usage import OwnCpu

MOST_KEPT = 300 * 1024 * 1024
"""Bytes of pages a leaking worker keeps at most."""
PACKERS = 3
FIRST_PAUSE_RATIO = 4.0
SHORTEST_PAUSE_RATIO, LONGEST_PAUSE_RATIO = 0.1, 64.0
"""Time without packing as a multiple of the time that packing took."""
WANTED_PERCENT = (100.0, 125.0)
"""Percent of one core between which an overloaded worker is kept."""
COPIES = 64
"""How many variants of a page the leak keeps for each request."""


class PageArchive:
    """Keeps every page that was served while it is switched on, which is the leak."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pages: list[bytes] = []
        self._kept = 0
        self._wanted = False

    def remember(self, page: bytes) -> None:
        """Keep a page in all its variants, if the archive is on and not full."""
        if not self._wanted:
            return
        variants = page * COPIES
        with self._lock:
            if self._wanted and self._kept + len(variants) <= MOST_KEPT:
                self._pages.append(variants)
                self._kept += len(variants)

    def switch(self, wanted: bool) -> None:
        """Start to keep pages, or stop and give all memory back."""
        with self._lock:
            self._wanted = wanted
            held, self._pages, self._kept = self._pages, [], 0
        if held:
            held.clear()
            return_free_memory()


class EndlessRebuild:
    """Rebuilds recommendations from product descriptions for as long as it is switched on.

    One thread compares; others pack, without the interpreter's lock and with pauses that shrink
    while the process gets less than a whole core. So the worker passes its limit also where other
    programs compete for the processors, and leaves the rest alone where they do not.
    """

    def __init__(self, descriptions: Callable[[], list[str]]) -> None:
        self._descriptions = descriptions
        self._stop: threading.Event | None = None
        self._pause_ratio = FIRST_PAUSE_RATIO

    def switch(self, wanted: bool) -> None:
        """Start the work on a thread of its own, or end it."""
        if wanted and self._stop is None:
            self._stop = threading.Event()
            self._pause_ratio = FIRST_PAUSE_RATIO
            packers = [self._pack_forever] * PACKERS
            for work in (self._rebuild_forever, self._adjust_forever, *packers):
                threading.Thread(
                    target=work, args=(self._stop,), name="rebuild", daemon=True
                ).start()
        elif not wanted and self._stop is not None:
            self._stop.set()
            self._stop = None

    def _rebuild_forever(self, stop: threading.Event) -> None:
        descriptions = self._descriptions()
        while not stop.is_set():
            rebuild_recommendations(descriptions, stop)

    def _pack_forever(self, stop: threading.Event) -> None:
        descriptions = "\n".join(self._descriptions()).encode()
        pause = 0.0
        while not stop.wait(pause):
            started = time.monotonic()
            pack_recommendations(descriptions)
            pause = self._pause_ratio * (time.monotonic() - started)

    def _adjust_forever(self, stop: threading.Event) -> None:
        cpu = OwnCpu()
        while not stop.wait(1.0):
            percent = cpu.percent()
            if percent < WANTED_PERCENT[0]:
                self._pause_ratio = max(self._pause_ratio / 2, SHORTEST_PAUSE_RATIO)
            elif percent > WANTED_PERCENT[1]:
                self._pause_ratio = min(2 * self._pause_ratio, LONGEST_PAUSE_RATIO)


def rebuild_recommendations(descriptions: list[str], stop: threading.Event) -> dict[int, int]:
    """Return for each description the one most like it, by position."""
    words = [set(description.split()) for description in descriptions]
    best: dict[int, tuple[float, int]] = {}
    for left, right in combinations(range(len(words)), 2):
        if stop.is_set():
            break
        alike = jaccard(words[left], words[right])
        best[left] = max(best.get(left, (0.0, right)), (alike, right))
        best[right] = max(best.get(right, (0.0, left)), (alike, left))
    return {position: other for position, (_, other) in best.items()}


def pack_recommendations(descriptions: bytes) -> bytes:
    """Return the descriptions as small as they get."""
    return zlib.compress(descriptions * 4, level=9)


def jaccard(left: set[str], right: set[str]) -> float:
    """Return common words over all words."""
    return len(left & right) / len(left | right)


def return_free_memory() -> None:
    """Ask the C library to give freed memory back to the system: malloc_trim(3) of glibc."""
    if sys.platform != "linux":
        return
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except AttributeError:
        # Another C library than glibc, which gives back large blocks by itself.
        return
