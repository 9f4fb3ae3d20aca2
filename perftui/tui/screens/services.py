"""The picker of services and hosts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from perftui.snapshot import Service, Snapshot
from perftui.tui.actions import ACTIONS, shown_key
from perftui.tui.lines import Line
from perftui.tui.panes.operation_rows import service_key
from perftui.tui.screens.help import ROW_KEYS
from perftui.tui.screens.service_lists import HostsPane, Marks, PlaceRow, ServicesPane, toggle
from perftui.tui.screens.snapshot_screen import SnapshotScreen
from perftui.tui.view import Choice
from perftui.tui.widgets.line_widget import LineWidget
from perftui.tui.widgets.pane_widget import PaneWidget

KEYS = (("space", "mark"), ("enter", "apply"), ("a", "all"), ("tab", "other list"))
ALSO = ("row.filter", "row.sort")
"""Actions of the dashboard that work here too, by the keys they have now."""


class ServicesScreen(SnapshotScreen):
    """Marks services and hosts; nothing is applied before enter."""

    CSS = """
    ServicesScreen { layout: vertical; background: $background; }
    ServicesScreen > PaneWidget { width: 1fr; }
    ServicesScreen > #picker-services { height: 2fr; min-height: 5; }
    ServicesScreen > #picker-hosts { height: 3fr; min-height: 6; }
    ServicesScreen > #picker-keys { width: 1fr; height: 1; }
    ServicesScreen > FilterInput { dock: bottom; }
    """
    # A modal screen does not pass keys on to the app, so the keys for rows are bound here again.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,c,q", "close", show=False),
        Binding("enter", "apply", show=False),
        Binding("space", "mark", show=False),
        Binding("a", "all", show=False),
        Binding("tab,shift+tab,left,right,h,l", "other", show=False),
        Binding("ctrl+c", "app.quit", show=False),
        *(
            Binding(spec.keys, f"app.{spec.call}", show=False, id=spec.id)
            for spec in ACTIONS
            if spec.id in ROW_KEYS | {"row.sort", "row.reverse"}
        ),
    ]

    def __init__(
        self, choice: Choice, remapped: Mapping[str, str], take: Callable[[Choice], None]
    ) -> None:
        super().__init__()
        self._choice = choice
        self._take = take
        also = [spec for spec in ACTIONS if spec.id in ALSO]
        self._shown_keys = (
            *KEYS,
            *((shown_key(spec, remapped), spec.label) for spec in also),
            ("escape", "leave"),
        )
        self.marks = Marks(set(choice.services), set(choice.hosts))
        self._services = PaneWidget(ServicesPane(self.marks))
        self._hosts = PaneWidget(HostsPane(self.marks))
        self._hosts.state = replace(self._hosts.state, tree=True)
        self._keys = LineWidget("picker-keys")

    def compose(self) -> ComposeResult:
        """Yield both lists and the line of keys."""
        yield self._services
        yield self._hosts
        yield self._keys

    def on_mount(self) -> None:
        """Give the keys to the services."""
        self._services.focus()
        self.call_after_refresh(self._draw_keys)

    def on_resize(self) -> None:
        """Draw for the new size; the lists do so themselves."""
        self.call_after_refresh(self._draw_keys)

    def show(self, snapshot: Snapshot) -> None:
        """Draw both lists."""
        self._services.show(snapshot)
        self._hosts.show(snapshot)

    def action_mark(self) -> None:
        """Mark the service or host under the cursor, or take its mark away."""
        pane = self._hosts if self.focused is self._hosts else self._services
        record = pane.selected
        if isinstance(record, Service):
            toggle(self.marks.services, service_key(record))
        elif isinstance(record, PlaceRow):
            toggle(self.marks.hosts, record.host)
        pane.move(1)
        self._redraw()

    def action_all(self) -> None:
        """Take away all marks of a list: everything in it is shown."""
        if self.focused is self._hosts:
            self.marks.hosts.clear()
        else:
            self.marks.services.clear()
        self._redraw()

    def action_other(self) -> None:
        """Give the keys to the other list."""
        (self._services if self.focused is self._hosts else self._hosts).focus()

    def action_apply(self) -> None:
        """Show what is marked."""
        self.dismiss()
        self._take(
            replace(
                self._choice,
                services=frozenset(self.marks.services),
                hosts=tuple(sorted(self.marks.hosts)),
            )
        )

    def action_close(self) -> None:
        """Drop the filter, or leave without a change."""
        pane = self._hosts if self.focused is self._hosts else self._services
        if pane.state.filter:
            pane.set_filter("")
        else:
            self.dismiss()

    def _redraw(self) -> None:
        self._services.redraw()
        self._hosts.redraw()

    def _draw_keys(self) -> None:
        line: Line = tuple(
            span
            for key, label in self._shown_keys
            for span in ((f" {key}", "key"), (f" {label} ", "key-label"))
        )
        self._keys.set_lines([line])
