"""What keys do with the profile: choose, look at it another way, hold it still, compare, save."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from perftui.profiling.breakdown import breakdown
from perftui.profiling.pause_budget import MODES
from perftui.snapshot import Absent, Alert, Process, ProfileRequest, Snapshot, TopCalls
from perftui.text import printable
from perftui.tui.pane_focus import PaneFocus
from perftui.tui.profile_view import (
    BREAKDOWNS,
    PROFILE_WINDOWS,
    Feed,
    profile_window_label,
    shown_calls,
)
from perftui.tui.view import WINDOW_LABELS

if TYPE_CHECKING:
    from perftui.tui.alert_profiling import AlertProfiling

TOP_CALLS = "top_calls"

ALERT_POLL = 0.25
"""Seconds between two looks at whether the profile for an alert is done."""


class ProfileActions(PaneFocus):
    """The display of snapshots with everything that a person does with the profile."""

    _alert_profiling: AlertProfiling | None = None

    async def action_profile(self) -> None:
        """Profile the process selected in Processes or behind an alert; else ask which one."""
        if self.focused_pane.pane.id == "alerts":
            self.profile_alert()
            return
        process = self.dashboard.panes["processes"].selected
        if self.focused_pane.pane.id != "processes":
            await self.action_choose_process()
            return
        if not isinstance(process, Process):
            self.say("select a Python process first", "warning")
            return
        if not process.python:
            name = printable(process.name)
            self.say(f"{name} ({process.pid}) is not a Python process", "warning")
            return
        self.profile_process(process.pid)

    def profile_alert(self) -> None:
        """Profile what is behind the selected alert for some seconds, and attach what is found."""
        alert = self.dashboard.panes["alerts"].selected
        if self.snapshot is None or not isinstance(alert, Alert):
            self.say("select an alert that goes on first", "warning")
            return
        if self._alert_profiling is None:
            from perftui.tui.alert_profiling import AlertProfiling

            self._alert_profiling = AlertProfiling(self.monitor, self.say)
        if self._alert_profiling.begin(alert, self.snapshot):
            self.set_timer(ALERT_POLL, self._follow_alert_profile)

    def _follow_alert_profile(self) -> None:
        if self._alert_profiling is not None and self._alert_profiling.poll():
            self.set_timer(ALERT_POLL, self._follow_alert_profile)

    async def action_choose_process(self) -> None:
        """Ask which process shall be profiled."""
        from perftui.tui.screens.process_picker import ProcessPicker

        if not isinstance(self.screen, ProcessPicker):
            await self.push_screen(
                ProcessPicker(self.glyphs, self.settings.keys, self.profile_process, self.look_at)
            )

    def profile_process(self, pid: int) -> None:
        """Profile a process and show it."""
        self._turn_to(None)
        self.choose_profiled(pid)
        process = self._process(pid)
        self.say(f"profiling {pid}{'' if process is None else ' ' + printable(process.name)}")
        self._show_top_calls()

    def look_at(self, feed: Feed) -> None:
        """Show what a process found that profiles itself."""
        self._turn_to(feed)
        self.say(f"own profile of {printable(feed[1])} of {printable(feed[0])}")
        self._show_top_calls()

    def action_profile_stop(self) -> None:
        """Stop profiling."""
        self.choose_profiled(None)
        self._turn_to(None)
        self.look_at_profile(self.profile_view)
        self.say("profiling stopped")

    async def action_profile_options(self) -> None:
        """Ask how the process shall be profiled."""
        from perftui.tui.screens.profile_options import ProfileOptions

        if not isinstance(self.screen, ProfileOptions):
            await self.push_screen(ProfileOptions(self.profile_request, self.take_request))

    def take_request(self, request: ProfileRequest) -> None:
        """Profile in another way from now on."""
        self.profile_request = request
        self.tell_selection()
        self.say("profiling begins anew" if self.monitor.profiled else "for the next profile")

    def action_profile_mode(self) -> None:
        """Take the next mode: auto, exact, safe."""
        modes: list[str] = list(MODES)
        mode = modes[(modes.index(self.profile_request.mode) + 1) % len(modes)]
        self.profile_request = msgspec.structs.replace(self.profile_request, mode=mode)
        self.tell_selection()
        meaning = {
            "auto": "pauses the process while that costs it little",
            "exact": "pauses the process for every sample",
            "safe": "never pauses the process, callers may be wrong",
        }[mode]
        self.say(f"mode {mode}: {meaning}")

    def action_next_window(self) -> None:
        """Take the next window: of the profile where it has the focus, else of Operations."""
        if self.focused_pane.pane.id == TOP_CALLS:
            windows = list(PROFILE_WINDOWS)
            now = self.profile_request.window
            window = windows[(windows.index(now) + 1) % len(windows) if now in windows else 0]
            self.profile_request = msgspec.structs.replace(self.profile_request, window=window)
            self.tell_selection()
            self.say(f"window of Top calls: {profile_window_label(window)}")
            return
        labels = list(WINDOW_LABELS)
        index = labels.index(self.choice.window) + 1
        window = labels[index % len(labels)]
        self.choose(replace(self.choice, window=window))
        self.say(f"window of Operations: {WINDOW_LABELS[window]}")

    def action_profile_reset(self) -> None:
        """Forget what was sampled so far."""
        if self._is_looked_at():
            self.monitor.reset_profile()
            self.say("the profile begins anew")

    def action_profile_by(self) -> None:
        """Add the profile up by the next of function, line, file and module."""
        if not self._is_looked_at():
            return
        index = BREAKDOWNS.index(self.profile_view.by) + 1
        by = BREAKDOWNS[index % len(BREAKDOWNS)]
        self.look_at_profile(replace(self.profile_view, by=by))
        self.tell_selection()
        self.say(f"Top calls by {by}")

    def action_profile_threads(self) -> None:
        """Show each thread by itself, or all together."""
        if not self._is_looked_at():
            return
        per_thread = not self.profile_view.per_thread
        self.look_at_profile(replace(self.profile_view, per_thread=per_thread))
        self.tell_selection()
        self.say("each thread by itself" if per_thread else "all threads together")

    def action_profile_freeze(self) -> None:
        """Hold the profile still, or go on with the newest."""
        if not self._is_looked_at():
            return
        if self.profile_view.frozen is not None:
            self.look_at_profile(replace(self.profile_view, frozen=None))
            self.say("Top calls goes on")
        elif (calls := self._calls()) is not None:
            self.look_at_profile(replace(self.profile_view, frozen=calls))
            self.say("Top calls is held still: z goes on")

    def action_profile_pin(self) -> None:
        """Compare with the profile of now from now on, or no longer compare."""
        if not self._is_looked_at():
            return
        widget = self.dashboard.panes[TOP_CALLS]
        if self.profile_view.pinned is not None:
            widget.sort_by("own")
            self.look_at_profile(replace(self.profile_view, pinned=None))
            self.say("no baseline any more")
        elif (calls := self._calls()) is not None:
            if not breakdown(calls):
                self.say("nothing was sampled yet that could be a baseline", "warning")
                return
            widget.sort_by("change")
            self.look_at_profile(replace(self.profile_view, pinned=calls))
            self.say(f"baseline: the last {calls.window:.0f} s; what grew and shrank is on top")

    async def action_profile_flame(self) -> None:
        """Show the profile as a flame graph."""
        from perftui.tui.screens.flame import FlameScreen

        if self._calls() is None or isinstance(self.screen, FlameScreen):
            return
        await self.push_screen(FlameScreen(self.glyphs, self.settings.keys, self.calls_shown))
        self.tell_selection()

    async def action_profile_dump(self) -> None:
        """Show the stacks of all threads of the process as they are now."""
        from perftui.tui.screens.stack_dump import StackDumpScreen

        pid = self.monitor.profiled
        process = self.dashboard.panes["processes"].selected
        if self.focused_pane.pane.id == "processes" and isinstance(process, Process):
            pid = process.pid
        if pid is None:
            self.say("no process is profiled: press p to choose one", "warning")
        elif not isinstance(self.screen, StackDumpScreen):
            await self.push_screen(StackDumpScreen(pid, self.glyphs, self.settings.keys))

    async def action_profile_save(self) -> None:
        """Ask in which form the profile shall be saved, and where."""
        from perftui.tui.screens.profile_save import ProfileSaveScreen

        calls = self._calls()
        if calls is not None and not isinstance(self.screen, ProfileSaveScreen):
            await self.push_screen(ProfileSaveScreen(calls, self.monitor, self.glyphs, self.say))

    def _turn_to(self, feed: Feed | None) -> None:
        """Leave behind what was held still or pinned of another profile."""
        if self.profile_view.pinned is not None:
            self.dashboard.panes[TOP_CALLS].sort_by("own")
        self.profile_view = replace(self.profile_view, feed=feed, frozen=None, pinned=None)

    def calls_shown(self, snapshot: Snapshot) -> TopCalls | Absent:
        """Return the profile of a snapshot that is looked at."""
        return shown_calls(snapshot, self.profile_view)

    def _calls(self) -> TopCalls | None:
        """Return the profile that is looked at, None after saying why there is none."""
        calls = None if self.snapshot is None else self.calls_shown(self.snapshot)
        if calls is None or isinstance(calls, Absent):
            profiled = self.monitor.profiled is not None and self.profile_view.feed is None
            reason = "no sample yet" if calls is None else printable(calls.reason)
            if not profiled:
                reason += "; p chooses a process"
            elif TOP_CALLS not in self.dashboard.visible_panes():
                # A process is only sampled while somebody looks.
                reason = "Top calls is hidden: press 3 first"
            self.say(f"no profile: {reason}", "warning")
            return None
        return calls

    def _is_looked_at(self) -> bool:
        if self.focused_pane.pane.id == TOP_CALLS:
            return True
        self.say("this key is for Top calls: press 3 first", "warning")
        return False

    def _process(self, pid: int) -> Process | None:
        table = None if self.snapshot is None else self.snapshot.processes
        if table is None or isinstance(table, Absent):
            return None
        return next((row for row in table.rows if row.pid == pid), None)

    def _show_top_calls(self) -> None:
        self.look_at_profile(self.profile_view)
        if TOP_CALLS not in self.dashboard.visible_panes():
            self.action_focus_pane(TOP_CALLS)
        self.tell_selection()
