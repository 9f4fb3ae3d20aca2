"""Which group of keys a key is counted under, and how many groups there may be."""

from __future__ import annotations

from perftui.metrics.registration import LOCK

MOST_NAMESPACES = 200
"""Namespaces that are counted apart; all further ones are counted as `_other`."""
LONGEST_NAME = 100
"""Bytes a namespace's name may have."""
OTHER = "_other"
UNNAMED = "_none"
"""The namespace of keys without a name and a separator at their begin."""
OTHER_NUMBER = 0
UNNAMED_NUMBER = 1


class NamespaceTable:
    """Numbers for namespaces: what comes before the first separator, the prefix left out.

    With prefix `shop:` the key `shop:user:42` belongs to `user`, and `shop:42` to `_none`. Numbers
    are small, begin at 0, which is `_other`, and never change their meaning; safe between threads.
    Raises ValueError for an empty separator.
    """

    def __init__(
        self, prefix: bytes = b"", separator: bytes = b":", limit: int = MOST_NAMESPACES
    ) -> None:
        if not separator:
            raise ValueError("the separator of namespaces is empty; use separator=b':'")
        self._prefix = prefix
        self._separator = separator
        self._longest = LONGEST_NAME + len(separator)
        self._limit = limit
        self._names = [OTHER, UNNAMED]
        self._numbers = {name.encode(): number for number, name in enumerate(self._names)}

    def number(self, key: bytes) -> int:
        """Return the namespace of a key."""
        start = len(self._prefix) if key.startswith(self._prefix) else 0
        end = key.find(self._separator, start, start + self._longest)
        if end <= start:
            return UNNAMED_NUMBER
        name = key[start:end]
        found = self._numbers.get(name)
        return self._admit(name) if found is None else found

    def name(self, number: int) -> str:
        """Return the name of a namespace as a label: text that can be printed, whatever the key."""
        return self._names[number]

    def names(self) -> tuple[str, ...]:
        """Return the names of all namespaces so far, each in the place of its number."""
        return tuple(self._names)

    def _admit(self, name: bytes) -> int:
        with LOCK:
            found = self._numbers.get(name)
            if found is not None:
                return found
            # The two names that are always there do not count.
            if len(self._names) - 2 >= self._limit:
                return OTHER_NUMBER
            self._names.append(_label(name))
            self._numbers[name] = len(self._names) - 1
            return self._numbers[name]


def _label(name: bytes) -> str:
    """Return text for a name that no other name has."""
    text = name.decode("utf-8", "backslashreplace")
    if text.isprintable() and "\\" not in text:
        return text
    # A backslash is doubled, so that bytes and their escape do not become the same label.
    return ascii(name)[2:-1]
