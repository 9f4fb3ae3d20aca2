"""What a rule is: a value per subject, the levels it is compared with, and for how long."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from perftui.snapshot import Snapshot


class Kind(enum.Enum):
    """What a rule watches, after the USE method (Gregg) and symptoms in the words of SRE."""

    SYMPTOM = "symptom"
    SATURATION = "saturation"
    UTILISATION = "utilisation"
    ERROR = "error"
    CAPACITY = "capacity"
    RANKING = "ranking"
    """How subjects of one kind compare with each other: no trouble, and the cause of none."""
    SELF = "self"


class Reading(NamedTuple):
    """The value of one subject at one tick; `n` is how many calls it is made of.

    `baseline` is what the value is usually, where the rule compares with that. `window` is over
    how many seconds the source has averaged already. `group` gathers subjects, such as a host.
    Where the value is a ratio, `measured` is what it was made of and `usual` what that usually is,
    both in the unit that the rule names in `measured_in`.
    """

    subject: str
    value: float
    n: int | None = None
    baseline: float | None = None
    window: float = 0.0
    group: str = ""
    measured: float | None = None
    usual: float | None = None


@dataclass(frozen=True)
class Levels:
    """Enter above `warn` or `crit`, leave below the level that clears it; None is never.

    With `above` False the comparison is the other way round. With `informs`, what is beyond `warn`
    is information instead of a warning.
    """

    warn: float | None = None
    warn_clear: float | None = None
    crit: float | None = None
    crit_clear: float | None = None
    above: bool = True
    informs: bool = False


@dataclass(frozen=True)
class Rule:
    """One rule of the catalogue or of the configuration.

    `measure` gives the readings of a snapshot: one per subject that exists, whether healthy or
    not. A subject that is missing while all `sources` are well has gone, and its alert ends; while
    one of them has no reading, the alert is kept as NODATA. Values are averaged over `smoothing`
    seconds first, then compared; the level must be passed for `hold` seconds to fire and be left
    for `keep` seconds to end. Readings with fewer than `least` calls say nothing. `message` and
    `hint` get the reading, smoothed, and the level it is compared with. With YES_NO for a unit the
    value is 1 for yes and 0 for no.
    """

    id: str
    name: str
    title: str
    kind: Kind
    unit: str
    levels: Levels
    measure: Callable[[Snapshot], Iterable[Reading]]
    message: Callable[[Reading, float], str]
    hint: Callable[[Reading], str]
    sources: frozenset[str]
    pane: str
    smoothing: float = 0.0
    hold: float = 0.0
    keep: float = 60.0
    least: int = 0
    inhibited_by: frozenset[str] = frozenset()
    evidence: Callable[[Snapshot, Reading], tuple[str, ...]] = lambda snapshot, reading: ()
    enabled: bool = True
    measured_in: str = ""
