"""Picks the lines of a page of metrics that matter, before anything looks at them closely."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable

LONG_LINE = 4096
"""Bytes of a line from which on its label values are shortened."""
# Possessive, and from a quote that opens a value only: a line of megabytes without a closing quote
# is looked at once, not from every quote in it, and nothing of it is kept to be tried again.
LONG_VALUE = re.compile(rb'(?<=[={,\s])"((?:[^"\\]|\\.){500})((?:[^"\\]++|\\.)++)"', re.DOTALL)
LONGEST_LINE = 16_384
"""Bytes of a line with shortened values; the time the official parser takes grows with their
square."""
MOST_LINES = 1_000_000
"""Lines of a page; each takes some forty bytes of memory beside what stands in it."""


class LineFilter:
    """Keeps samples by name, and the TYPE lines of families, in the order of the page.

    Both formats write one sample a line and escape line feeds in values, so that a line never
    has to be understood to be dropped. HELP and UNIT lines are dropped too.
    """

    def __init__(self, samples: Iterable[str], families: Iterable[str]) -> None:
        names = {name.encode() for name in samples}
        # Blanks may stand between name and brace.
        self._names = frozenset(
            names | {name + b" " for name in names} | {name + b"\t" for name in names}
        )
        self._families = frozenset(name.encode() for name in families)

    def kept(self, body: bytes) -> list[bytes]:
        """Return the lines that matter, without line feeds and blanks around them.

        Raises ValueError, with a clause, for a page that nobody could read in a reasonable time.
        """
        names = self._names
        if body.count(b"\n") > MOST_LINES:
            raise ValueError(f"has more than {MOST_LINES:,} lines")
        if b"\n " in body or b"\n\t" in body or body[:1] in (b" ", b"\t"):
            body = re.sub(rb"^[ \t]+", b"", body, flags=re.MULTILINE)
        kept = []
        for line in body.split(b"\n"):
            name, brace, _ = line.partition(b"{")
            if brace:
                # A name may also stand in quotes behind the brace, which is looked at later, and
                # a brace without labels before it begins an exemplar.
                if name in names or not name or (b" " in name and _first_word(name) in names):
                    kept.append(_shortened(line) if len(line) > LONG_LINE else line)
            elif line[:1] == b"#":
                if line.startswith(b"# TYPE ") and self._is_wanted(line):
                    kept.append(line.rstrip())
            elif _first_word(line) in names:
                kept.append(_shortened(line) if len(line) > LONG_LINE else line)
        return kept

    def _is_wanted(self, line: bytes) -> bool:
        words = line.split(None, 3)
        return len(words) == 4 and words[2] in self._families


def _first_word(line: bytes) -> bytes:
    words = line.split(None, 1)
    return words[0] if words else b""


def _shortened(line: bytes) -> bytes:
    """Return a line whose long label values are cut but still differ where they differed.

    The official parser looks at every character several times, some of them at all before it.
    Raises ValueError, with a clause, for one that is too long all the same.
    """
    short = LONG_VALUE.sub(lambda found: b'"%s...%08x"' % (found[1], zlib.crc32(found[2])), line)
    if len(short) > LONGEST_LINE:
        name = short[:60].partition(b"{")[0].decode("utf-8", "backslashreplace")
        raise ValueError(f"has a line of {len(line):,} bytes, which begins with {name}")
    return short
