"""Whether it may be said of a field that nobody reads it: the most dangerous advice of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from perftui.queries.evidence import ClientUse
from perftui.queries.query import Query
from perftui.queries.rules.rule import LEAST_ANSWERS
from perftui.queries.suggestion import Subject

MOST_BULK: Final = 0.05
"""Share of answers that were taken at once, above which single reads prove nothing."""

_ALWAYS_PINNED: Final = frozenset(
    {"id", "_id", "uuid", "pk", "key", "cursor", "next", "prev", "previous", "etag", "href"}
)
_LINKS: Final = ("links", "_links", "link", "self", "url", "type", "__typename", "version")


class Field(NamedTuple):
    """A field over all clients: answers that carried it while reads were tracked, and reads."""

    path: str
    returned: int
    tracked: int
    read: int
    bytes: float


class FieldReads(NamedTuple):
    """What is known of the reads of a shape; `blocked` says why nothing may be advised."""

    fields: tuple[Field, ...]
    answers: int
    blocked: str = ""

    @property
    def share(self) -> dict[str, float]:
        """Each field's share of the bytes of all fields; empty where sizes are not known."""
        whole = sum(field.bytes for field in self.fields)
        return {field.path: field.bytes / whole for field in self.fields} if whole else {}


def field_reads(subject: Subject) -> FieldReads:
    """Return what is known of reads of the queries of a subject's shape.

    Blocked unless every client of the shape is tracked: at least 100 answers of each, over the
    subject's window; less than one in twenty was taken at once, none by code that hides what it
    reads, and none was left wholly unread (that is what hidden reads look like).
    """
    shape = subject.shape
    if shape is None:
        return FieldReads((), 0, "no answers were observed")
    fields = _fields(shape.clients)
    answers = sum(client.reads.tracked for client in shape.clients)
    for client in shape.clients:
        if blocked := _blocked(client, subject.window):
            name = client.client or "an unnamed client"
            return FieldReads(fields, answers, f"{name}: {blocked}")
    if not shape.clients:
        return FieldReads(fields, answers, "no client is known")
    return FieldReads(fields, answers)


def _blocked(client: ClientUse, window: float) -> str:
    reads = client.reads
    watched = reads.tracked + reads.bulk + reads.opaque
    if reads.opaque:
        return f"{reads.opaque} of {watched} answers went to code whose reads cannot be seen"
    if reads.untouched:
        return f"of {reads.untouched} of {watched} answers no read was seen at all"
    if not watched:
        return "what it reads is not tracked"
    if reads.tracked < LEAST_ANSWERS:
        return f"{reads.tracked} tracked answers; {LEAST_ANSWERS} are needed"
    if reads.bulk >= MOST_BULK * watched:
        return f"{reads.bulk} of {watched} answers were taken as a whole"
    span = 0.0 if reads.first is None or reads.last is None else reads.last - reads.first
    if span < window:
        return f"tracked over {_days(span)}; {_days(window)} are wanted"
    return ""


def _fields(clients: Sequence[ClientUse]) -> tuple[Field, ...]:
    sums: dict[str, list[float]] = {}
    for client in clients:
        for field in client.fields:
            cell = sums.setdefault(field.path, [0, 0, 0, 0, 0])
            for place, value in enumerate(
                (field.returned, field.tracked, field.read, field.bytes, field.sized)
            ):
                cell[place] += value
    return tuple(
        Field(path, int(cell[0]), int(cell[1]), int(cell[2]), cell[3] / cell[4] if cell[4] else 0.0)
        for path, cell in sorted(sums.items())
    )


def pinned(path: str, query: Query, subject: Subject) -> bool:
    """Whether a field must stay whatever is read: ids, links, cursors, sort keys, tie-breakers."""
    facts = subject.facts
    last = path.rpartition(".")[2].lower()
    if last in _ALWAYS_PINNED or last in _LINKS or last.endswith(("_id", "_cursor", "_url")):
        return True
    if path in facts.pinned or path in facts.unique:
        return True
    return any(key.field == path for key in query.sort)


def upper_bound(answers: int) -> float:
    """Return the greatest share of uses that no read in so many answers leaves likely (95 %).

    The rule of three: J. A. Hanley, A. Lippman-Hand, "If nothing goes wrong, is everything all
    right?", JAMA 249 (1983).
    """
    return min(1.0, 3 / answers) if answers else 1.0


def _days(seconds: float) -> str:
    if seconds >= 86_400:
        return f"{seconds / 86_400:.3g} days"
    return f"{seconds / 3_600:.2g} hours" if seconds >= 3_600 else f"{seconds:.0f} s"
