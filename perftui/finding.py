"""One thing that the doctor has looked at."""

from __future__ import annotations

from typing import Literal

import msgspec

from perftui.snapshot import Absent, State

Verdict = Literal["ok", "note", "problem"]


class Finding(msgspec.Struct, frozen=True):
    """One checked thing: `what` was found, and the exact `fix` where something is to be done."""

    verdict: Verdict
    subject: str
    what: str
    fix: str = ""


def of_absent(verdict: Verdict, subject: str, absent: Absent) -> Finding:
    """Return the finding that something is missing, with the reason and the fix."""
    word = "" if absent.state is State.UNAVAILABLE else f"{absent.state.value}: "
    return Finding(verdict, subject, word + absent.reason, absent.fix)
