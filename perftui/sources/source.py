"""What every source of readings offers, and how it says that it has none."""

from __future__ import annotations

from typing import Protocol, TypeVar, runtime_checkable

from perftui.snapshot import Absent, Selection, State

Reading_co = TypeVar("Reading_co", covariant=True)


class SourceError(Exception):
    """A source has no reading, with the reason and the fix the pane shall show."""

    def __init__(self, state: State, reason: str, fix: str = "") -> None:
        super().__init__(reason)
        self.absent = Absent(state, reason, fix)


class Source(Protocol[Reading_co]):
    """One source of readings, driven by one thread of its own.

    `interval` is the time between two samples in seconds, 0 when `sample` paces itself;
    `deadline` is how long one sample may take before it counts as late.
    """

    @property
    def name(self) -> str: ...

    @property
    def interval(self) -> float: ...

    @property
    def deadline(self) -> float: ...

    def sample(self) -> Reading_co:
        """Return one reading; blocking is allowed, heavy imports belong in the first call.

        Raises SourceError when there is nothing to read; any other exception is a defect, which
        the monitor reports as unavailable.
        """
        ...

    def close(self) -> None:
        """Release what `sample` holds; may come from another thread while a sample runs."""
        ...


@runtime_checkable
class RestingSource(Protocol):
    """A source whose rates must not reach back to before a rest."""

    def rested(self) -> None:
        """Forget the past; comes from the thread that samples, before the next sample."""
        ...


@runtime_checkable
class SelectingSource(Protocol):
    """A source that reads more about what a person looks at."""

    def select(self, selection: Selection) -> None:
        """Take what is looked at from now on; may come from another thread while a sample runs."""
        ...
