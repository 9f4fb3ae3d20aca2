"""The stacks of all threads of a process at one moment, over the whole screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Protocol, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from perftui.format import clock
from perftui.history import History
from perftui.profiling.thread_dump import ThreadDump, grouped, stack_text
from perftui.snapshot import Absent, Maybe, Place, State
from perftui.text import cell_width, fit, printable
from perftui.tui.actions import ACTIONS, shown_key
from perftui.tui.glyphs import Glyphs
from perftui.tui.jobs import Job
from perftui.tui.lines import Line, Span, columns_of
from perftui.tui.panes.pane import absent_lines
from perftui.tui.stack_dumps import StackDumps
from perftui.tui.view import View
from perftui.tui.widgets.flame_marks import cut_left, place_text
from perftui.tui.widgets.line_widget import LineWidget
from perftui.tui.widgets.search_input import SearchInput
from perftui.tui.widgets.stack_list import StackList, thread_names

POLL = 0.05

SECRETS = "locals may show passwords, tokens, personal data: L again reads them"


class Display(Protocol):
    """The app as this screen sees it."""

    history: History

    def copy_to_clipboard(self, text: str) -> None: ...


class Dumps(Protocol):
    """Where dumps come from."""

    def take(self, exact: bool = False, variables: bool = False) -> Job[Maybe[ThreadDump]]: ...

    def close(self) -> None: ...


class StackDumpScreen(ModalScreen[None]):
    """Shows a dump as soon as it is there; only a key takes another one.

    `keys` are the keys that a person has chosen; `dumps` reads the process.
    """

    CSS = """
    StackDumpScreen { layout: vertical; background: $background; }
    StackDumpScreen > LineWidget { width: 1fr; height: 1fr; }
    StackDumpScreen > #stack-head { height: 2; }
    StackDumpScreen > #stack-details { height: 1; }
    StackDumpScreen > #stack-keys { height: 1; }
    StackDumpScreen > .hidden { display: none; }
    StackDumpScreen > SearchInput {
        dock: bottom; width: 1fr; height: 1; border: none; padding: 0 1;
    }
    StackDumpScreen > SearchInput:focus { border: none; }
    """
    # A modal screen does not pass keys on to the app: those that mean the same there have its ids.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", show=False, id="row.down"),
        Binding("up,k", "move(-1)", show=False, id="row.up"),
        Binding("pagedown", "page(1)", show=False, id="row.page_down"),
        Binding("pageup", "page(-1)", show=False, id="row.page_up"),
        Binding("home,g", "edge(-1)", show=False, id="row.first"),
        Binding("end,G", "edge(1)", show=False, id="row.last"),
        Binding("tab,right,l", "thread(1)", show=False),
        Binding("shift+tab,left,h", "thread(-1)", show=False),
        Binding("slash", "search", show=False, id="row.filter"),
        Binding("y", "copy", show=False, id="row.copy"),
        Binding("enter", "open", show=False, id="pane.zoom"),
        Binding("e", "open", show=False),
        Binding("E", "open_all", show=False),
        Binding("r", "again", show=False),
        Binding("x", "exact", show=False),
        Binding("L", "variables", show=False),
        Binding("escape", "leave", show=False, id="app.back"),
        Binding("q", "close", show=False),
        Binding("D", "close", show=False, id="profile.dump"),
        Binding("ctrl+c", "app.quit", show=False),
    ]

    def __init__(
        self, pid: int, glyphs: Glyphs, keys: Mapping[str, str], dumps: Dumps | None = None
    ) -> None:
        super().__init__()
        self._pid = pid
        self._glyphs = glyphs
        self._dumps: Dumps = StackDumps(pid) if dumps is None else dumps
        self._job: Job[Maybe[ThreadDump]] | None = None
        self._dump: ThreadDump | None = None
        self._problem: Absent | None = None
        self._warned = False
        self._head = LineWidget("stack-head")
        self._list = StackList(glyphs)
        self._missing = LineWidget("stack-missing")
        self._details = LineWidget("stack-details")
        self._keys = LineWidget("stack-keys")
        shown = {spec.id: shown_key(spec, keys) for spec in ACTIONS}
        self._shown_keys = (
            (shown["pane.zoom"], "open"), ("E", "all"), ("r", "again"), ("x", "exact"),
            ("L", "locals"), (shown["row.filter"], "search"), (shown["row.copy"], "copy"),
            (shown["app.back"], "close"),
        )  # fmt: skip

    def compose(self) -> ComposeResult:
        """Yield the heading, the list or what is missing, the selected frame and the keys."""
        yield self._head
        yield self._list
        yield self._missing
        yield self._details
        yield self._keys

    def on_mount(self) -> None:
        """Take the first dump."""
        self._list.focus()
        self._missing.set_class(True, "hidden")
        self.set_interval(POLL, self._poll)
        self._take()

    def on_unmount(self) -> None:
        """End a dump that is still under way."""
        self._dumps.close()

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.call_after_refresh(self._draw)

    def on_stack_list_moved(self, message: StackList.Moved) -> None:
        """Tell about the row that is selected now."""
        message.stop()
        self._draw_around()

    def action_move(self, rows: int) -> None:
        """Move the cursor."""
        self._list.move(rows)

    def action_page(self, step: int) -> None:
        """Move the cursor by a page."""
        self._list.page(step)

    def action_edge(self, step: int) -> None:
        """Move the cursor to the first or last row."""
        self._list.edge(step)

    def action_thread(self, step: int) -> None:
        """Go to the next or previous thread."""
        self._list.step_group(step)

    def action_open(self) -> None:
        """Open or close the selected thread."""
        self._list.toggle()

    def action_open_all(self) -> None:
        """Open or close all threads."""
        self._list.toggle_all()

    def action_again(self) -> None:
        """Take a new dump without a pause of the process."""
        self._take()

    def action_exact(self) -> None:
        """Take a new dump while the process is paused."""
        self._take(exact=True)

    def action_variables(self) -> None:
        """Read local variables too, once the person knows what that may show."""
        if not self._warned:
            self._warned = True
            self._draw_around()
            return
        self._take(exact=self._dump is not None and self._dump.exact, variables=True)

    def action_copy(self) -> None:
        """Copy the selected threads with their stack."""
        group = self._list.selected_group
        if group is None:
            return
        text = stack_text(group)
        cast(Display, self.app).copy_to_clipboard(text)
        self._details.set_lines([((" copied the stack to the clipboard", "ok"),)])

    def action_search(self) -> None:
        """Search threads, functions and files."""
        if self._dump is not None and not self.query(SearchInput):
            self.mount(
                SearchInput(
                    "stack-search",
                    "search threads, functions and files: enter keeps, escape shows all",
                    self._list.search,
                    self._search,
                    self._to_list,
                )
            )

    def action_leave(self) -> None:
        """Drop the search or the warning, or close."""
        if self._warned:
            self._warned = False
            self._draw_around()
        elif self._list.search:
            self._search("")
        else:
            self.dismiss()

    def action_close(self) -> None:
        """Return to the dashboard."""
        self.dismiss()

    def _to_list(self) -> None:
        self._list.focus()

    def _search(self, text: str) -> None:
        self._list.search_for(text)
        self._draw_around()

    def _take(self, exact: bool = False, variables: bool = False) -> None:
        if self._job is not None:
            return
        self._warned = False
        self._job = self._dumps.take(exact, variables)
        self._draw_around()

    def _poll(self) -> None:
        job = self._job
        if job is None or not job.done:
            return
        self._job = None
        result = job.result
        if isinstance(result, ThreadDump):
            self._dump, self._problem = result, None
            self._list.take(grouped(result.threads))
        elif isinstance(result, Absent):
            self._problem = result
        elif job.error:
            self._problem = Absent(State.UNAVAILABLE, f"the dump failed: {job.error}")
        some = self._dump is not None and self._problem is None
        self._missing.set_class(some, "hidden")
        self._list.set_class(not some, "hidden")
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        if self._problem is not None:
            width, height = self._missing.size
            history = cast(Display, self.app).history
            view = View(width, height, self._glyphs, history, interval=1.0, zoomed=True)
            self._missing.set_lines([(), *absent_lines(self._problem, view)])
        self._list.redraw()
        self._draw_around()

    def _draw_around(self) -> None:
        width = self._head.size.width
        self._head.set_lines([self._heading(width), self._second_line(width)])
        self._details.set_lines([self._detail(width)])
        line: Line = tuple(
            span
            for key, label in self._shown_keys
            for span in ((f" {key}", "key"), (f" {label} ", "key-label"))
        )
        self._keys.set_lines([line])

    def _heading(self, width: int) -> Line:
        dump = self._dump
        spans: list[Span] = [(" Stacks ", "title-focused"), ("  ", "text")]
        spans.append((f"pid {self._pid}", "text"))
        separator = f" {self._glyphs.separator} "
        if dump is not None:
            spans += [(separator, "muted"), (f"taken {clock(dump.taken)}", "text")]
            spans.append((separator, "muted"))
            spans.append(("exact", "ok") if dump.exact else ("without a pause", "warning"))
            room = width - sum(cell_width(text) for text, _ in spans) - len(separator)
            command = printable(dump.command, self._glyphs.chart == "ascii")
            if room >= 8 and command:
                text = fit(command, min(room, cell_width(command)), ellipsis=self._glyphs.ellipsis)
                spans += [(separator, "muted"), (text, "muted")]
        return tuple(spans)

    def _second_line(self, width: int) -> Line:
        place = self._list.position
        right: Line = ((f" {place} ", "muted"),) if place and self._problem is None else ()
        if self._warned:
            return ((f" {self._glyphs.warning} {SECRETS}", "paused"),)
        if self._job is not None:
            word = "reading the stacks" if self._dump is None else "reading them again"
            return columns_of(
                ((f" {word}{self._glyphs.ellipsis}", "accent"),), right, width,
                self._glyphs.ellipsis,
            )  # fmt: skip
        dump = self._dump
        if dump is None or self._problem is not None:
            return ()
        active = sum(thread.active or thread.owns_gil for thread in dump.threads)
        idle = len(dump.threads) - active
        count = len(dump.threads)
        spans: list[Span] = [
            (f" {count} thread{'' if count == 1 else 's'}: ", "text"),
            (f"{active} active", "ok" if active else "muted"), (f", {idle} idle", "muted"),
        ]  # fmt: skip
        if self._list.search:
            text = printable(self._list.search, self._glyphs.chart == "ascii")
            spans.append((f"  /{text}: {self._list.found} found", "accent"))
        elif not dump.exact:
            spans.append(("  callers may be a moment off: x is exact",
                          "muted"))  # fmt: skip
        return columns_of(tuple(spans), right, width, self._glyphs.ellipsis)

    def _detail(self, width: int) -> Line:
        group, frame = self._list.selected_group, self._list.selected_frame
        if self._problem is not None or group is None or self._dump is None:
            return ()
        ascii_only = self._glyphs.chart == "ascii"
        variable = self._list.selected_variable
        if variable is not None:
            kind = "argument" if variable.argument else "local"
            text = f"{kind} {variable.name} = {variable.value}"
            return ((f" {printable(text, ascii_only)}", "accent"),)
        if frame is None:
            return ((f" {thread_names(group, self._glyphs)}", "muted"),)
        where = place_text(Place(frame.function, frame.file, frame.line), ascii_only)
        function = printable(frame.function, ascii_only) or "?"
        room = max(14, width - cell_width(function) - 4)
        where = cut_left(where, room, self._glyphs.ellipsis)
        return ((f" {function}", "own"), (f"  {where}", "accent"))
