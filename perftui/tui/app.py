"""The Textual application: what keys and the palette do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from perftui.analysis.alerting.rule import Kind
from perftui.config import Settings
from perftui.format import age
from perftui.monitor import Monitor
from perftui.snapshot import Alert, AlertEvent
from perftui.text import printable
from perftui.tui.actions import ACTIONS, ActionSpec, check_keys
from perftui.tui.cache_actions import CacheActions
from perftui.tui.cell_diff import CellDiffDisplay
from perftui.tui.glyphs import Glyphs
from perftui.tui.key_order import KeysInOrder
from perftui.tui.panes.alert_marks import name_of
from perftui.tui.panes.alert_target import find_target
from perftui.tui.profile_actions import ProfileActions
from perftui.tui.server_actions import ServerActions
from perftui.tui.terminal_guard import TerminalGuard
from perftui.tui.theme import ThemeSpec, load_theme, names
from perftui.tui.view import Choice

if TYPE_CHECKING:
    from perftui.demo.stage import DemoStage
    from perftui.tui.screens.silence import Wish


class PerftuiApp(KeysInOrder, CellDiffDisplay, ProfileActions, CacheActions, ServerActions):
    """The dashboard as an application: the display of snapshots, and what keys do."""

    ENABLE_COMMAND_PALETTE = True
    TITLE = "perftui"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(spec.keys, spec.call, spec.help, show=False, id=spec.id) for spec in ACTIONS
    ]

    def __init__(
        self,
        settings: Settings,
        monitor: Monitor,
        glyphs: Glyphs,
        theme: ThemeSpec,
        demo: DemoStage | None = None,
        guard: TerminalGuard | None = None,
    ) -> None:
        check_keys(settings.keys)
        super().__init__(settings, monitor, glyphs, theme, demo, guard)
        self.wall: Callable[[], float] = time.time
        self.cell_diff = settings.screen.cell_diff
        self.set_keymap(dict(settings.keys))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Offer the registry's actions in the palette."""
        for spec in self.actions_here():
            if spec.palette:
                about = f"{spec.group} {self.glyphs.separator} {spec.keys}"
                # Who reads the footer looks for its word, which the sentence need not have.
                known = spec.label in spec.help.lower()
                title = spec.help if known else f"{spec.help} ({spec.label})"
                yield SystemCommand(title, about, self._runner(spec))

    def _runner(self, spec: ActionSpec) -> Callable[[], None]:
        def run() -> None:
            self.call_later(self.run_action, spec.call)

        return run

    def action_zoom(self) -> None:
        """Show the focused pane alone, or all of them again."""
        dashboard = self.dashboard
        if self.screen is not dashboard:
            return
        dashboard.zoomed = None if dashboard.zoomed is not None else dashboard.active
        self.rearranged()

    def action_next_layout(self) -> None:
        """Take the next layout."""
        from perftui.tui.layouts import COMPACT, ORDER, fits

        dashboard = self.dashboard
        dashboard.zoomed = None
        if not fits(*dashboard.area):
            self.say("this terminal is too small for several panes: one at a time", "warning")
            return
        index = ORDER.index(dashboard.chosen_layout) + 1
        dashboard.chosen_layout = ORDER[index % len(ORDER)]
        if dashboard.chosen_layout != COMPACT:
            order = dashboard.visible_panes()
            if dashboard.active not in order:
                dashboard.active = order[0]
        self.say(f"layout: {dashboard.chosen_layout}")
        self.rearranged()
        dashboard.panes[dashboard.active].focus()

    def action_row(self, step: int) -> None:
        """Move the cursor by one row."""
        self.focused_pane.move(step)

    def action_page(self, direction: int) -> None:
        """Move the cursor by one page."""
        self.focused_pane.move_page(direction)

    def action_edge(self, direction: int) -> None:
        """Move the cursor to the first or last row."""
        self.focused_pane.move_to_edge(direction)

    def action_sort(self) -> None:
        """Sort the focused pane by its next column."""
        column = self.focused_pane.sort_next()
        self.say(f"sorted by {column}" if column else "this pane has no columns to sort by")

    def action_reverse(self) -> None:
        """Turn the order of the focused pane round."""
        self.focused_pane.reverse()

    def action_tree(self) -> None:
        """Switch the processes between tree and list."""
        if not self.focused_pane.toggle_tree():
            self.say("only Processes can be shown as a tree: press 8, then T", "warning")

    def action_list_by(self) -> None:
        """List what the focused pane shows by something else."""
        if self.focused_pane.pane.id == "cache":
            self.action_next_cache_view()
        else:
            self.action_profile_by()

    async def action_filter(self) -> None:
        """Open the line in which a filter is typed."""
        from perftui.tui.widgets.filter_input import FilterInput

        pane = self.focused_pane
        if not self.screen.query(FilterInput):
            await self.screen.mount(FilterInput(pane))

    def action_leave(self) -> None:
        """Leave what was entered last: filter, pause, zoom."""
        pane = self.focused_pane
        if pane.state.filter:
            pane.set_filter("")
        elif self.paused:
            self.action_pause()
        elif self.dashboard.zoomed is not None:
            self.action_zoom()

    def action_pause(self) -> None:
        """Hold the picture, or go on with the newest snapshot."""
        self.paused = not self.paused
        latest = self.monitor.mailbox.latest()
        if not self.paused and latest is not None:
            self.show(latest)
        self.show_bars()

    def action_copy(self) -> None:
        """Copy the selected row."""
        text = self.focused_pane.selected_text
        if not text:
            self.say("nothing is selected", "warning")
            return
        self.copy_to_clipboard(text)
        self.say("copied the row to the clipboard")

    def action_next_theme(self) -> None:
        """Take the next theme."""
        if self.theme_spec.colourless:
            self.say("NO_COLOR is set: there are no themes without colours", "warning")
            return
        known = names()
        current = self.theme_spec.name
        index = known.index(current) + 1 if current in known else 0
        self.use_theme(load_theme(known[index % len(known)]))
        self.say(f"theme: {self.theme_spec.name}")
        self.call_after_refresh(self.draw_all)

    def action_redraw(self) -> None:
        """Send the whole screen again."""
        self.redraw_terminal()

    # Awaited like every action, whatever the base class says.
    async def action_command_palette(self) -> None:  # type: ignore[override]
        """Open the palette, in which actions are found by name."""
        from perftui.tui.screens.palette import Palette

        if not Palette.is_open(self):
            await self.push_screen(Palette(id="--command-palette"))

    async def action_choose_services(self) -> None:
        """Choose the services and hosts whose operations are shown."""
        from perftui.tui.screens.services import ServicesScreen

        if not isinstance(self.screen, ServicesScreen):
            await self.push_screen(
                ServicesScreen(self.choice, self.settings.keys, self.take_choice)
            )

    def take_choice(self, choice: Choice) -> None:
        """Show what was chosen."""
        self.choose(choice)
        parts = [
            f"{len(found)} {noun}{'s' if len(found) > 1 else ''}"
            for found, noun in ((choice.services, "service"), (choice.hosts, "host"))
            if found
        ]
        self.say(f"chosen: {', '.join(parts)}" if parts else "chosen: all services and hosts")

    async def action_help(self) -> None:
        """Show all keys."""
        from perftui.tui.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            await self.push_screen(HelpScreen(self.actions_here(), self.settings.keys))

    def action_next_scenario(self) -> None:
        """Let the demo play its next scenario."""
        if self.demo is not None:
            self.demo.next_scenario()
            self.say(f"scenario: {self.demo.scenario}")

    def selected_alert(self) -> Alert | None:
        """The alert that the cursor of Alerts is on, None after saying what to do about it."""
        pane = self.dashboard.panes["alerts"]
        record = pane.selected
        if isinstance(record, Alert) and (pane.has_focus or pane.cursor is not None):
            return record
        past = isinstance(record, AlertEvent)
        self.say("this is over: select an alert" if past else "select an alert in 2 Alerts first",
                 "warning")  # fmt: skip
        return None

    def action_acknowledge(self) -> None:
        """Acknowledge the selected alert, or take that back."""
        alert = self.selected_alert()
        if alert is None or not self.is_own(alert):
            return
        name = name_of(alert, ascii_only=False)
        if not self.monitor.acknowledge(alert.fingerprint):
            self.say(f"it has ended: {name}", "warning")
            return
        self.say(f"{'asks again' if alert.acknowledged_by else 'acknowledged'}: {name}")

    async def action_silence(self) -> None:
        """Ask how long the selected alert shall be silent, or whether its silence shall end."""
        from perftui.tui.screens.end_silence import EndSilenceScreen
        from perftui.tui.screens.silence import SilenceScreen

        alert = self.selected_alert()
        if alert is None or self.snapshot is None or not self.is_own(alert):
            return
        if alert.silenced_until:
            await self.push_screen(
                EndSilenceScreen(alert, self.snapshot, self.glyphs, self.end_silence)
            )
        else:
            await self.push_screen(
                SilenceScreen(alert, self.snapshot, self.glyphs, self.wall, self.begin_silence)
            )

    def is_own(self, alert: Alert) -> bool:
        """Whether an alert is of perftui's own rules; says who else has to be asked."""
        if alert.fingerprint:
            return True
        self.say(f"a rule of {printable(alert.origin)}: silence it there", "warning")
        return False

    def begin_silence(self, wish: Wish) -> None:
        """Silence what was asked for."""
        self.monitor.silence(wish.alert, wish.seconds, wish.comment, wish.scope)
        if self.monitor.silences_problem:
            self.say(f"silenced until perftui ends: {self.monitor.silences_problem}", "warning")
            return
        what = name_of(wish.alert, False) if wish.scope == "alert" else f"this {wish.scope}"
        self.say(f"silenced for {age(wish.seconds)}: {what}")

    def end_silence(self, alert: Alert) -> None:
        """End the silences of an alert."""
        ended = self.monitor.unsilence(alert.fingerprint)
        word = "silence ended" if ended else "no silence any more"
        self.say(f"{word}: {name_of(alert, ascii_only=False)}")

    def action_follow(self) -> None:
        """Go to the pane that explains the selected alert, and to the row that it is about."""
        alert = self.selected_alert()
        if alert is None or self.snapshot is None:
            return
        pane = self.dashboard.panes.get(alert.pane)
        if pane is None or alert.pane == "alerts":
            self.say("no other pane tells more about this alert", "warning")
            return
        self.action_focus_pane(alert.pane)
        if alert.pane == "cache":
            self.look_at_cache(replace(self.cache_view, by="namespaces"))
        target = find_target(alert, self.snapshot)
        fills_up = target is not None or alert.kind == Kind.CAPACITY.value
        if fills_up and pane.pane.table_when_zoomed and self.dashboard.zoomed is None:
            self.action_zoom()
        if target is not None:
            pane.go_to(target)

    async def action_quit(self) -> None:
        """End with success."""
        self.exit(0)
