"""From HAProxy's line about a server to a server of a pool."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from perftui.snapshot import Absent, Maybe, Pool, PoolServer, State
from perftui.snapshot.pool import NOT_TOLD
from perftui.sources.haproxy.counters import SHORT, SPAN, CounterHistory, Counters
from perftui.sources.haproxy.statistics import ServerLine

NO_USAGE: Final = Absent(
    State.NOT_COLLECTED,
    "HAProxy does not know the load of its servers",
    "run perftui agent-check, or a ServerAgent, on the server",
)
NO_QUANTILE: Final = Absent(State.NOT_COLLECTED, "HAProxy tells the mean of response times only")
NO_RATE: Final = Absent(State.NOT_COLLECTED, "rates need two readings")
NO_REQUESTS: Final = Absent(State.NOT_COLLECTED, "no requests in the last seconds")
NO_RESPONSE: Final = Absent(State.NOT_COLLECTED, "no request was answered yet")

_STATES: Final = {
    "UP": "ready",
    "OPEN": "ready",
    "no": "ready",
    "DRAIN": "drain",
    "MAINT": "maint",
    "DOWN": "down",
    "NOLB": "down",
    "STOPPED": "down",
}
"""By the first word of the status; what is behind it, such as 1/3 or (via a/b), is detail."""


def counters_of(line: ServerLine) -> Counters:
    """Return the counters of a server; without a count of requests, that of its sessions."""
    requests = line.number("req_tot")
    sessions = line.number("stot") or 0
    errors = sum(line.number(name) or 0 for name in ("hrsp_5xx", "econ", "eresp"))
    return Counters(requests or sessions, line.number("lbtot") or 0, errors)


def pools_of(
    lines: Sequence[ServerLine], history: CounterHistory, endpoint: str, level: str
) -> tuple[Pool, ...]:
    """Return the backends that have servers, in HAProxy's own order."""
    backends: dict[str, list[ServerLine]] = {}
    for line in lines:
        backends.setdefault(line.text("pxname"), []).append(line)
    return tuple(
        _pool(name, servers, history, endpoint, level) for name, servers in backends.items()
    )


def _pool(
    name: str, lines: Sequence[ServerLine], history: CounterHistory, endpoint: str, level: str
) -> Pool:
    weights = [(line.number("weight") or 0) if _picked(line) else 0 for line in lines]
    whole = sum(weights)
    picks = [history.grown((name, line.text("svname")), SPAN) for line in lines]
    all_picks = sum(grown.picks for each in picks if each is not None for grown in each[1:])
    rates = [history.grown((name, line.text("svname")), 0.0) for line in lines]
    servers = tuple(
        _server(
            line,
            history.grown((name, line.text("svname")), SHORT),
            _share(pick[1].picks if pick is not None else None, all_picks),
            100 * weight / whole if whole else 0.0,
            rate,
        )
        for line, pick, weight, rate in zip(lines, picks, weights, rates, strict=True)
    )
    known = [rate for rate in rates if rate is not None]
    return Pool(
        name=name,
        servers=servers,
        origin="haproxy",
        eligible=sum(map(_picked, lines)),
        picks_per_second=sum(grown.picks / span for span, grown in known) if known else NO_RATE,
        endpoint=endpoint,
        level=level,
    )


def _share(picks: int | None, whole: int) -> Maybe[float]:
    if picks is None:
        return NO_RATE
    return 100 * picks / whole if whole else NO_REQUESTS


def _picked(line: ServerLine) -> bool:
    return _state(line)[0] == "ready" and bool(line.number("weight"))


def _state(line: ServerLine) -> tuple[str, str]:
    """Return the state in our words, and all that HAProxy says beyond it."""
    status = line.text("status")
    first, _, rest = status.partition(" ")
    state = _STATES.get(first, "down")
    known = first in _STATES and first != "no"
    return state, rest if known else status


def _server(
    line: ServerLine,
    recent: tuple[float, Counters] | None,
    share: Maybe[float],
    expected: float,
    rate: tuple[float, Counters] | None,
) -> PoolServer:
    state, detail = _state(line)
    number: Callable[[str], int | None] = line.number
    details = [detail] if detail else []
    throttle = number("throttle")
    if throttle is not None and throttle < 100:
        details.append(f"slow start: {throttle} % of its weight")
    weight = number("weight") or 0
    response = number("rtime")
    answered = (number("stot") or 0) > 0
    return PoolServer(
        id=line.text("svname"),
        address=line.text("addr"),
        state=state,
        reason=_reason(line, state, weight),
        weight=weight,
        weight_set=_told(number("uweight")),
        cpu_usage=NO_USAGE,
        memory_usage=NO_USAGE,
        requests_per_second=NO_RATE if rate is None else rate[1].requests / rate[0],
        in_flight=_told(number("scur")),
        queue=_told(number("qcur")),
        picks=_told(number("lbtot")),
        last_seen=0.0,
        overloaded=False,
        response_mean=response / 1000 if response is not None and answered else NO_RESPONSE,
        response_p95=NO_QUANTILE,
        error_percent=_errors(recent),
        since=_seconds(number("lastchg")),
        detail=", ".join(details),
        last_check=_last_check(line),
        checks_failed=_told(number("chkfail")),
        checks_down=_told(number("chkdown")),
        eligible=_picked(line),
        decided=state if state in ("drain", "maint") and "(agent)" not in detail else "",
        picks_per_second=NO_RATE if rate is None else rate[1].picks / rate[0],
        picks_percent=share,
        picks_expected_percent=expected,
    )


def _errors(recent: tuple[float, Counters] | None) -> Maybe[float]:
    if recent is None:
        return NO_RATE
    grown = recent[1]
    # A connection that failed is no request yet, so there may be more errors than requests.
    asked = max(grown.requests, grown.errors)
    return 100 * grown.errors / asked if asked else NO_REQUESTS


def _reason(line: ServerLine, state: str, weight: int) -> str:
    """Return why a server is not picked: what its agent or its check said last."""
    if state == "ready":
        return "" if weight else "weight 0"
    if "agent" in line.text("status") and line.text("last_agt"):
        return line.text("last_agt")
    if state == "down":
        return _last_check(line) or line.text("status")
    return line.text("status").partition(" ")[2]


def _last_check(line: ServerLine) -> str:
    """Return result and answer of the last check; a check that runs has `* ` in front of it."""
    parts = (line.text("check_status").removeprefix("* "), line.text("last_chk"))
    check = " ".join(part for part in parts if part)
    agent = line.text("last_agt")
    return f"{check}; agent: {agent}" if agent and check else agent or check


def _told(value: int | None) -> Maybe[int]:
    return NOT_TOLD if value is None else value


def _seconds(value: int | None) -> Maybe[float]:
    return NOT_TOLD if value is None else float(value)


def info_of(text: str) -> Mapping[str, str]:
    """Return the values of `show info` by name."""
    pairs = (line.partition(": ") for line in text.splitlines())
    return {name: value.strip() for name, colon, value in pairs if colon}
