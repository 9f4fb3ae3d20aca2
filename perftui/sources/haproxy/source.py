"""Servers of load balancers as HAProxy tells of them on its stats socket.

See its management guide, section 9.3, "Unix Socket commands": show info, show cli level, show stat.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from perftui.pool.haproxy_socket import (
    HaproxyDeniedError,
    HaproxyError,
    HaproxyTarget,
    ask,
)
from perftui.snapshot import Pool, State
from perftui.sources.haproxy.counters import CounterHistory
from perftui.sources.haproxy.servers import counters_of, info_of, pools_of
from perftui.sources.haproxy.statistics import StatisticsError, server_lines
from perftui.sources.source import SourceError

if TYPE_CHECKING:
    from perftui.config.settings import Haproxy

COMMANDS: Final = "show info;show cli level;show stat -1 4 -1"
"""In one connection, so that a reload cannot come between them; 4 stands for servers."""

LEVELS: Final = ("user", "operator", "admin")


class HaproxySocket:
    """One stats socket, read again and again."""

    def __init__(self, target: HaproxyTarget, timeout: float) -> None:
        self._target = target
        self._timeout = timeout
        self._history = CounterHistory()

    @property
    def address(self) -> str:
        """Where the socket is."""
        return self._target.address

    def read(self) -> tuple[Pool, ...]:
        """Return the backends; raises SourceError with what is wrong and what helps."""
        where = self._target.address
        try:
            answer = ask(self._target, COMMANDS, self._timeout)
        except HaproxyDeniedError:
            raise SourceError(
                State.DENIED,
                f"this user may not open the HAProxy socket {where}",
                f"add to haproxy.cfg: stats socket {where} mode 660 group <your group> level admin",
            ) from None
        except HaproxyError as error:
            raise SourceError(State.UNAVAILABLE, str(error), self._fix()) from None
        info, level, table = _parts(answer)
        try:
            lines = tuple(server_lines(table))
        except StatisticsError as error:
            raise SourceError(
                State.UNAVAILABLE, f"{where} is no stats socket of HAProxy: {error}", self._fix()
            ) from None
        facts = info_of(info)
        process = (facts.get("Pid"), facts.get("Process_num"), facts.get("Start_time_sec"))
        counters = {(line.text("pxname"), line.text("svname")): counters_of(line) for line in lines}
        self._history.add(time.monotonic(), process, counters)
        return pools_of(lines, self._history, where, level)

    def forget(self) -> None:
        """Let rates not reach back to before now."""
        self._history.forget()

    def _fix(self) -> str:
        path = self._target.path
        if path:
            return f"start haproxy with: stats socket {path} mode 660 level admin"
        port = self._target.port
        return f"start haproxy with: stats socket ipv4@127.0.0.1:{port} level admin"


class HaproxySource:
    """Reads all stats sockets of the settings; those that fail do not hide the others."""

    name = "haproxy"

    def __init__(self, settings: Haproxy) -> None:
        self.interval = settings.interval
        self._sockets = [
            HaproxySocket(HaproxyTarget.parse(address), settings.timeout)
            for address in dict.fromkeys(settings.sockets)
        ]
        self.deadline = max(settings.interval, settings.timeout * len(self._sockets))

    def sample(self) -> tuple[Pool, ...]:
        """Return the backends of every HAProxy; raises SourceError when none can be read."""
        pools: list[Pool] = []
        failures: list[SourceError] = []
        for each in self._sockets:
            try:
                pools += each.read()
            except SourceError as error:
                failures.append(error)
                where = each.address
                # One that cannot be read stays on the screen, with what is wrong with it.
                pools.append(Pool(where, (), "haproxy", eligible=error.absent, endpoint=where))
        if failures and len(failures) == len(self._sockets):
            raise failures[0]
        # One that cannot be read stays on the screen, as a pool that nothing is known of.
        return tuple(pools)

    def rested(self) -> None:
        """Let rates not reach back to before a rest."""
        for each in self._sockets:
            each.forget()

    def close(self) -> None:
        """Do nothing: every reading has a connection of its own."""


def _parts(answer: str) -> tuple[str, str, str]:
    """Return what the three commands said; what is not there is empty."""
    before, mark, table = answer.partition("# pxname,")
    info, _, rest = before.strip("\n").rpartition("\n")
    level = rest.strip()
    if level not in LEVELS:
        info, level = before, ""
    return info, level, f"{mark}{table}"
