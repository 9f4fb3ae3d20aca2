"""What an invalidation tells while it runs and at its end."""

from __future__ import annotations

import msgspec


class Progress(msgspec.Struct, frozen=True):
    """How far a run is; `scanned` of about `total` keys, both approximate, `page` keys at once.

    `p99` is what another client waits in seconds, None when it is not known; `slowed` is how often
    the run went slower because of it.
    """

    scanned: int
    total: int
    matched: int
    deleted: int
    denied: int
    protected: int
    seconds: float
    page: int
    p99: float | None = None
    slowed: int = 0


class Kept(msgspec.Struct, frozen=True):
    """What can be put back: `keys` in the journal `id` of `size` bytes, `not_kept` for its limits.

    `too_large` are keys above 1 MB, which are never kept.
    """

    id: str
    path: str
    keys: int
    size: int
    not_kept: int
    too_large: int


class InvalidationResult(msgspec.Struct, frozen=True):
    """What a run did.

    `deleted` is what the server confirmed; `denied` are keys this user may not delete, `protected`
    keys of perftui itself, `unanswered` keys in a batch that was sent but never answered.
    `complete`: the whole keyspace was seen. `error` and `audit_error` are empty when all is well.
    `told` are the processes whose memory tiers got the pattern message; `p99` and `slowed` as in
    Progress; `lookups` is how many hits the run itself caused; `notes` are for people.
    """

    pattern: bytes
    matched: int
    deleted: int
    denied: int
    protected: int
    unanswered: int
    seconds: float
    complete: bool
    cancelled: bool
    error: str
    audit_error: str = ""
    told: int = 0
    p99: float | None = None
    slowed: int = 0
    lookups: int = 0
    kept: Kept | None = None
    notes: tuple[str, ...] = ()
