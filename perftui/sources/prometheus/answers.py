"""Answers of the HTTP API of Prometheus, decoded.

Formats: https://prometheus.io/docs/prometheus/latest/querying/api/. Fields that are not used are
skipped while decoding, which is most of the bytes of targets and rules.
"""

from __future__ import annotations

import datetime
import functools
import math
import re
from typing import TypeVar

import msgspec

T = TypeVar("T")


class Sample(msgspec.Struct, frozen=True, gc=False):
    """One series of an instant vector; `value` is Unix time and a number written as text.

    It has no value where the series is a native histogram.
    """

    metric: dict[str, str]
    value: tuple[float, str] | None = None


class Vector(msgspec.Struct, frozen=True, rename="camel"):
    """The data of an instant query."""

    result_type: str
    result: list[Sample]


class Scraped(msgspec.Struct, frozen=True, rename="camel"):
    """One target, as far as it is needed: its labels and the interval it is scraped at."""

    labels: dict[str, str]
    scrape_interval: str = ""


class Targets(msgspec.Struct, frozen=True, rename="camel"):
    """The data of /api/v1/targets."""

    active_targets: list[Scraped] = []


class RuleAlert(msgspec.Struct, frozen=True, rename="camel"):
    """One alert of a rule; `state` is pending or firing, `value` a number as text."""

    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    state: str = ""
    active_at: str | None = None
    value: str = ""


class Rule(msgspec.Struct, frozen=True, rename="camel"):
    """One rule; `health` is ok, unknown or err."""

    name: str = ""
    type: str = ""
    health: str = ""
    last_error: str = ""
    alerts: list[RuleAlert] | None = None


class RuleGroup(msgspec.Struct, frozen=True):
    """One group of rules."""

    rules: list[Rule] | None = None


class Rules(msgspec.Struct, frozen=True):
    """The data of /api/v1/rules."""

    groups: list[RuleGroup] | None = None


class BuildInfo(msgspec.Struct, frozen=True):
    """The data of /api/v1/status/buildinfo; Mimir and others add the name of the application."""

    version: str = ""
    application: str = ""


class Failure(msgspec.Struct, frozen=True, rename="camel"):
    """An answer that is an error."""

    status: str = ""
    error_type: str = ""
    error: str = ""


class _Envelope(msgspec.Struct, frozen=True):
    status: str
    data: msgspec.Raw = msgspec.Raw(b"null")
    warnings: list[str] | None = None
    infos: list[str] | None = None


class _VectorEnvelope(msgspec.Struct, frozen=True, rename="camel"):
    status: str
    data: Vector
    warnings: list[str] | None = None
    infos: list[str] | None = None
    is_partial: bool = False


_VECTOR = msgspec.json.Decoder(_VectorEnvelope)
_ENVELOPE = msgspec.json.Decoder(_Envelope)
_FAILURE = msgspec.json.Decoder(Failure)


def decode_vector(body: bytes) -> tuple[list[Sample], list[str]]:
    """Return the series of an instant query and the server's warnings.

    Raises ValueError for anything that is not a successful answer with a vector.
    """
    answer = _VECTOR.decode(body)
    if answer.status != "success" or answer.data.result_type != "vector":
        raise ValueError(f"a vector was expected, not {answer.data.result_type}")
    # VictoriaMetrics says in a field of its own that some of its storage did not answer.
    partial = ["the answer is partial"] if answer.is_partial else []
    return answer.data.result, [*(answer.warnings or ()), *(answer.infos or ()), *partial]


def decode_data(body: bytes, kind: type[T]) -> tuple[T, list[str]]:
    """Return the data of any other successful answer and the server's warnings.

    Raises ValueError where the answer is not of this kind.
    """
    answer = _ENVELOPE.decode(body)
    if answer.status != "success":
        raise ValueError("success was expected")
    data = msgspec.json.decode(answer.data, type=kind)
    return data, [*(answer.warnings or ()), *(answer.infos or ())]


def decode_failure(body: bytes) -> Failure | None:
    """Return the error that the server wrote as JSON, None where it is something else."""
    try:
        failure = _FAILURE.decode(body)
    except (ValueError, UnicodeDecodeError):
        return None
    return failure if failure.status == "error" else None


LARGEST = 1e100
"""Beyond it a value has been made up, and sums would not be numbers any more."""


def number_of(sample: Sample) -> float | None:
    """Return the value of a series; None where it is no number.

    NaN is how PromQL says that there is none, and infinite is what is divided by zero.
    """
    if sample.value is None:
        return None
    try:
        value = float(sample.value[1])
    except ValueError:
        return None
    return value if abs(value) <= LARGEST else None


@functools.lru_cache(maxsize=4096)
def bound_of(le: str) -> float:
    """Return the upper bound of a bucket; ValueError for what is none.

    Compared as numbers, since servers write the same bound as 1, 1.0 and 1e+00.
    """
    bound = float(le)
    if not bound > -math.inf:
        raise ValueError(f"{le} is no bound")
    return bound


def unix_time(text: str) -> float | None:
    """Return the Unix time of an RFC 3339 time; None where it is not one."""
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return moment.timestamp()


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536e3}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhdwy]))+")
_STEP = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdwy])")


def seconds_of(duration: str) -> float | None:
    """Return the seconds of a duration such as `1m30s`; None where it is not one, or is zero."""
    if _DURATION.fullmatch(duration) is None:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _STEP.findall(duration)) or None
