"""The characters frames, bars, charts and marks are drawn with, for rich and poor terminals."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Glyphs:
    """One set of characters; every one of them is exactly one cell wide."""

    top_left: str
    top_right: str
    bottom_left: str
    bottom_right: str
    tee_left: str
    tee_right: str
    horizontal: str
    vertical: str
    bar: str
    """Steps of a bar's last cell from the thinnest to the full cell."""
    bar_empty: str
    chart: str
    """`braille`, `block` or `ascii`."""
    bullet: str
    hollow: str
    half: str
    cross: str
    warning: str
    ellipsis: str
    up: str
    down: str
    branch: str
    last_branch: str
    trunk: str
    separator: str
    pointer: str
    receive: str
    transmit: str
    poor_font: bool = False
    """Whether the font has little more than code page 437, as those of the consoles."""


UNICODE = Glyphs(
    top_left="╭",
    top_right="╮",
    bottom_left="╰",
    bottom_right="╯",
    tee_left="├",
    tee_right="┤",
    horizontal="─",
    vertical="│",
    bar="▏▎▍▌▋▊▉█",
    bar_empty="·",
    chart="braille",
    bullet="●",
    hollow="○",
    half="◐",
    cross="✗",
    warning="▲",
    ellipsis="…",
    up="▲",
    down="▼",
    branch="├─ ",
    last_branch="└─ ",
    trunk="│  ",
    separator="·",
    pointer="▶",
    receive="↓",
    transmit="↑",
)

ASCII = Glyphs(
    top_left="+",
    top_right="+",
    bottom_left="+",
    bottom_right="+",
    tee_left="+",
    tee_right="+",
    horizontal="-",
    vertical="|",
    bar="#",
    bar_empty=".",
    chart="ascii",
    bullet="*",
    hollow="o",
    half="c",
    cross="x",
    warning="!",
    ellipsis="~",
    up="^",
    down="v",
    branch="|- ",
    last_branch="`- ",
    trunk="|  ",
    separator="-",
    pointer=">",
    receive="rx",
    transmit="tx",
)
"""`receive` and `transmit` are words here; they stand outside of columns."""


def choose_glyphs(ascii_only: bool, charts: str, braille: bool) -> Glyphs:
    """Return the glyphs for a terminal; `charts` is auto, braille, block or ascii."""
    from dataclasses import replace

    if ascii_only:
        return ASCII
    if charts == "auto":
        charts = "braille" if braille else "block"
    glyphs = replace(UNICODE, chart=charts)
    if braille:
        return glyphs
    return replace(glyphs, bar="█", cross="x", half="c", pointer=">", warning="!", poor_font=True)
