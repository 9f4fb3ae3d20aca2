"""Changes to servers of HAProxy, and the record of who made them."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Final

from perftui.pool_changes import OWN_WEIGHT, Change, Outcome

MOST_BYTES: Final = 1_000_000
"""Size at which the record is put aside as `.1` and begun anew."""


def change_haproxy(change: Change, timeout: float) -> tuple[Outcome, ...]:
    """Ask HAProxy for each server and return its answers, refusals in its own words."""
    from perftui.pool.haproxy_actions import HaproxyActions
    from perftui.pool.haproxy_socket import HaproxyError, HaproxyRefusedError, HaproxyTarget

    try:
        actions = HaproxyActions(HaproxyTarget.parse(change.endpoint), timeout)
    except ValueError as error:
        return tuple(Outcome(server, False, "", str(error)) for server in change.servers)
    outcomes: list[Outcome] = []
    gone = ""
    for server in change.servers:
        if gone:
            # It cannot be asked: waiting for it again for every server helps nobody.
            outcomes.append(Outcome(server, False, "", gone))
            continue
        answer, ok = "", True
        try:
            if change.state is not None:
                actions.set_state(change.pool, server, change.state)
            if change.weights is not None and server in change.weights:
                weight = change.weights[server]
                actions.set_weight(change.pool, server, "100%" if weight == OWN_WEIGHT else weight)
        except HaproxyRefusedError as error:
            answer, ok = str(error), False
        except HaproxyError as error:
            gone = answer = str(error)
            ok = False
        except ValueError as error:
            answer, ok = str(error), False
        outcomes.append(Outcome(server, ok, "", answer))
    record(change, outcomes)
    return tuple(outcomes)


def record_file() -> Path:
    """Return where changes to HAProxy are recorded (XDG base directories, state)."""
    home = os.environ.get("XDG_STATE_HOME", "")
    base = Path(home) if home.startswith("/") else Path.home() / ".local" / "state"
    return base / "perftui" / "haproxy-changes.jsonl"


def record(change: Change, outcomes: list[Outcome]) -> None:
    """Write down who changed what and what HAProxy said; without a place for it, do nothing.

    HAProxy itself keeps no record of who used its socket.
    """
    entry = {
        "time": time.time(),
        "by": change.by,
        "socket": change.endpoint,
        "backend": change.pool,
        "state": change.state,
        "weights": None if change.weights is None else dict(change.weights),
        "reason": change.reason,
        "servers": [[each.server, each.ok, each.answer] for each in outcomes],
    }
    line = json.dumps(entry, ensure_ascii=True) + "\n"
    with contextlib.suppress(OSError, RuntimeError):
        path = record_file()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > MOST_BYTES:
            path.replace(path.with_suffix(".jsonl.1"))
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(line)
