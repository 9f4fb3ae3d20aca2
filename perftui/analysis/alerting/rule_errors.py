"""What is raised for a rule that is set in a way it cannot be."""

from __future__ import annotations


class RuleError(ValueError):
    """A rule is set wrongly; `setting` is such as `rules.R10.warn`, `excerpt` shows the place."""

    def __init__(self, setting: str, reason: str, excerpt: tuple[str, ...] = ()) -> None:
        super().__init__(f"{setting}: {reason}")
        self.setting = setting
        self.reason = reason
        self.excerpt = excerpt
