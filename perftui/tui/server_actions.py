"""What keys do with servers of pools: marks, and the dialogs that change state and weight."""

from __future__ import annotations

from perftui.tui.pane_focus import PaneFocus
from perftui.tui.panes.server_rows import ServerRow, list_servers
from perftui.tui.server_marks import ServerKey, still_there, toggled

SERVERS = "servers"


class ServerActions(PaneFocus):
    """The display of snapshots with everything that a person does with servers."""

    _last_reason = ""

    def action_mark_server(self) -> None:
        """Mark the selected server or take its mark away, and go to the next one."""
        pane = self.dashboard.panes[SERVERS]
        row = self._selected_server()
        if row is None:
            return
        self.marked_servers = toggled(self.marked_servers, row.key)
        pane.move(1)
        pane.redraw()
        count = len(self.marked_servers)
        self.say(f"{count} server{'' if count == 1 else 's'} marked")

    def action_unmark_servers(self) -> None:
        """Take all marks away."""
        self.marked_servers = frozenset()
        self.dashboard.panes[SERVERS].redraw()
        self.say("no server is marked")

    async def action_change_servers(self, state: str) -> None:
        """Open the dialog that drains servers, takes them out or brings them back."""
        await self._open(state, "")

    async def action_change_weight(self, weight: str) -> None:
        """Open the dialog that changes weights, beginning with this one."""
        await self._open("", weight)

    def _selected_server(self) -> ServerRow | None:
        """Return the server under the cursor, None after saying how to get at one."""
        pane = self.dashboard.panes[SERVERS]
        if self.focused_pane is not pane:
            self.say("choose a server first: press 6, then a row", "warning")
            return None
        row = pane.selected
        if not isinstance(row, ServerRow):
            self.say("no server is selected", "warning")
            return None
        return row

    def _chosen_servers(self) -> tuple[ServerKey, ...]:
        """Return the marked servers that are still there, else the one under the cursor."""
        if self.focused_pane is self.dashboard.panes[SERVERS] and self.marked_servers:
            snapshot = self.snapshot
            rows = () if snapshot is None else list_servers(snapshot.all_pools).rows
            self.marked_servers = still_there(self.marked_servers, (row.key for row in rows))
            if self.marked_servers:
                return tuple(row.key for row in rows if row.key in self.marked_servers)
        row = self._selected_server()
        return () if row is None else (row.key,)

    async def _open(self, state: str, weight: str) -> None:
        chosen = self._chosen_servers()
        if not chosen:
            return
        if not self.actions_allowed:
            self.say("read-only: start with --allow-actions to change servers", "warning")
            return
        snapshot = self.snapshot
        if snapshot is None:
            return
        from perftui.tui.screens.change_servers import ChangeServersScreen
        from perftui.tui.server_jobs import ServerJobs

        if isinstance(self.screen, ChangeServersScreen):
            return
        jobs = ServerJobs(self.settings.redis.url)
        await self.push_screen(
            ChangeServersScreen(
                jobs.carry_out,
                self.glyphs,
                snapshot,
                chosen,
                state=state,
                weight=weight,
                reason=self._last_reason,
                done=self._changed,
            )
        )

    def _changed(self, told: str, reason: str, whole: bool) -> None:
        """Say what was done; marks have served their purpose once all of it was."""
        self._last_reason = reason
        if whole:
            self.marked_servers = frozenset()
            self.dashboard.panes[SERVERS].redraw()
        self.say(told, "ok" if whole else "warning")
