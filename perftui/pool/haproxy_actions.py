"""What an operator may change in a running HAProxy: state and weight of its servers."""

from __future__ import annotations

import re

from perftui.pool.haproxy_socket import HaproxyRefusedError, HaproxyTarget, ask
from perftui.pool.names import valid_state

MOST_WEIGHT = 256
LEVELS = ("user", "operator", "admin")
_NAME = re.compile(r"[A-Za-z0-9_.:-]+\Z")
"""What HAProxy itself allows in names; anything else could end the command and begin another."""
_RELATIVE = re.compile(r"[0-9]{1,5}%\Z")


class HaproxyActions:
    """Sets state and weight of servers by backend and name, one connection for each command.

    Only sockets of level admin may; HaproxyRefusedError has HAProxy's own words, HaproxyError says
    that it could not be asked, ValueError that a name, state or weight cannot be. What an agent
    check has set stays set: only the agent can undo it.
    """

    def __init__(self, target: HaproxyTarget, timeout: float = 2.0) -> None:
        self._target = target
        self._timeout = timeout

    def level(self) -> str:
        """Return the level of the socket: user, operator or admin."""
        answer = ask(self._target, "show cli level", self._timeout).strip()
        if answer not in LEVELS:
            raise HaproxyRefusedError(answer)
        return answer

    def set_state(self, backend: str, server: str, state: str) -> None:
        """Set ready, drain or maint."""
        self._change(f"set server {_named(backend, server)} state {valid_state(state)}")

    def set_weight(self, backend: str, server: str, weight: int | str) -> None:
        """Set a weight of 0 to 256, or a share of the configured one such as `50%`."""
        self._change(f"set server {_named(backend, server)} weight {_weight(weight)}")

    def _change(self, command: str) -> None:
        # There is no code of success: a blank answer is one, every other text is the error.
        answer = ask(self._target, command, self._timeout).strip()
        if answer:
            raise HaproxyRefusedError(answer)


def consequence(states: dict[str, str], servers: tuple[str, ...], state: str) -> str:
    """Return in words what a change of state leaves of a backend; `states` are by server."""
    after = {**states, **{server: state for server in servers if server in states}}
    before = sum(each == "ready" for each in states.values())
    ready = sum(each == "ready" for each in after.values())
    if state == "ready":
        return f"ready unless a check says otherwise: {ready} of {len(after)} servers, now {before}"
    none = ": no server is left to take requests" if not ready else ""
    return f"leaves {ready} of {len(after)} servers ready, now {before}{none}"


def _named(backend: str, server: str) -> str:
    for what, name in (("backend", backend), ("server", server)):
        if not _NAME.match(name):
            raise ValueError(f"{name!a} cannot be the name of a {what} in HAProxy")
    return f"{backend}/{server}"


def _weight(weight: int | str) -> str:
    if isinstance(weight, str):
        if _RELATIVE.match(weight):
            return weight
    elif not isinstance(weight, bool) and 0 <= weight <= MOST_WEIGHT:
        return str(weight)
    raise ValueError(f"weight is {weight!a}, it must be 0 to 256, or a share such as '50%'")
