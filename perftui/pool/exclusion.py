"""Who may be left out of a pool, and how many at once: overload, failures in a row, panic."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple


def most_excluded(servers: int, share: float) -> int:
    """Return how many of the live servers may be left out at once; one always may.

    A share of a small pool rounds down to nobody, which would leave a broken server in it.
    """
    return max(1, int(servers * share + 1e-9))


class Admission(NamedTuple):
    """Who gets requests; `panic`: so few are well that overload is no longer looked at."""

    eligible: tuple[str, ...]
    excluded: frozenset[str]
    panic: bool


def admit(
    live: Collection[str],
    excess: Mapping[str, float],
    ejected: Iterable[str],
    share: float,
    panic_below: float,
) -> Admission:
    """Return who of the live servers gets requests, in their order.

    `excess` names the overloaded and how much they are, `ejected` those that failed, the longest
    out first. Together at most `most_excluded` are left out, failures before overload and the worst
    overload first. When less than the share `panic_below` of the live ones is neither, leaving out
    the overloaded would only push their work on the rest: then all live ones are used, as in the
    panic mode of Envoy, but those that failed stay out. Nobody is refused while anybody is live.
    """
    present = frozenset(live)
    out = [server for server in ejected if server in present]
    over = [server for server in live if server in excess and server not in out]
    bound = most_excluded(len(live), share)
    del out[bound:]
    well = len(live) - len(out) - len(over)
    panic = bool(live) and well < panic_below * len(live)
    if not panic:
        over.sort(key=excess.__getitem__, reverse=True)
        out += over[: bound - len(out)]
    excluded = frozenset(out)
    eligible = tuple(server for server in live if server not in excluded)
    if not eligible:
        return Admission(tuple(live), frozenset(), bool(live))
    return Admission(eligible, excluded, panic)


class _Record:
    __slots__ = ("ejections", "failures", "out_since", "out_until")

    def __init__(self) -> None:
        self.failures = 0
        self.ejections = 0
        self.out_since = 0.0
        self.out_until = 0.0


class OutlierEjection:
    """Takes servers out after failures in a row, each time for longer.

    The rule of Envoy's outlier detection: `failures` consecutive ones eject for `seconds` times the
    number of the server's ejections. Each time it has been back for as long as it was out last, one
    ejection is forgiven. Failures to connect (`certain`) eject at once, since nothing else can have
    been the reason. Times come from the caller.
    """

    def __init__(self, failures: int = 5, seconds: float = 30.0) -> None:
        self._failures = failures
        self._seconds = seconds
        self._records: dict[str, _Record] = {}

    def report(self, server: str, ok: bool, now: float, *, certain: bool = False) -> bool:
        """Count an outcome; return whether it ejects the server."""
        record = self._records.get(server)
        if record is None:
            if ok:
                return False
            record = self._records[server] = _Record()
        if ok:
            record.failures = 0
            return False
        record.failures += 1
        if record.out_until > now or not (certain or record.failures >= self._failures):
            return False
        self._forgive(record, now)
        record.failures = 0
        record.ejections += 1
        record.out_since = now
        record.out_until = now + self._seconds * record.ejections
        return True

    def ejected(self, now: float) -> list[str]:
        """Return who is out, the longest first."""
        out = [
            (record.out_since, server)
            for server, record in self._records.items()
            if record.out_until > now
        ]
        return [server for _, server in sorted(out)]

    def forget(self, server: str) -> None:
        """Think of a server as new; it has been started again."""
        self._records.pop(server, None)

    def keep_only(self, servers: Iterable[str]) -> None:
        """Forget all others."""
        kept = frozenset(servers)
        for server in [known for known in self._records if known not in kept]:
            del self._records[server]

    def _forgive(self, record: _Record, now: float) -> None:
        while record.ejections:
            span = self._seconds * record.ejections
            if now - record.out_until < span:
                return
            record.ejections -= 1
            record.out_until += span
