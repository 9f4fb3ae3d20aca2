"""A small app for terminal tests: every change comes from a key, so a script has one outcome."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.containers import Grid
from textual.content import Content
from textual.screen import ModalScreen
from textual.style import Style
from textual.timer import Timer
from textual.widgets import Static

from perftui.tui.cell_diff import CellDiffDisplay
from perftui.tui.terminal_guard import TerminalGuard

WIDE = "名前 東京 🐍🎉 ok 日本語テキスト café e\u0301a"

# ctrl+c outside is for the program there, though the kernel sends it to this one as well.
OUTSIDE = "kill -INT $PPID; sleep 0.2; echo outside"


class Question(ModalScreen[None]):
    """A box over a dimmed screen."""

    CSS = """
    Question { align: center middle; }
    Question Static { width: 31; height: 5; border: round red; }
    """
    BINDINGS: ClassVar = [("escape", "dismiss", "Close")]

    def compose(self) -> ComposeResult:
        yield Static("Really? 本当に？")


class ScreenApp(CellDiffDisplay, App[int]):
    """Panes with text, colours, attributes and wide characters."""

    CSS = """
    Screen { layers: base above; }
    Grid { grid-size: 2 2; }
    .pane { border: round green; height: 100%; }
    #over { layer: above; width: 17; height: 4; background: blue; display: none; }
    #state { dock: bottom; height: 1; background: $panel; }
    """
    BINDINGS: ClassVar = [
        ("q", "quit", "Quit"),
        ("ctrl+c", "quit", "Quit"),
        ("ctrl+l", "redraw_terminal", "Redraw"),
        ("m", "ask", "Ask"),
        *(
            (key, f"step('{name}')", name)
            for key, name in (
                ("t", "tick"),
                ("w", "shift"),
                ("o", "over"),
                ("s", "attributes"),
                ("z", "suspend"),
                ("x", "crash"),
                ("f", "flood"),
                ("b", "block"),
                ("e", "erase"),
            )
        ),
    ]

    def __init__(self, guard: TerminalGuard) -> None:
        super().__init__()
        self.guard = guard
        self.timer: Timer | None = None
        self.steps = 0
        self.counts = dict.fromkeys(("tick", "shift", "over", "attributes"), 0)

    def compose(self) -> ComposeResult:
        with Grid():
            for name in ("numbers", "wide", "attributes", "bars"):
                yield Static(id=name, classes="pane")
        yield Static("overlay 重なる\n| | | | | |", id="over")
        yield Static(id="state")

    def on_mount(self) -> None:
        self.guard.attach(self)
        self.paint()

    def paint(self) -> None:
        tick, shift, attributes = (self.counts[name] for name in ("tick", "shift", "attributes"))
        self.show("numbers", Content("\n".join(f"{i:3} {(tick * i) % 17:6}" for i in range(30))))
        self.show("wide", Content("\n".join(" " * ((i + shift) % 9) + WIDE for i in range(12))))
        styles = (
            "bold",
            "dim",
            "italic",
            "underline",
            "strike",
            "reverse",
            "bold italic",
            "red",
            "on blue",
            "bold #12ab34 on #202020",
            "link='https://example.org/x'",
        )
        parts = [
            Content.styled(f"sample {style[:6]}\n", styles[(i + attributes) % len(styles)])
            for i, style in enumerate(styles)
        ]
        self.show("attributes", Content("").join(parts))
        bars = [
            Content.assemble(("█" * ((tick * 3 + i) % 20), Style.parse("green")), "⣿⡇ ")
            for i in range(12)
        ]
        self.show("bars", Content("\n").join(bars))
        over = self.query_one("#over")
        over.display = self.counts["over"] > 0
        over.styles.offset = (30 + self.counts["over"], 3)
        self.show("state", Content(f"steps: {self.steps}."))

    def show(self, name: str, content: Content) -> None:
        self.query_one(f"#{name}", Static).update(content, layout=False)

    def action_ask(self) -> None:
        self.push_screen(Question())

    def action_step(self, name: str) -> None:
        if name == "crash":
            raise RuntimeError("asked to crash")
        if name == "flood":
            self.toggle_flood()
        elif name == "block":
            time.sleep(60)
        elif name == "suspend":
            with self.suspend():
                subprocess.run(["sh", "-c", OUTSIDE], check=True)
        elif name == "erase" and self._driver is not None:
            self._driver.write("\x1b[2J")
        if name in self.counts:
            self.counts[name] += 1
        self.steps += 1
        self.paint()

    def toggle_flood(self) -> None:
        if self.timer is None:
            self.timer = self.set_interval(0.02, self.flood)
        else:
            self.timer.stop()

    def flood(self) -> None:
        self.counts["tick"] += 1
        self.counts["shift"] += 1
        self.counts["attributes"] += 1
        self.paint()


def main() -> int:
    """Run; the exit code is the app's."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--stock", action="store_true", help="Textual's own output")
    parser.add_argument("--cleanup", default="", help="file to write on a hard exit")
    arguments = parser.parse_args()
    with TerminalGuard() as guard:
        if arguments.cleanup:
            guard.on_hard_exit(lambda: _touch(arguments.cleanup))
            guard.on_hard_exit(lambda: time.sleep(60))
        app = ScreenApp(guard)
        app.cell_diff = not arguments.stock
        app.run()
    return guard.exit_code or app.return_code or 0


def _touch(path: str) -> None:
    with open(path, "w") as file:
        file.write("cleaned up\n")


if __name__ == "__main__":
    sys.exit(main())
