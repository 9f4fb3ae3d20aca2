"""The identity of an alert, the same after every restart and on every machine."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import blake2b


def fingerprint(rule: str, subject: str, labels: Iterable[tuple[str, str]] = ()) -> str:
    """Return 16 hexadecimal digits that belong to one rule, subject and set of labels.

    The order of the labels does not matter.
    """
    # JSON tells where each text ends, and writes texts that are not valid Unicode as well.
    identity = json.dumps([rule, subject, sorted(labels)])
    return blake2b(identity.encode("ascii"), digest_size=8).hexdigest()
