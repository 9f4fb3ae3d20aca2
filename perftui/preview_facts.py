"""What is known of a value besides its content, in words."""

from __future__ import annotations

from perftui.cache.preview import Preview
from perftui.format import age, moment, size


def value_facts(found: Preview) -> list[str]:
    """Return type, formats, encoding and sizes, as far as they are known."""
    form = found.form if found.form != found.type else ""
    facts = [found.type or "type not known", form, found.encoding]
    if found.length is not None:
        facts.append(f"{found.length:,} {found.unit}")
    if found.size is not None:
        facts.append(f"{size(found.size).strip()} of memory")
    return [fact for fact in facts if fact]


def life_facts(found: Preview, now: float) -> list[str]:
    """Return when a value ends and since when it was not used; `now` is the Unix time."""
    facts = ["never expires" if found.ttl is None else f"expires in {age(found.ttl)}"]
    if found.expiry:
        left = found.expiry - now
        ends = f"ends in {age(left)}" if left > 0 else f"ended at {moment(found.expiry, now)}"
        facts.append(f"its header says it {ends}")
    if found.idle is not None:
        facts.append(f"idle {age(found.idle)}")
    return facts


def cut_note(found: Preview) -> str:
    """Return how much of a value is shown, empty when it is all of it."""
    if not found.cut or not found.lines:
        return ""
    length = found.length or 0
    if found.shown >= length:
        return "what is left is not shown"
    return f"{found.shown:,} of {length:,} {found.unit} were read"
