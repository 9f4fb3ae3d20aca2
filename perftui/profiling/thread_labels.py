"""Names threads so that no two of a profile are called the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from perftui.snapshot import ProfiledThread


def thread_labels(threads: Sequence[ProfiledThread]) -> tuple[str, ...]:
    """Return a label for each thread: its name, with ids where the name alone is not enough."""
    several = len({thread.pid for thread in threads}) > 1
    plain = [_label(thread, several) for thread in threads]
    counts = Counter(plain)
    labels: list[str] = []
    taken: Counter[str] = Counter()
    for thread, label in zip(threads, plain, strict=True):
        if counts[label] > 1 and thread.name:
            label = f"{label} {thread.tid}"
        taken[label] += 1
        # Ids may be unknown, and thus equal, for threads that have ended.
        labels.append(label if taken[label] == 1 else f"{label} #{taken[label]}")
    return tuple(labels)


def _label(thread: ProfiledThread, several: bool) -> str:
    name = thread.name or f"thread {thread.tid}"
    return f"{thread.pid} {name}" if several else name
