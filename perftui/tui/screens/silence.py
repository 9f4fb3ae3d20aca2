"""The dialog that silences an alert for a time: how long, how wide, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input

from perftui.format import age, moment
from perftui.snapshot import Alert, Snapshot
from perftui.text import printable
from perftui.tui.glyphs import Glyphs
from perftui.tui.lines import Line, wrap
from perftui.tui.panes.alert_marks import alert_key, name_of, rank, state_mark
from perftui.tui.screens.snapshot_screen import SnapshotScreen
from perftui.tui.screens.time_spans import parse_span
from perftui.tui.widgets.choice_line import ChoiceLine
from perftui.tui.widgets.line_widget import LineWidget

Scope = Literal["alert", "rule", "subject"]
SCOPES: tuple[Scope, ...] = ("alert", "rule", "subject")
SPANS = (("15 min", 900.0), ("1 h", 3600.0), ("4 h", 4 * 3600.0))
TYPED = len(SPANS)
"""Place of the choice whose span is typed."""


@dataclass(frozen=True)
class Wish:
    """What a person wants to be quiet about: seconds, a comment, and how much of it."""

    alert: Alert
    seconds: float
    comment: str
    scope: Scope


class _Part(LineWidget):
    """A part of the dialog, drawn anew when the line for a typed span comes or goes."""

    def __init__(self, name: str, draw: Callable[[], None]) -> None:
        super().__init__(name)
        self._draw_all = draw

    def on_resize(self) -> None:
        """Draw for the new size."""
        self._draw_all()


class SilenceScreen(SnapshotScreen):
    """Asks for span, scope and comment; enter silences, escape leaves without a change."""

    CSS = """
    SilenceScreen { align: center middle; }
    SilenceScreen > Vertical {
        width: 92%; max-width: 96; height: 14; max-height: 100%;
        background: $background; border: round $accent; padding: 0 1;
        border-title-color: $accent;
    }
    SilenceScreen Horizontal { height: 1; }
    SilenceScreen Input { border: none; height: 1; padding: 0; width: 1fr; }
    SilenceScreen Input:focus { border: none; }
    SilenceScreen LineWidget { width: 1fr; height: 1; }
    SilenceScreen Horizontal > LineWidget { width: 9; }
    SilenceScreen #silence-body { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,ctrl+c", "leave", show=False, priority=True),
        Binding("enter", "apply", show=False),
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
    ]

    def __init__(
        self,
        alert: Alert,
        snapshot: Snapshot,
        glyphs: Glyphs,
        wall: Callable[[], float],
        take: Callable[[Wish], None],
    ) -> None:
        super().__init__()
        self._alert = alert
        self._snapshot = snapshot
        self._glyphs = glyphs
        self._wall = wall
        self._take = take
        self._problem = ""
        self._span = ChoiceLine("silence-span", "For      ", [*(s for s, _ in SPANS), "until ..."])
        self._scope = ChoiceLine(
            "silence-scope", "Scope    ", ["this alert", "this rule", "this subject"]
        )
        self._typed = Input(placeholder="2h30m, 1d or 17:30", compact=True, id="silence-typed")
        self._comment = Input(placeholder="why, for who comes next", compact=True,
                              id="silence-comment")  # fmt: skip
        self._label = _Part("silence-comment-label", self._draw)
        self._until_label = _Part("silence-until-label", self._draw)
        self._until = Horizontal(self._until_label, self._typed)
        self._body = _Part("silence-body", self._draw)

    def compose(self) -> ComposeResult:
        """Yield the fields and what they mean."""
        with Vertical() as box:
            name = name_of(self._alert, self._ascii) or printable(self._alert.rule, self._ascii)
            # A string would be taken for markup.
            box.border_title = Text(f"Silence {name}")
            yield self._span
            yield self._until
            yield self._scope
            yield Horizontal(self._label, self._comment)
            yield self._body

    def on_mount(self) -> None:
        """Begin with the span."""
        for field in (self._typed, self._comment):
            field.cursor_blink = False
        self._show_typed()
        self._span.focus()
        self.call_after_refresh(self._draw)

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.call_after_refresh(self._draw)

    def show(self, snapshot: Snapshot) -> None:
        """Draw what would be hidden now."""
        self._snapshot = snapshot
        self._draw()

    def on_choice_line_chosen(self, event: ChoiceLine.Chosen) -> None:
        """Show the line for a typed span only when it is asked for."""
        event.stop()
        self._problem = ""
        self._show_typed()
        self._draw()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show what is typed would mean."""
        event.stop()
        self._problem = ""
        self._draw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take enter in a line for enter anywhere."""
        event.stop()
        self.action_apply()

    def action_leave(self) -> None:
        """Leave without a change."""
        self.dismiss()

    def action_apply(self) -> None:
        """Silence what was chosen."""
        try:
            seconds = self._seconds()
        except ValueError as error:
            self._problem = str(error)
            if self._span.index == TYPED:
                self._typed.focus()
            self._draw()
            return
        self.dismiss()
        self._take(Wish(self._alert, seconds, self._comment.value.strip(), self._chosen_scope))

    def _show_typed(self) -> None:
        self._until.display = self._span.index == TYPED

    @property
    def _ascii(self) -> bool:
        return self._glyphs.chart == "ascii"

    @property
    def _chosen_scope(self) -> Scope:
        return SCOPES[self._scope.index]

    def _seconds(self) -> float:
        if self._span.index < TYPED:
            return SPANS[self._span.index][1]
        return parse_span(self._typed.value, self._wall())

    # What is drawn

    def _draw(self) -> None:
        width = self._body.size.width
        if not width:
            return
        self._span.draw()
        self._scope.draw()
        self._until_label.set_lines([(("Until", "title"),)])
        self._label.set_lines([(("Comment", "title"),)])
        room = max(1, self._body.size.height)
        ending = [*self._end_lines(width), *self._key_lines(width)]
        hidden = self._hidden_lines(max(0, room - len(ending) - 1))
        self._body.set_lines([(), *hidden, *ending])

    def _hidden_lines(self, room: int) -> list[Line]:
        found = hidden_by(self._alert, self._chosen_scope, self._snapshot)
        what = {
            "alert": "this alert alone",
            "rule": f"all alerts of the rule {self._alert.title or self._alert.rule}",
            "subject": f"all alerts of {self._alert.subject}",
        }[self._chosen_scope]
        count = f"{len(found)} now" if found else "none now"
        lines: list[Line] = [
            (("Hides ", "muted"), (printable(what, self._ascii), "text"), (f": {count}", "muted"))
        ]
        shown = found if len(found) < room else found[: max(0, room - 2)]
        for alert in shown:
            mark = state_mark(alert, self._glyphs)
            lines.append(
                (
                    (f"  {mark.shape} {mark.word} ", mark.style),
                    (name_of(alert, self._ascii) or printable(alert.rule, self._ascii), "text"),
                )
            )
        if len(shown) < len(found):
            lines.append(((f"  and {len(found) - len(shown)} more", "muted"),))
        return lines[: max(1, room)]

    def _end_lines(self, width: int) -> list[Line]:
        if self._problem:
            return [((part, "critical"),) for part in wrap(self._problem, width)]
        try:
            seconds = self._seconds()
        except ValueError:
            return []
        now = self._wall()
        until = moment(now + seconds, now)
        return [(("Quiet until ", "muted"), (f"{until}, {age(seconds)}", "accent"))]

    def _key_lines(self, width: int) -> list[Line]:
        text = "left right choose, tab next field, enter silences, escape leaves"
        return [((part, "muted"),) for part in wrap(text, width)]


def hidden_by(alert: Alert, scope: Scope, snapshot: Snapshot) -> list[Alert]:
    """Return the alerts of a snapshot that a silence of that scope would cover, urgent first."""
    covered = [
        other
        for other in snapshot.alerts
        if (scope == "rule" and other.rule == alert.rule)
        or (scope == "subject" and other.subject == alert.subject)
        or alert_key(other) == alert_key(alert)
    ]
    return sorted(covered, key=rank)
