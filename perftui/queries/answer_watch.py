"""What the rows of one answer share: where they note their reads."""

from __future__ import annotations

from perftui.queries.field_reads import AnswerReads


class Watch:
    """Held by all rows of an answer and by their list: when it goes, all of them are gone."""

    __slots__ = ("__weakref__", "reads")

    def __init__(self, reads: AnswerReads) -> None:
        self.reads = reads
