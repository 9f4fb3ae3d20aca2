"""What the dialog that puts deleted keys back shows of its stages, as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perftui import format as show
from perftui.text import fit
from perftui.tui.lines import Line
from perftui.tui.screens.form_screen import wrapped
from perftui.tui.screens.invalidate_lines import Room, keys, sample_lines, silence_lines

if TYPE_CHECKING:
    from perftui.cache.undo import UndoResult
    from perftui.tui.run_slot import RunSlot
    from perftui.tui.undo_jobs import Kept, KeptDeletion

WHEN, COUNT, SIZE, LEFT = 8, 9, show.SIZE_WIDTH, show.DURATION_WIDTH


def row_cells(one: KeptDeletion | None, now: float, room: Room) -> str:
    """Return a row of the list, or its head for None; `now` is Unix time."""
    width = max(8, room.width - (WHEN + COUNT + SIZE + LEFT + 8))
    if one is None:
        pattern, when, count, size, left = "pattern", "deleted", "keys", "size", "left"
    else:
        pattern = room.pattern(one.pattern)
        when, count = show.clock(one.created), f"{one.keys:,}"
        size, left = show.size(one.size), show.duration(round(max(0.0, one.until - now)))
    name = fit(pattern, width, ellipsis=room.glyphs.ellipsis)
    cells = (f"{when:<{WHEN}}", name, f"{count:>{COUNT}}", f"{size:>{SIZE}}", f"{left:>{LEFT}}")
    return "  ".join(cells)


def list_lines(
    found: Kept | None, one: KeptDeletion | None, now: float, problem: str, room: Room
) -> list[Line]:
    """Return what is known of the selected deletion, or why there is none."""
    if found is None:
        return [(("reading the journals of the last 10 minutes", "muted"),)]
    if one is None:
        text = "Nothing to undo: no deletion of the last 10 minutes kept its keys."
        return [
            *(room.sentence(problem, "critical") if problem else []),
            *wrapped(text, room.width, "text"),
            *wrapped("escape leaves", room.width, "muted"),
        ]
    told = [*_origin(one, now, room), *_standing_against(one, room)]
    if problem and problem != one.refused:
        told += room.sentence(problem, "critical")
    goes_on = "" if one.refused else "enter goes on, "
    ending = wrapped(f"up down choose, {goes_on}escape leaves", room.width, "muted")
    rows = room.height - len(told) - len(ending)
    return [*told, *sample_lines(one.samples, one.keys, rows, room), *ending]


def _origin(one: KeptDeletion, now: float, room: Room) -> list[Line]:
    db = f", database {one.db}" if one.db else ""
    until = show.moment(one.until, now)
    return room.sentence(f"Deleted by {one.who} in {one.address}{db}, kept until {until}", "text")


def _standing_against(one: KeptDeletion, room: Room) -> list[Line]:
    lines: list[Line] = []
    if one.truncated:
        text = "The journal was cut off at its end: what was after that cannot come back"
        lines += wrapped(text, room.width, "warning")
    if one.refused:
        lines += room.sentence(f"Cannot be put back: {one.refused}", "warning")
    return lines


def confirm_lines(one: KeptDeletion, now: float, problem: str, room: Room) -> list[Line]:
    """Return what would come back, for the moment before it does."""
    head: list[Line] = [
        (("pattern ", "muted"), (room.pattern(one.pattern), "accent")),
        *_origin(one, now, room),
        *wrapped(
            f"{keys(one.keys)} with value, type and expiry. What was written anew since stays as "
            "it is; what would have expired stays away.",
            room.width,
            "text",
        ),
        *wrapped(
            "The values are those of then: they may be out of date, perhaps why they were deleted.",
            room.width,
            "warning",
        ),
        *_standing_against(one, room),
    ]
    ending = [
        *(room.sentence(problem, "critical") if problem else []),
        *wrapped("escape goes back", room.width, "muted"),
    ]
    rows = room.height - len(head) - len(ending) - 1
    return [*head, (), *sample_lines(one.samples, one.keys, rows, room), *ending]


def running_lines(one: KeptDeletion, latest: RunSlot[int], room: Room) -> list[Line]:
    """Return how many keys are back."""
    restored = latest.newest or 0
    return [
        room.gauge(restored, one.keys),
        (
            (f"{restored:,}", "warning"),
            (" put back", "text"),
            (f" of {keys(one.keys)}", "muted"),
        ),
        *silence_lines(latest.silence),
    ]


def done_lines(result: UndoResult, who: str, room: Room) -> list[Line]:
    """Return what an undo did."""
    if result.cancelled:
        word, style = "cancelled", "warning"
    elif result.complete and not result.error:
        word, style = "complete", "ok"
    else:
        word, style = "stopped early", "critical"
    seconds = show.duration(result.seconds).strip()
    lines: list[Line] = [
        ((word, style), (f": {keys(result.restored)} put back in {seconds}", "text")),
        *(room.sentence(result.error, "critical") if result.error else []),
    ]
    for count, what, style in (
        (result.newer, "written anew since: left as they are", "text"),
        (result.expired, "would have expired meanwhile: left away", "text"),
        (result.denied, "may not be written by this user", "warning"),
        (result.failed, "refused by Redis", "warning"),
        (result.unanswered, "sent and never answered for", "warning"),
    ):
        if count:
            lines += wrapped(f"{keys(count)} {what}", room.width, style)
    if result.truncated:
        text = "The journal was cut off at its end: what was after that is lost"
        lines += wrapped(text, room.width, "warning")
    if not result.complete or result.error or result.denied or result.failed:
        text = "The journal stays: what is missing can still be put back until its time is over"
        lines += wrapped(text, room.width, "text")
    if result.audit_error:
        lines += room.sentence(result.audit_error, "critical")
    else:
        lines += room.sentence(f"Written to the stream perftui:audit as done by {who}.", "muted")
    return lines
