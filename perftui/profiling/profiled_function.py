"""Functions between a capture's begin and its end; here by themselves, as their calls count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from perftui.profiling.cprofile_tally import hide

T = TypeVar("T")


def profiled_function(
    function: Callable[..., Any], join: Callable[[], T], leave: Callable[[T], None]
) -> Callable[..., Any]:
    """Return a function that joins a capture, calls the other one, and leaves."""

    def call(*args: Any, **kwargs: Any) -> Any:
        joined = join()
        try:
            return function(*args, **kwargs)
        finally:
            leave(joined)

    return call


def profiled_coroutine(
    function: Callable[..., Any], join: Callable[[], T], leave: Callable[[T], None]
) -> Callable[..., Any]:
    """Return a coroutine function that joins a capture, awaits the other one, and leaves."""

    async def call(*args: Any, **kwargs: Any) -> Any:
        joined = join()
        try:
            return await function(*args, **kwargs)
        finally:
            leave(joined)

    return call


hide(profiled_function.__code__.co_filename, calls=False)
