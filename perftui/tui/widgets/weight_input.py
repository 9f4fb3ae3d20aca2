"""The line in which a weight is typed, or changed in steps."""

from __future__ import annotations

from typing import ClassVar, Final

from textual import events
from textual.widgets import Input

STEPS: Final = {"+": 1, "-": -1, "]": 10, "[": -10}


class WeightInput(Input):
    """Takes digits and words as they are; plus, minus and brackets step what is there."""

    keys: ClassVar[str] = "+ - [ ]"

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """Whether a key is typed into the line, so that it means nothing else."""
        return character in STEPS or super().check_consume_key(key, character)

    async def _on_key(self, event: events.Key) -> None:
        by = STEPS.get(event.character or "")
        if by is None:
            await super()._on_key(event)
            return
        event.stop()
        event.prevent_default()
        self.step(by)

    def step(self, by: int) -> None:
        """Change the weight; a relative one stays so, an absolute one is never below 0."""
        text = self.value.strip()
        try:
            number = int(text or "0") + by
        except ValueError:
            number, text = by, ""
        relative = text[:1] in ("", "+", "-")
        self.value = f"{number:+d}" if relative else str(max(0, number))
        self.cursor_position = len(self.value)
