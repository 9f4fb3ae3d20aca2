"""Sends the terminal only the cells that differ from what it shows (Textual 8.2 sends all dirty).

Mix into the app, in front of Textual's class: `class PerftuiApp(CellDiffDisplay, App[int])`.
Set `cell_diff` to False, on the class or the instance, for Textual's own output. Bind ctrl+l to
the action `redraw_terminal`. Show `terminal_meter.total_bytes`; skip a tick's painting while
`writer_backlog(app) > 1`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from rich.console import RenderableType
from textual import events
from textual.app import App, ScreenStackError
from textual.driver import Driver

from perftui.tui.cell_grid import CellGrid
from perftui.tui.loop_calls import call_soon
from perftui.tui.terminal_meter import TerminalMeter

try:
    from perftui.tui import cell_update
except ImportError:  # Another Textual than the one this was written for.
    CAN_DIFF = False
else:
    CAN_DIFF = True

if TYPE_CHECKING:
    from textual.screen import Screen

    from perftui.tui.terminal_driver import TerminalDriver

    Base = App[Any]
else:
    Base = object

BACKLOG_LIMIT = 8192
"""Bytes waiting for a slow terminal from which on frames are left out rather than queued."""


class CellDiffDisplay(Base):
    """Cell-level output, a well-mannered driver and a byte meter for a Textual app."""

    cell_diff: bool = True
    """False for Textual's own output."""

    _grid: CellGrid | None = None
    _frame_missed = False
    _own_meter: TerminalMeter | None = None

    @property
    def terminal_meter(self) -> TerminalMeter:
        """Counts bytes to the terminal; only those of frames where the driver is another's."""
        driver = terminal_driver(self)
        if driver is not None:
            return driver.meter
        if self._own_meter is None:
            self._own_meter = TerminalMeter()
        return self._own_meter

    def get_driver_class(self) -> type[Driver]:
        """The well-mannered driver where Textual would take its own one for terminals."""
        chosen = super().get_driver_class()
        try:
            from textual.drivers.linux_driver import LinuxDriver

            from perftui.tui.terminal_driver import TerminalDriver
        except ImportError:
            return chosen
        return TerminalDriver if chosen is LinuxDriver else chosen

    def redraw_terminal(self) -> None:
        """Send the whole screen again, for a terminal that shows something else."""
        if self._grid is not None:
            self._grid.invalidate()
        self._repaint()

    def action_redraw_terminal(self) -> None:
        """Redraw the screen."""
        self.redraw_terminal()

    def _repaint(self) -> None:
        try:
            self.screen.refresh()
        except ScreenStackError:
            return

    def _on_mount(self, _event: events.Mount) -> None:
        # Published after App.suspend and, unlike an override of the handler, after SIGCONT.
        self.app_resume_signal.subscribe(self, self._terminal_resumed, immediate=True)

    def _terminal_resumed(self, _app: App[Any]) -> None:
        self._frame_missed = False  # The writer that would have called back has ended.
        self.redraw_terminal()

    async def _on_resize(self, _event: events.Resize) -> None:
        # Also for a resize there and back, which Textual takes for none: the terminal may have
        # cut its lines meanwhile.
        self.redraw_terminal()

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        if renderable is not None and not self.is_inline and not self.is_headless:
            if self._leave_out():
                self.post_display_hook()
                return
            renderable = self._cells_of(renderable)
        super()._display(screen, renderable)

    def _leave_out(self) -> bool:
        """True when the terminal is behind; the newest state is then painted when it is not."""
        driver = terminal_driver(self)
        if driver is None or driver.writer is None:
            return False
        if driver.writer.backlog_bytes <= BACKLOG_LIMIT:
            return False
        if not self._frame_missed:
            self._frame_missed = True
            driver.writer.call_when_drained(partial(call_soon, driver.loop, self._catch_up))
        return True

    def _catch_up(self) -> None:
        self._frame_missed = False
        # What was left out is found by comparing with the grid, which has not moved on.
        self._repaint()

    def _cells_of(self, renderable: RenderableType) -> RenderableType:
        if not (CAN_DIFF and self.cell_diff):
            self._grid = None
            return renderable
        try:
            places = cell_update.placements(renderable)
        except (AttributeError, TypeError):
            self.cell_diff = False
            return renderable
        if self._grid is None:
            self._grid = CellGrid()
        if places is None:
            self._grid.invalidate()
            return renderable
        size = self.size
        if (self._grid.width, self._grid.height) != (size.width, size.height):
            self._grid.resize(size.width, size.height)
        meter = None if terminal_driver(self) else self.terminal_meter
        update = cell_update.CellUpdate(self._grid, places, colourless=self.no_color, meter=meter)
        # Textual tells its updates by class; only those without one go to Rich.
        return cast("RenderableType", update)


def terminal_driver(app: App[Any]) -> TerminalDriver | None:
    """The app's driver if it is ours and not one for tests, for browsers or of another Textual."""
    driver = app._driver
    if driver is None or driver.is_headless:
        return None
    try:
        from perftui.tui.terminal_driver import TerminalDriver
    except ImportError:
        return None
    return driver if isinstance(driver, TerminalDriver) else None


def writer_backlog(app: App[Any]) -> int:
    """Number of writes that the terminal has not taken yet; 0 when unknown."""
    driver = terminal_driver(app)
    if driver is None or driver.writer is None:
        return 0
    return driver.writer.backlog
