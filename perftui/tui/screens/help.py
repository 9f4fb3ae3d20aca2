"""The list of all keys: searchable, and always what is bound now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from perftui.snapshot import Snapshot
from perftui.tui.actions import ACTIONS, ActionSpec, shown_keys
from perftui.tui.lines import Line
from perftui.tui.panes.pane import Pane
from perftui.tui.table import Column, Table
from perftui.tui.view import View
from perftui.tui.widgets.pane_widget import PaneWidget

ROW_KEYS = frozenset(
    {"row.down", "row.up", "row.page_down", "row.page_up", "row.first", "row.last", "row.filter"}
)


class KeysPane(Pane):
    """One row for each action."""

    id = "keys"
    number = ""
    title = "Keys"

    def __init__(self, actions: Sequence[ActionSpec], remapped: Mapping[str, str]) -> None:
        self._actions = actions
        self._remapped = remapped

    def heading(self, snapshot: Snapshot, view: View) -> Line:
        return (("/ searches, escape closes", "muted"),)

    def table(self, snapshot: Snapshot, view: View) -> Table[Any]:
        remapped = self._remapped
        return Table(
            columns=(
                Column("group", "", 6, lambda a: (a.group, "muted"), None, "left"),
                Column("keys", "keys", 13, lambda a: (shown_keys(a, remapped), "key"),
                       None, "left"),
                Column("help", "what it does", 20, self._help(view), None, "left", flex=True),
                Column("id", "name for [keys]", 22, lambda a: (a.id, "muted"), None, "left",
                       spare=1),
            ),
            records=self._actions,
            key=lambda action: action.id,
            text=lambda action: f"{action.group} {action.help} {action.id} {action.keys}",
        )  # fmt: skip

    def _help(self, view: View) -> Any:
        allowed = view.actions_allowed

        def cell(action: ActionSpec) -> tuple[str, str]:
            if action.changes and not allowed:
                return (f"{action.help} (needs --allow-actions)", "muted")
            return (action.help, "text")

        return cell


class HelpScreen(ModalScreen[None]):
    """All keys in a pane of its own."""

    CSS = """
    HelpScreen { align: center middle; background: $background; }
    HelpScreen > PaneWidget { width: 100%; height: 1fr; max-width: 110; }
    HelpScreen > FilterInput { dock: bottom; }
    """
    # A modal screen does not pass keys on to the app, so the keys for rows are bound here again.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,f1,q", "close", show=False),
        Binding("ctrl+c", "app.quit", show=False),
        *(
            Binding(spec.keys, f"app.{spec.call}", show=False, id=spec.id)
            for spec in ACTIONS
            if spec.id in ROW_KEYS
        ),
    ]

    def __init__(self, actions: Sequence[ActionSpec], remapped: Mapping[str, str]) -> None:
        super().__init__()
        self._pane = PaneWidget(KeysPane(actions, remapped))

    def compose(self) -> ComposeResult:
        """Yield the pane."""
        yield self._pane

    def on_mount(self) -> None:
        """Give the keys to the list."""
        self._pane.focus()

    def action_close(self) -> None:
        """Drop the search, or close."""
        if self._pane.state.filter:
            self._pane.set_filter("")
        else:
            self.dismiss()
