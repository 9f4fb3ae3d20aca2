"""Django's routes as a person would write them: regular expressions become templates."""

from __future__ import annotations

from functools import lru_cache

_ANCHORS = frozenset("AZzbB")


@lru_cache(maxsize=1_024)
def readable(route: str) -> str:
    r"""Return a route of Django's ResolverMatch with a leading slash.

    What `path()` made stays as it is, "/users/<int:id>/". Of a regular expression,
    `^users/(?P<pk>[^/.]+)/$` for example, groups become "<pk>", or "<...>" without a name, and
    anchors, escapes and quantifiers of groups and slashes go: "/users/<pk>/".
    """
    text = route
    if "(" in route or "^" in route or "$" in route or "\\" in route:
        text = _simplified(route)
    return "/" + text.lstrip("/")


def _simplified(pattern: str) -> str:
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        if character == "\\":
            escaped = pattern[at + 1 : at + 2]
            if escaped not in _ANCHORS:
                parts.append(escaped if not escaped.isalnum() else "\\" + escaped)
            at += 2
        elif character == "(":
            end = _group_end(pattern, at)
            parts.append(_group(pattern[at + 1 : end - 1]))
            at = _past_quantifier(pattern, end)
        elif character in "^$":
            at += 1
        elif character == "[":
            end = _class_end(pattern, at)
            parts.append(pattern[at:end])
            at = end
        else:
            parts.append(character)
            at += 1
            if character == "/" and pattern[at : at + 1] in ("?", "+", "*"):
                at += 1
    return "".join(parts)


def _group(inside: str) -> str:
    if inside.startswith("?P<"):
        return f"<{inside[3:].partition('>')[0]}>"
    if inside.startswith("?:"):
        return _simplified(inside[2:])
    if inside.startswith("?"):
        # Looking ahead or behind, or flags: nothing of the path.
        return ""
    return "<...>"


def _group_end(pattern: str, start: int) -> int:
    """Return the place after the bracket that closes the group at `start`."""
    depth = 0
    at = start
    while at < len(pattern):
        character = pattern[at]
        if character == "\\":
            at += 2
            continue
        if character == "[":
            at = _class_end(pattern, at)
            continue
        depth += (character == "(") - (character == ")")
        at += 1
        if depth == 0:
            return at
    return len(pattern) + 1


def _class_end(pattern: str, start: int) -> int:
    """Return the place after the character class at `start`; a first "]" belongs to it."""
    at = start + 1
    if pattern[at : at + 1] == "^":
        at += 1
    if pattern[at : at + 1] == "]":
        at += 1
    while at < len(pattern) and pattern[at] != "]":
        at += 2 if pattern[at] == "\\" else 1
    return at + 1


def _past_quantifier(pattern: str, at: int) -> int:
    if pattern[at : at + 1] in ("?", "*", "+"):
        return at + 1
    if pattern[at : at + 1] == "{":
        end = pattern.find("}", at)
        return at if end < 0 else end + 1
    return at
