"""How far the demo is, for the header."""

from __future__ import annotations

from perftui.demo.messages import PartState
from perftui.demo.stage import DemoStage
from perftui.text import printable
from perftui.tui.glyphs import Glyphs
from perftui.tui.lines import Line, Span


def demo_line(stage: DemoStage, glyphs: Glyphs) -> Line:
    """Return the scenario, and the parts that are not ready with their reason."""
    spans: list[Span] = [("demo ", "muted"), (stage.scenario, "accent")]
    for part in stage.status():
        if part.state in (PartState.WAITING, PartState.STARTING):
            spans.append((f" {part.part} {part.state.value}", "muted"))
        elif part.state is PartState.FAILED:
            reason = printable(part.reason or "failed", glyphs.chart == "ascii")
            spans.append((f" {glyphs.cross} {part.part}: {reason}", "critical"))
        elif part.state is PartState.STOPPED:
            spans.append((f" {glyphs.hollow} {part.part} stopped", "warning"))
    return tuple(spans)
