"""Narration of `perftui cache` on standard error, and work that an interrupt ends tidily."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from perftui.text import printable

if TYPE_CHECKING:
    from perftui.cache.invalidation import Progress

T = TypeVar("T")

WIDTH = 78


def say(message: str) -> None:
    """Write lines to standard error; what is not printable has to be escaped already, or is."""
    for line in message.splitlines():
        sys.stderr.write(f"{printable(line)}\n")
    sys.stderr.flush()


def cancellable(work: Callable[[], T], cancel: Callable[[], None]) -> T:
    """Return what `work` returns; an interrupt cancels it and waits for what it then says.

    A second interrupt does not wait. Raises what `work` raises.
    """
    results: list[T] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def do() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    threading.Thread(target=do, name="cache", daemon=True).start()
    try:
        done.wait()
    except KeyboardInterrupt:
        cancel()
        done.wait()
    if errors:
        raise errors[0]
    return results[0]


class ProgressLine:
    """One line on a terminal that is written over; on anything else nothing is written."""

    def __init__(self) -> None:
        self._shown = False
        self._live = sys.stderr.isatty()

    def invalidation(self, progress: Progress) -> None:
        """Show how far a deletion is."""
        speed = progress.deleted / progress.seconds if progress.seconds > 0 else 0.0
        waits = "" if progress.p99 is None else f", others wait {progress.p99 * 1000:.1f} ms"
        slower = ", going slower" if progress.slowed else ""
        self._show(
            f"{_share(progress.scanned, progress.total)} deleted {progress.deleted:,}, "
            f"{speed:,.0f}/s{waits}{slower}"
        )

    def dry_run(self, scanned: int, total: int, matched: int) -> None:
        """Show how far the count is."""
        self._show(f"{_share(scanned, total)} counted {matched:,}")

    def prefixes(self, sampled: int, wanted: int) -> None:
        """Show how far the sampling is."""
        self._show(f"{_share(sampled, wanted)} sampled {sampled:,}")

    def undo(self, keys: int) -> Callable[[int], None]:
        """Return a function that shows how many of so many keys are back."""
        return lambda restored: self._show(f"{_share(restored, keys)} restored {restored:,}")

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def _show(self, text: str) -> None:
        if self._live:
            self._shown = True
            sys.stderr.write(f"\r\x1b[K{text[:WIDTH]}")
            sys.stderr.flush()


@contextlib.contextmanager
def show_progress() -> Iterator[ProgressLine]:
    """Give a progress line that is gone at the end."""
    line = ProgressLine()
    try:
        yield line
    finally:
        line.clear()


def _share(done: int, total: int) -> str:
    return f"{min(100.0, 100 * done / total):3.0f} %" if total else "  0 %"
