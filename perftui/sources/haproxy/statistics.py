"""The table that `show stat` prints: one line for each proxy and server, columns by name."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import NamedTuple

WANTED = (
    "pxname", "svname", "type", "status", "addr", "scur", "qcur", "stot", "rate", "lbtot",
    "weight", "uweight", "econ", "eresp", "hrsp_5xx", "rtime", "lastchg", "lastsess", "chkfail",
    "chkdown", "throttle", "check_status", "last_chk", "last_agt", "req_tot",
)  # fmt: skip
NEEDED = ("pxname", "svname", "type", "status")
SERVER = "2"


class StatisticsError(ValueError):
    """The answer is no table of statistics."""


class ServerLine(NamedTuple):
    """One server; numbers are None where HAProxy leaves the column empty or has none."""

    texts: dict[str, str]

    def text(self, name: str) -> str:
        """Return the text of a column, empty where there is none."""
        return self.texts.get(name, "")

    def number(self, name: str) -> int | None:
        """Return the number of a column, None where there is none."""
        text = self.texts.get(name, "")
        digits = text[1:] if text.startswith("-") else text
        # An integer beyond 64 bits is none of HAProxy's, and costs much to read.
        return int(text) if digits.isascii() and digits.isdecimal() and len(text) < 21 else None


def server_lines(answer: str) -> Iterator[ServerLine]:
    """Yield the servers; columns are found by name, since every version adds some.

    Raises StatisticsError when the header is not one of `show stat`. Lines that are cut off are
    passed over.
    """
    if not answer.startswith("# "):
        raise StatisticsError("the answer to show stat has no header")
    rows = csv.reader(answer[2:].split("\n"))
    try:
        header = next(rows)
        places = [(name, header.index(name)) for name in WANTED if name in header]
        if any(name not in header for name in NEEDED):
            raise StatisticsError("the header of show stat lacks the columns of names and status")
        kind = header.index("type")
        last = max(place for _, place in places)
        for row in rows:
            if len(row) > last and row[kind] == SERVER:
                yield ServerLine({name: row[place] for name, place in places})
    except csv.Error as error:
        raise StatisticsError(f"the answer to show stat is not CSV: {error}") from None
