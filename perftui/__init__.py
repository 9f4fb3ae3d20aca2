"""perftui: why is this Python service slow now?

The names a service imports are resolved on first use, so that importing one of them loads nothing
that belongs to another, and never the screen.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perftui.analysis.bottlenecks import PerformanceAnalyzer as PerformanceAnalyzer

_HOMES = {"PerformanceAnalyzer": "perftui.analysis.bottlenecks"}

__all__ = ["PerformanceAnalyzer"]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'perftui' has no attribute {name!r}")
    return vars(import_module(home))[name]


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
