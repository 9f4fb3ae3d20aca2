"""What is raised for an expression that cannot be understood, with a caret below the place."""

from __future__ import annotations

_BEFORE, _AFTER = 60, 30
"""Characters of a long expression that are shown on either side of the place."""


class ExpressionError(ValueError):
    """An expression is wrong; `position` is the index of the character where."""

    def __init__(self, reason: str, text: str, position: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.text = text
        self.position = max(0, min(position, len(text)))

    def __str__(self) -> str:
        """Return the reason, the line of the expression and a caret below the place."""
        return "\n".join((self.reason, *self.excerpt()))

    def excerpt(self) -> tuple[str, str]:
        """Return the line with the place, and a line with a caret below the place."""
        begin = self.text.rfind("\n", 0, self.position) + 1
        end = self.text.find("\n", self.position)
        line = self.text[begin : len(self.text) if end < 0 else end]
        column = self.position - begin
        first = max(0, column - _BEFORE)
        shown = line[first : column + _AFTER]
        clean = "".join(char if char.isprintable() and char.isascii() else "?" for char in shown)
        return f"  {clean}", f"  {' ' * (column - first)}^"
