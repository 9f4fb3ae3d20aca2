"""What names of pools, ids of servers and words of operators may be."""

from __future__ import annotations

from math import inf

LONGEST_POOL = 100
LONGEST_SERVER = 200
LONGEST_ADDRESS = 500
"""Bytes in UTF-8."""
LONGEST_REASON = 500
"""Characters; a longer reason is cut."""
MOST_WEIGHT = 256
"""The same as in HAProxy, so that a weight means the same in both."""

STATES = ("ready", "drain", "maint")


def pool_name(pool: object) -> str:
    """Return the name of a pool.

    Raises ValueError that names it when it is empty, long, no text, or has a brace in it: the keys
    of a pool are kept in one Cluster slot by what is between their braces.
    """
    name = _text("pool name", pool, LONGEST_POOL)
    if "{" in name or "}" in name:
        raise ValueError(f"pool name {name!a} must have no brace in it")
    return name


def server_id(server: object) -> str:
    """Return the id of a server; raises ValueError that names it."""
    return _text("server id", server, LONGEST_SERVER)


def server_address(address: object) -> str:
    """Return the address of a server; raises ValueError that names it."""
    return _text("server address", address, LONGEST_ADDRESS)


def valid_weight(weight: object) -> int:
    """Return a weight; 0 takes a server's picks away. Raises ValueError that names it."""
    if not isinstance(weight, int) or isinstance(weight, bool) or not 0 <= weight <= MOST_WEIGHT:
        raise ValueError(f"weight is {weight!a}, it must be a whole number, 0 to 256")
    return weight


def valid_state(state: object) -> str:
    """Return what an operator may decide; raises ValueError that names it."""
    if state not in STATES:
        raise ValueError(f"state is {state!a}, it must be one of {', '.join(STATES)}")
    return str(state)


def short_reason(text: object) -> str:
    """Return an operator's words in one line of 500 characters at most, encodable in UTF-8."""
    line = " ".join(str(text).split())
    return line[:LONGEST_REASON].encode("utf-8", "backslashreplace").decode()


def reading(name: str, value: float | None, most: float = inf) -> float | None:
    """Return a measured number, None for not measured.

    Raises ValueError that names it when it is negative, infinite, not a number, or above `most`.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is {value!a}, it must be a number or None")  # noqa: TRY004
    number = float(value)
    if not 0.0 <= number < inf or number > most:
        raise ValueError(f"{name} is {number!r}, it must be finite and not negative")
    return number


def _text(what: str, value: object, longest: int) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{what} {_short(value)} must be text, a str")  # noqa: TRY004
    if not value:
        raise ValueError(f"{what} '' must not be empty")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{what} {_short(value)} cannot be written in UTF-8") from None
    if size > longest:
        raise ValueError(f"{what} {_short(value)} has {size} bytes, at most {longest} are allowed")
    if not value.isprintable():
        raise ValueError(f"{what} {_short(value)} has characters in it that cannot be printed")
    return value


def _short(value: object) -> str:
    shown = ascii(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
