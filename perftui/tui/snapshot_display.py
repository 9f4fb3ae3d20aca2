"""Shows the newest snapshot: pulls it from the monitor, draws panes and bars, keeps the styles."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
from rich.style import Style
from textual.app import App
from textual.filter import LineFilter

from perftui.config import Settings
from perftui.monitor import Monitor
from perftui.profiling.comparison import Change
from perftui.profiling.request import default_request
from perftui.snapshot import Absent, Call, Selection, Snapshot
from perftui.sources.catalogue import configured
from perftui.tui.actions import ActionSpec, available, is_shown_with, shown_key_of
from perftui.tui.alarm import Alarm
from perftui.tui.cache_view import CacheView
from perftui.tui.cell_diff import writer_backlog
from perftui.tui.dashboard_screen import DashboardScreen
from perftui.tui.glyph_filter import glyph_filter
from perftui.tui.glyphs import Glyphs
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
from perftui.tui.profile_view import ProfileView, shown_calls
from perftui.tui.screens.snapshot_screen import SnapshotScreen
from perftui.tui.server_marks import ServerMarks
from perftui.tui.source_texts import SourceTexts
from perftui.tui.terminal_guard import TerminalGuard
from perftui.tui.theme import ThemeSpec, rich_styles, textual_theme
from perftui.tui.view import WINDOWS, Choice
from perftui.tui.widgets.pane_widget import PaneWidget

if TYPE_CHECKING:
    from perftui.demo.stage import DemoStage

NOTICE_SECONDS = 6.0
SETTLED = 3.0
"""Seconds after which the sources have imported what they need and sampled a few times."""


class SnapshotDisplay(App[int]):
    """Pulls snapshots from the monitor; no source is ever asked from here."""

    def __init__(
        self,
        settings: Settings,
        monitor: Monitor,
        glyphs: Glyphs,
        theme: ThemeSpec,
        demo: DemoStage | None = None,
        guard: TerminalGuard | None = None,
    ) -> None:
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
        self.choice = Choice(WINDOWS[settings.operations.window])
        self.profile_view = ProfileView()
        self.cache_view = CacheView(sample_key=shown_key_of("cache.prefixes", settings.keys))
        self.marked_servers: ServerMarks = frozenset()
        self.profile_request = default_request(settings.profile)
        self._source_texts = SourceTexts(self._source_arrived)
        self.snapshot: Snapshot | None = None
        self.paused = False
        self.line_styles: Mapping[str, Style] = {}
        self.styles_version = 0
        self.line_ellipsis = glyphs.ellipsis
        self.theme_spec = theme
        self._demo_chooses = settings.profile.pid is None
        self._notice: Notice | None = None
        self._glyph_filter = glyph_filter(glyphs)
        self._rung = False
        self._alarm = Alarm(
            settings.alerts.bell,
            settings.alerts.notify,
            os.environ,
            ascii_only=glyphs.chart == "ascii",
            began=time.time(),
        )
        self._show_loop: asyncio.AbstractEventLoop | None = None
        self._show_context: contextvars.Context | None = None
        self.use_theme(theme)

    # Start and end

    def get_default_screen(self) -> DashboardScreen:
        """Return the dashboard."""
        layout = self.settings.screen.layout
        panes = make_panes()
        sources = configured(self.settings) & set(self.settings.monitor.sources)
        active = "operations" if sources & panes["operations"].needs else "processes"
        return DashboardScreen(panes, "overview" if layout == "auto" else layout, active)

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
        self.tell_demand()
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
        self.tell_demand()
        self.draw_all()

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
        self._follow_busiest_worker()
        self.send_to_terminal(self._alarm.update(snapshot))
        if self.paused:
            if self.snapshot is not None:
                held = replace_monitor(self.snapshot, snapshot)
                self._show_footer(held)
            return
        self.snapshot = snapshot
        if self.dashboard.set_alert_lines(len(snapshot.firing)):
            self.call_after_refresh(self.draw_all)
        panes = self.dashboard.panes
        for name in self.dashboard.visible_panes():
            panes[name].show(snapshot)
        if isinstance(self.screen, SnapshotScreen):
            self.screen.show(snapshot)
        self.show_bars()
        self.tell_selection()

    def send_to_terminal(self, sequence: str) -> None:
        """Have the terminal do something that is no part of the picture; empty for nothing."""
        if sequence and self._driver is not None and not self.is_headless:
            self._driver.write(sequence)

    def rearranged(self) -> None:
        """Place and draw the panes anew, and ask for what is seen now."""
        self.dashboard.rearrange()
        self.tell_demand()
        self.monitor.refresh()
        self.call_after_refresh(self.draw_all)

    def draw_all(self) -> None:
        """Draw everything on the screen again."""
        if self.snapshot is None:
            return
        for name in self.dashboard.visible_panes():
            widget = self.dashboard.panes[name]
            widget.forget_lines()
            widget.show(self.snapshot)
        self.show_bars()
        self.tell_selection()

    def show_bars(self) -> None:
        """Draw header, footer and, on a small terminal, gauges, alerts and tabs."""
        snapshot = self.snapshot
        if snapshot is None:
            return
        dashboard, glyphs, width = self.dashboard, self.glyphs, self.dashboard.area.width
        paused_at = snapshot.time if self.paused else None
        alone = dashboard.zoomed not in (None, "alerts")
        dashboard.header_bar.set_lines(
            [header_line(snapshot, width, glyphs, paused_at, self._demo_line(), alone)]
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
        actions = [
            spec
            for spec in self.actions_here()
            if (not spec.changes or self.actions_allowed)
            and is_shown_with(spec, self.dashboard.active)
        ]
        actions.sort(key=lambda spec: not spec.pane)
        line = footer_line(actions, self.settings.keys, snapshot, width, self.glyphs, self._notice)
        self.dashboard.footer_bar.set_lines([line])

    def _demo_line(self) -> Line:
        if self.demo is None:
            return ()
        from perftui.tui.demo_line import demo_line

        return demo_line(self.demo, self.glyphs)

    def choose_profiled(self, pid: int | None) -> None:
        """Profile the process a person chose; the demo no longer chooses one by itself."""
        self._demo_chooses = False
        self.monitor.profile(pid)

    def _follow_busiest_worker(self) -> None:
        """In the demo, profile the busiest worker until a person chooses."""
        if self.demo is None or not self._demo_chooses:
            return
        pid = self.demo.first_worker_pid()
        if pid is not None and pid != self.monitor.profiled:
            self.monitor.profile(pid)

    def tell_demand(self) -> None:
        """Tell the monitor which sources are looked at."""
        needs: set[str] = set()
        for name in self.dashboard.visible_panes():
            pane = self.dashboard.panes[name].pane
            needs |= pane.needs
            if name == self.dashboard.zoomed:
                needs |= pane.zoom_needs
        if isinstance(self.screen, SnapshotScreen):
            needs |= self.screen.needs
        self.monitor.demand(frozenset(needs))

    def tell_selection(self) -> None:
        """Tell the monitor what is looked at: hosts, one operation, and the profile."""
        operation: tuple[str, str] | None = None
        if self.dashboard.zoomed == "operations":
            # By the cursor, which stays while the chosen hosts have no rows yet.
            match self.dashboard.panes["operations"].cursor:
                case (_, str(service), str(name)):
                    operation = (service, name)
        request = msgspec.structs.replace(self.profile_request, stacks=self._wants_stacks())
        usual = request == default_request(self.settings.profile)
        selection = Selection(self.choice.hosts, operation, None if usual else request)
        if selection != self.monitor.selection:
            self.monitor.select(selection)
        self._look_up_source()

    def _wants_stacks(self) -> bool:
        """Whether something is looked at that only whole stacks can tell."""
        if isinstance(self.screen, SnapshotScreen) and self.screen.needs_stacks:
            return True
        dashboard, view = self.dashboard, self.profile_view
        if "top_calls" not in dashboard.visible_panes():
            return False
        looked_at = dashboard.active == "top_calls"
        return looked_at or view.by != "function" or view.per_thread

    def _look_up_source(self) -> None:
        """Have the source read of the function that the cursor is on."""
        source = None
        snapshot = self.snapshot
        if self.dashboard.zoomed == "top_calls" and snapshot is not None:
            calls = shown_calls(snapshot, self.profile_view)
            row = self.dashboard.panes["top_calls"].selected
            call = row.call if isinstance(row, Change) else row
            if isinstance(call, Call) and call.file and not isinstance(calls, Absent):
                source = self._source_texts.get(calls.pid, call.file)
        if source != self.profile_view.source:
            self.look_at_profile(replace(self.profile_view, source=source))

    def _source_arrived(self) -> None:
        """Show a source file that was read; called on the thread that did so."""
        loop = self._show_loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._look_up_source, context=self._show_context)

    def look_at_profile(self, view: ProfileView) -> None:
        """Show the profile in another way."""
        self.profile_view = view
        if "top_calls" in self.dashboard.visible_panes():
            self.dashboard.panes["top_calls"].redraw()

    def on_pane_widget_moved(self, message: PaneWidget.Moved) -> None:
        """Have the details read of the record that the cursor went to."""
        self.tell_selection()

    def choose(self, choice: Choice) -> None:
        """Show the services in another window, or others of them."""
        self.choice = choice
        if "operations" in self.dashboard.visible_panes():
            self.dashboard.panes["operations"].redraw()
        self.tell_selection()

    # Styles

    def use_theme(self, spec: ThemeSpec) -> None:
        """Take the colours of a theme."""
        self.theme_spec = spec
        self.line_styles = rich_styles(spec)
        self.styles_version += 1
        self.register_theme(textual_theme(spec))
        self.theme = spec.name

    def actions_here(self) -> list[ActionSpec]:
        """Return the actions of this session."""
        return available(self.demo is not None)

    def say(self, text: str, style: str = "accent") -> None:
        """Tell the person something in the footer for a few seconds."""
        self._notice = Notice(text, style, time.monotonic() + NOTICE_SECONDS)
        if self.snapshot is not None:
            self._show_footer(self.snapshot)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Return what every line goes through before it reaches the terminal."""
        filters = super().get_line_filters()
        return filters if self._glyph_filter is None else [*filters, self._glyph_filter]


def replace_monitor(held: Snapshot, newest: Snapshot) -> Snapshot:
    """Return the held snapshot with the monitor's cost of now."""
    return msgspec.structs.replace(held, monitor=newest.monitor)
