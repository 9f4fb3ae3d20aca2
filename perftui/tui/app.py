"""The Textual application: shows the newest snapshot and turns keys into actions."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import msgspec
from rich.style import Style
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.filter import LineFilter
from textual.screen import Screen

from perftui.config import Settings
from perftui.monitor import Monitor
from perftui.snapshot import Process, Snapshot
from perftui.text import printable
from perftui.tui.actions import ACTIONS, ActionSpec, available, check_keys
from perftui.tui.cell_diff import CellDiffDisplay, writer_backlog
from perftui.tui.dashboard_screen import DashboardScreen
from perftui.tui.glyph_filter import glyph_filter
from perftui.tui.glyphs import Glyphs
from perftui.tui.key_order import KeysInOrder
from perftui.tui.lines import Line
from perftui.tui.panes import make_panes
from perftui.tui.panes.bars import (
    Notice,
    compact_alerts,
    footer_line,
    gauges_line,
    header_line,
    tabs_line,
)
from perftui.tui.terminal_guard import TerminalGuard
from perftui.tui.theme import ThemeSpec, load_theme, names, rich_styles, textual_theme
from perftui.tui.widgets.pane_widget import PaneWidget

if TYPE_CHECKING:
    from perftui.demo.stage import DemoStage

NOTICE_SECONDS = 6.0
SETTLED = 3.0
"""Seconds after which the sources have imported what they need and sampled a few times."""


class PerftuiApp(KeysInOrder, CellDiffDisplay, App[int]):
    """Pulls snapshots from the monitor; no source is ever asked from here."""

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
        super().__init__(ansi_color=True if theme.colourless else None)
        self.animation_level = "none"
        self.settings = settings
        self.monitor = monitor
        self.history = monitor.history
        self.glyphs = glyphs
        self.demo = demo
        self.guard = guard
        self.sampling_interval = settings.monitor.interval
        self.actions_allowed = settings.actions.allow
        self.cell_diff = settings.screen.cell_diff
        self.snapshot: Snapshot | None = None
        self.paused = False
        self.line_styles: Mapping[str, Style] = {}
        self.styles_version = 0
        self.line_ellipsis = glyphs.ellipsis
        self._theme_spec = theme
        self._notice: Notice | None = None
        self._glyph_filter = glyph_filter(glyphs)
        self._rung = False
        self._show_loop: asyncio.AbstractEventLoop | None = None
        self._show_context: contextvars.Context | None = None
        self._use_theme(theme)
        self.set_keymap(dict(settings.keys))

    # Start and end

    def get_default_screen(self) -> DashboardScreen:
        """Return the dashboard."""
        layout = self.settings.screen.layout
        return DashboardScreen(make_panes(), "overview" if layout == "auto" else layout)

    @property
    def dashboard(self) -> DashboardScreen:
        """The main screen, also while a dialog lies on it."""
        screen = self.screen_stack[0]
        assert isinstance(screen, DashboardScreen)
        return screen

    def on_mount(self) -> None:
        """Paint the empty frame, then start sampling."""
        if self.guard is not None:
            self.guard.attach(self)
        self._show_loop = asyncio.get_running_loop()
        self._show_context = contextvars.copy_context()
        self.snapshot = Snapshot(0, time.time(), time.monotonic())
        self.dashboard.rearrange()
        self.dashboard.panes[self.dashboard.active].focus()
        self.call_after_refresh(self.start_monitor)

    def start_monitor(self) -> None:
        """Start the monitor and have each of its snapshots shown."""
        self.monitor.mailbox.on_delivery(self._ring)
        self._tell_demand()
        self.monitor.start()
        self.set_timer(SETTLED, self._settle_memory)

    def _settle_memory(self) -> None:
        """Begin to collect garbage, now that start-up is over and all sources are imported.

        What lives until the end is left out of every later collection.
        """
        gc.collect()
        gc.freeze()
        gc.enable()

    def on_unmount(self) -> None:
        """Stop listening; the launcher stops the monitor when the terminal is restored."""
        self.monitor.mailbox.on_delivery(None)

    def on_dashboard_screen_occupied(self) -> None:
        """Fill panes and bars of the new size, and ask for what is seen now."""
        self._tell_demand()
        self._draw_all()

    # Snapshots

    def _ring(self) -> None:
        """Wake the event loop once for however many snapshots; runs on the monitor's thread."""
        loop = self._show_loop
        if self._rung or loop is None:
            return
        self._rung = True
        try:
            loop.call_soon_threadsafe(self._answer, context=self._show_context)
        except RuntimeError:
            self.monitor.mailbox.on_delivery(None)

    def _answer(self) -> None:
        self._rung = False
        snapshot = self.monitor.mailbox.latest()
        # A terminal that does not drain would block this loop after a few more writes.
        if snapshot is None or writer_backlog(self) > 1:
            return
        self.show(snapshot)

    def show(self, snapshot: Snapshot) -> None:
        """Show a snapshot, unless the view is paused."""
        self._follow_profile_target(snapshot)
        if self.paused:
            if self.snapshot is not None:
                held = replace_monitor(self.snapshot, snapshot)
                self._show_footer(held)
            return
        self.snapshot = snapshot
        if self.dashboard.set_alert_lines(len(snapshot.alerts)):
            self.call_after_refresh(self._draw_all)
        panes = self.dashboard.panes
        for name in self.dashboard.visible_panes():
            panes[name].show(snapshot)
        self._show_bars()

    def _show_bars(self) -> None:
        snapshot = self.snapshot
        if snapshot is None:
            return
        dashboard, glyphs, width = self.dashboard, self.glyphs, self.dashboard.area.width
        paused_at = snapshot.time if self.paused else None
        dashboard.header_bar.set_lines(
            [header_line(snapshot, width, glyphs, paused_at, self._demo_line())]
        )
        if dashboard.compact and dashboard.zoomed is None:
            dashboard.gauges_bar.set_lines([gauges_line(snapshot, width, glyphs)])
            dashboard.alerts_bar.set_lines(compact_alerts(snapshot, width, glyphs))
            panes = [widget.pane for widget in dashboard.panes.values()]
            dashboard.tabs_bar.set_lines([tabs_line(panes, dashboard.active, snapshot, width)])
        self._show_footer(snapshot)

    def _show_footer(self, snapshot: Snapshot) -> None:
        if self._notice is not None and time.monotonic() > self._notice.until:
            self._notice = None
        width = self.dashboard.area.width
        actions = [spec for spec in self.actions_here() if not spec.changes or self.actions_allowed]
        line = footer_line(actions, self.settings.keys, snapshot, width, self.glyphs, self._notice)
        self.dashboard.footer_bar.set_lines([line])

    def _demo_line(self) -> Line:
        if self.demo is None:
            return ()
        from perftui.tui.demo_line import demo_line

        return demo_line(self.demo, self.glyphs)

    def _follow_profile_target(self, snapshot: Snapshot) -> None:
        """In the demo, profile a worker as soon as there is one."""
        if self.demo is not None and self.monitor.profiled is None:
            pid = self.demo.first_worker_pid()
            if pid is not None:
                self.monitor.profile(pid)

    def _tell_demand(self) -> None:
        needs: set[str] = set()
        for name in self.dashboard.visible_panes():
            needs |= self.dashboard.panes[name].pane.needs
        self.monitor.demand(frozenset(needs))

    # Styles

    def _use_theme(self, spec: ThemeSpec) -> None:
        self._theme_spec = spec
        self.line_styles = rich_styles(spec)
        self.styles_version += 1
        self.register_theme(textual_theme(spec))
        self.theme = spec.name

    def say(self, text: str, style: str = "accent") -> None:
        """Tell the person something in the footer for a few seconds."""
        self._notice = Notice(text, style, time.monotonic() + NOTICE_SECONDS)
        if self.snapshot is not None:
            self._show_footer(self.snapshot)

    def actions_here(self) -> list[ActionSpec]:
        """Return the actions of this session."""
        return available(self.demo is not None)

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

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Return what every line goes through before it reaches the terminal."""
        filters = super().get_line_filters()
        return filters if self._glyph_filter is None else [*filters, self._glyph_filter]

    # Actions

    @property
    def focused_pane(self) -> PaneWidget:
        """The pane that has the focus, or had it last."""
        focused = self.screen.focused
        if isinstance(focused, PaneWidget):
            return focused
        return self.dashboard.panes[self.dashboard.active]

    def action_focus_pane(self, name: str) -> None:
        """Give a pane the focus; in a zoom or a small terminal it takes the place."""
        dashboard = self.dashboard
        if name not in dashboard.panes or self.screen is not dashboard:
            return
        seen = dashboard.visible_panes()
        dashboard.active = name
        if dashboard.zoomed is not None:
            dashboard.zoomed = name
        if name not in dashboard.visible_panes():
            dashboard.chosen_layout = "overview"
        if dashboard.visible_panes() != seen:
            self._rearranged()
        dashboard.panes[name].focus()

    def action_focus_step(self, step: int) -> None:
        """Give the next or previous pane the focus."""
        order = self.dashboard.focus_order()
        active = self.dashboard.active
        index = order.index(active) if active in order else 0
        self.action_focus_pane(order[(index + step) % len(order)])

    def on_pane_widget_focused(self, message: PaneWidget.Focused) -> None:
        """Remember the pane that was focused by a click."""
        if message.pane in self.dashboard.panes:
            self.dashboard.active = message.pane
            self._show_bars()

    def action_zoom(self) -> None:
        """Show the focused pane alone, or all of them again."""
        dashboard = self.dashboard
        if self.screen is not dashboard:
            return
        dashboard.zoomed = None if dashboard.zoomed is not None else dashboard.active
        self._rearranged()

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
        self._rearranged()
        dashboard.panes[dashboard.active].focus()

    def _rearranged(self) -> None:
        self.dashboard.rearrange()
        self._tell_demand()
        self.monitor.refresh()
        self.call_after_refresh(self._draw_all)

    def _draw_all(self) -> None:
        if self.snapshot is None:
            return
        for name in self.dashboard.visible_panes():
            widget = self.dashboard.panes[name]
            widget.forget_lines()
            widget.show(self.snapshot)
        self._show_bars()

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
        self._show_bars()

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
        if self._theme_spec.colourless:
            self.say("NO_COLOR is set: there are no themes without colours", "warning")
            return
        known = names()
        current = self._theme_spec.name
        index = known.index(current) + 1 if current in known else 0
        self._use_theme(load_theme(known[index % len(known)]))
        self.say(f"theme: {self._theme_spec.name}")
        self.call_after_refresh(self._draw_all)

    def action_redraw(self) -> None:
        """Send the whole screen again."""
        self.redraw_terminal()

    # Awaited like every action, whatever the base class says.
    async def action_command_palette(self) -> None:  # type: ignore[override]
        """Open the palette, in which actions are found by name."""
        from perftui.tui.screens.palette import Palette

        if not Palette.is_open(self):
            await self.push_screen(Palette(id="--command-palette"))

    async def action_help(self) -> None:
        """Show all keys."""
        from perftui.tui.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            await self.push_screen(HelpScreen(self.actions_here(), self.settings.keys))

    def action_profile(self) -> None:
        """Profile the process selected in Processes."""
        pane = self.dashboard.panes["processes"]
        process = pane.selected
        if not isinstance(process, Process):
            self.say("select a Python process in 8 Processes first", "warning")
            return
        if not process.python:
            name = printable(process.name)
            self.say(f"{name} ({process.pid}) is not a Python process", "warning")
            return
        self.monitor.profile(process.pid)
        self.say(f"profiling {process.pid} {printable(process.name)}")
        if "top_calls" not in self.dashboard.visible_panes():
            self.action_focus_pane("top_calls")

    def action_profile_stop(self) -> None:
        """Stop profiling."""
        self.monitor.profile(None)
        self.say("profiling stopped")

    def action_next_scenario(self) -> None:
        """Let the demo play its next scenario."""
        if self.demo is not None:
            self.demo.next_scenario()
            self.say(f"scenario: {self.demo.scenario}")

    async def action_invalidate(self) -> None:
        """Open the dialog that deletes keys by pattern."""
        if not self.settings.redis.url:
            self.say("no Redis is configured: start with --redis URL", "warning")
            return
        if not self.actions_allowed:
            self.say("read-only: start with --allow-actions to invalidate", "warning")
            return
        from perftui.tui.invalidation_jobs import InvalidationJobs
        from perftui.tui.screens.invalidate import InvalidateScreen

        if not isinstance(self.screen, InvalidateScreen):
            jobs = InvalidationJobs(self.settings.redis.url)
            await self.push_screen(InvalidateScreen(jobs, self.glyphs))

    async def action_quit(self) -> None:
        """End with success."""
        self.exit(0)


def replace_monitor(held: Snapshot, newest: Snapshot) -> Snapshot:
    """Return the held snapshot with the monitor's cost of now."""
    return msgspec.structs.replace(held, monitor=newest.monitor)
