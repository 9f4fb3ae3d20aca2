"""The keys of perftui itself, which a pattern deletes only when it asks for them."""

from __future__ import annotations

OWN_PREFIX = b"perftui:"


def is_protected(key: bytes, pattern: bytes) -> bool:
    """Tell whether a key holds reports, pools or the audit and the pattern does not name them.

    Only a pattern that literally begins with `perftui:` does; `*` and `*:audit` do not.
    """
    return key.startswith(OWN_PREFIX) and not pattern.startswith(OWN_PREFIX)
