"""Whether the stats sockets of HAProxy can be read, and what may be changed through them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from perftui.finding import Finding

if TYPE_CHECKING:
    from perftui.config import Settings


def haproxy_findings(settings: Settings) -> Iterator[Finding]:
    """Yield a finding for every socket of the settings; none where there are none."""
    for address in settings.haproxy.sockets:
        yield _socket(address, max(settings.haproxy.timeout, 2.0))


def _socket(address: str, timeout: float) -> Finding:
    from perftui.pool.haproxy_socket import HaproxyTarget
    from perftui.sources.haproxy.source import HaproxySocket
    from perftui.sources.source import SourceError

    try:
        target = HaproxyTarget.parse(address)
    except ValueError as error:
        return Finding("problem", "haproxy", str(error), "--haproxy /run/haproxy/admin.sock")
    try:
        pools = HaproxySocket(target, timeout).read()
    except SourceError as error:
        return Finding("problem", "haproxy", error.absent.reason, error.absent.fix)
    servers = sum(len(pool.servers) for pool in pools)
    backends = f"{len(pools)} backend{'' if len(pools) == 1 else 's'}"
    what = f"{target.address}: {backends} with {servers} server{'' if servers == 1 else 's'}"
    level = pools[0].level if pools else ""
    if level and level != "admin":
        return Finding(
            "note",
            "haproxy",
            f"{what}, level {level}: servers can be watched, not changed",
            f"in haproxy.cfg: stats socket {target.address} mode 660 level admin",
        )
    return Finding("ok", "haproxy", f"{what}, level {level or 'unknown'}")
