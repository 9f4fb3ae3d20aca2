"""Work that runs beside the screen: one thread, one slot for its state, a way to cancel."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Job(Generic[T]):
    """Runs a function on a daemon thread; the screen polls `result` and `error`."""

    def __init__(self, work: Callable[[], T], cancel: Callable[[], None] = lambda: None) -> None:
        self._work = work
        self._cancel = cancel
        self._result: T | None = None
        self._error = ""
        self._done = threading.Event()
        threading.Thread(target=self._run, name="job", daemon=True).start()

    def _run(self) -> None:
        try:
            self._result = self._work()
        except Exception as error:
            self._error = str(error) or type(error).__name__
        finally:
            self._done.set()

    @property
    def done(self) -> bool:
        """Whether the work has ended, well or not."""
        return self._done.is_set()

    @property
    def result(self) -> T | None:
        """What the work returned, None while it runs or when it failed."""
        return self._result

    @property
    def error(self) -> str:
        """Why the work failed, empty while it runs or when it went well."""
        return self._error

    def cancel(self) -> None:
        """Ask the work to end soon."""
        self._cancel()

    def wait(self, seconds: float) -> bool:
        """Wait for the end; False when it has not come after `seconds`."""
        return self._done.wait(seconds)
