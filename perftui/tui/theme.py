"""Themes: TOML files with a palette, the colours of Textual's widgets and the styles of panes.

A theme is checked completely when it is loaded: a colour that Textual does not know would end
the program later, in the middle of its work.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perftui.config.errors import ConfigError, closest
from perftui.config.paths import config_dir as default_config_dir
from perftui.tui.terminal import colour_depth

if TYPE_CHECKING:
    from rich.style import Style
    from textual.theme import Theme

DEFAULT_THEME = "night"
ANSI_THEME = "terminal"
AUTO = "auto"

STYLES: dict[str, str] = {
    "text": "",
    "muted": "text",
    "title": "text",
    "title-focused": "title",
    "border": "muted",
    "border-focused": "accent",
    "accent": "text",
    "ok": "text",
    "warning": "accent",
    "critical": "warning",
    "bar": "accent",
    "bar-warning": "warning",
    "bar-critical": "critical",
    "bar-empty": "border",
    "chart": "accent",
    "axis": "muted",
    "header": "muted",
    "selected": "text",
    "selected-unfocused": "selected",
    "key": "accent",
    "key-label": "muted",
    "badge": "accent",
    "paused": "warning",
    "absent": "muted",
    "stale": "warning",
    "own": "text",
    "link": "accent",
    "flame-own": "selected-unfocused",
    "flame-own-2": "flame-own",
    "flame-library": "flame-own",
    "flame-library-2": "flame-library",
    "flame-standard": "flame-library",
    "flame-standard-2": "flame-standard",
    "flame-native": "flame-standard",
    "flame-match": "paused",
    "flame-selected": "badge",
}
"""The styles panes use, each with the one that stands in for it in a theme that lacks it."""

MONOCHROME: dict[str, str] = {
    **dict.fromkeys(STYLES, ""),
    "muted": "dim",
    "title": "bold",
    "title-focused": "bold reverse",
    "border": "dim",
    "border-focused": "bold",
    "warning": "bold",
    "critical": "bold reverse",
    "bar-warning": "bold",
    "bar-critical": "bold reverse",
    "bar-empty": "dim",
    "axis": "dim",
    "header": "underline",
    "selected": "reverse",
    "selected-unfocused": "underline",
    "key": "bold",
    "badge": "bold reverse",
    "paused": "bold reverse",
    "absent": "dim",
    "stale": "underline",
    "own": "bold",
    "link": "underline",
    "flame-own": "bold",
    "flame-own-2": "bold",
    "flame-library": "",
    "flame-library-2": "",
    "flame-standard": "dim",
    "flame-standard-2": "dim",
    "flame-native": "dim",
    "flame-match": "underline bold",
    "flame-selected": "bold reverse",
}

_TEXTUAL_COLOURS = frozenset(
    [
        "primary",
        "secondary",
        "warning",
        "error",
        "success",
        "accent",
        "foreground",
        "background",
        "surface",
        "panel",
        "boost",
    ]
)
_TEXTUAL_NUMBERS = frozenset({"luminosity_spread", "text_alpha"})
_TABLES = frozenset({"palette", "textual", "variables", "styles"})
_TOP = frozenset({"name", "dark", "ansi"}) | _TABLES

_ANSI_VARIABLES = {"ansi-background": "ansi_default", "ansi-foreground": "ansi_default"}
"""Textual's own style sheets use these and define them for themes in full colour only."""
_ANSI_WORDS = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"]
ANSI_COLOURS = frozenset(
    [
        "ansi_default",
        *(f"ansi_{w}" for w in _ANSI_WORDS),
        *(f"ansi_bright_{w}" for w in _ANSI_WORDS),
    ]
)
_HEX = re.compile(r"#[0-9a-fA-F]{6}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_REFERENCE = re.compile(r"\$([A-Za-z0-9_-]+)")
_ATTRIBUTES = frozenset({"none", "bold", "dim", "italic", "underline", "reverse", "strike"})
_COLOUR_HELP = "#rrggbb, $name of the palette, ansi_default or ansi_[bright_]" + "|".join(
    _ANSI_WORDS
)
_STYLE_HELP = (
    "attributes (bold dim italic underline reverse strike), then COLOUR or COLOUR on COLOUR, "
    "a colour being #rrggbb, $name of the palette, default or a name of the 16 ANSI colours"
)


class ThemeError(ConfigError):
    """A theme is missing or wrong; the message names file, key and what is allowed."""


@dataclass(frozen=True)
class ThemeSpec:
    """A checked theme: `styles` are rich style strings by style name, all of STYLES."""

    name: str
    dark: bool
    ansi: bool
    colours: Mapping[str, str]
    numbers: Mapping[str, float]
    variables: Mapping[str, str]
    styles: Mapping[str, str]
    colourless: bool = False


def directories(config_dir: Path | None = None) -> list[Path]:
    """Return where themes are looked for: the user's, the installed ones, those of a checkout."""
    package = Path(__file__).parents[1]
    user = default_config_dir() if config_dir is None else config_dir
    return [user / "themes", package / "themes", package.parent / "themes"]


def names(config_dir: Path | None = None) -> list[str]:
    """Return the names of all themes that can be loaded, sorted."""
    found: set[str] = set()
    for directory in directories(config_dir):
        found.update(path.stem for path in directory.glob("*.toml"))
    return sorted(found)


def automatic(environ: Mapping[str, str] | None = None) -> str:
    """Return the theme for this terminal: `terminal` where there are only 16 colours."""
    environ = os.environ if environ is None else environ
    forced = environ.get("TEXTUAL_COLOR_SYSTEM", "auto")
    if forced in ("256", "truecolor"):
        return DEFAULT_THEME
    if forced == "standard":
        return ANSI_THEME
    return ANSI_THEME if colour_depth(environ) == "16" else DEFAULT_THEME


def load_theme(name: str, config_dir: Path | None = None) -> ThemeSpec:
    """Return a theme by name, `auto` choosing by terminal; the user's files come first.

    Raises ThemeError naming file and key for a theme that is missing or wrong.
    """
    if name == AUTO:
        name = automatic()
    if _NAME.fullmatch(name):
        for directory in directories(config_dir):
            path = directory / f"{name}.toml"
            if path.is_file():
                return read_theme(path)
    known = [AUTO, *names(config_dir)]
    raise ThemeError(
        f"no theme is called {name!r}{closest(name, known)} (themes: {', '.join(known)}; "
        f"your own go to {directories(config_dir)[0]})"
    )


def read_theme(path: Path) -> ThemeSpec:
    """Return the theme in a file; raises ThemeError naming file, key and what is allowed."""
    import tomllib

    try:
        data = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise ThemeError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ThemeError(f"{path}: not valid TOML: {error}") from None
    return _Reader(path, data).spec()


class _Reader:
    """Checks the tables of one theme file one after the other."""

    def __init__(self, path: Path, data: dict[str, Any]) -> None:
        self._path = path
        self._data = data
        self._palette: dict[str, str] = {}

    def spec(self) -> ThemeSpec:
        for key in self._data:
            if key not in _TOP:
                raise self._unknown(key, key, _TOP)
        name = self._data.get("name", self._path.stem)
        if name != self._path.stem:
            raise self._error(
                "name", f"is {name!r}; it must be the file's name, {self._path.stem!r}"
            )
        for key, value in self._table("palette").items():
            self._palette[key] = self._colour(f"palette.{key}", value)
        colours, numbers = self._textual()
        return ThemeSpec(
            name=name,
            dark=self._flag("dark", True),
            ansi=self._flag("ansi", False),
            colours=colours,
            numbers=numbers,
            variables=self._variables(),
            styles=self._styles(),
        )

    def _error(self, key: str, problem: str) -> ThemeError:
        return ThemeError(f"{self._path}: {key} {problem}")

    def _unknown(self, key: str, word: str, known: frozenset[str]) -> ThemeError:
        hint = closest(word, sorted(known))
        return self._error(key, f"is unknown{hint} (known: {', '.join(sorted(known))})")

    def _table(self, name: str) -> dict[str, Any]:
        table = self._data.get(name, {})
        if not isinstance(table, dict):
            raise self._error(name, "must be a table")
        return table

    def _flag(self, key: str, default: bool) -> bool:
        value = self._data.get(key, default)
        if not isinstance(value, bool):
            raise self._error(key, f"is {value!r}; it must be true or false")
        return value

    def _colour(self, key: str, value: object) -> str:
        if isinstance(value, str):
            colour = value
            if value.startswith("$"):
                colour = self._reference(key, value[1:])
            if _HEX.fullmatch(colour) or colour in ANSI_COLOURS:
                return colour
        raise self._error(key, f"is {value!r}; a colour is {_COLOUR_HELP}")

    def _reference(self, key: str, name: str) -> str:
        if name not in self._palette:
            known = ", ".join(self._palette) or "nothing"
            hint = closest(name, self._palette)
            raise self._error(key, f"uses ${name}{hint} (the palette has {known})")
        return self._palette[name]

    def _textual(self) -> tuple[dict[str, str], dict[str, float]]:
        colours: dict[str, str] = {}
        numbers: dict[str, float] = {}
        for name, value in self._table("textual").items():
            key = f"textual.{name}"
            if name in _TEXTUAL_NUMBERS:
                if not isinstance(value, (int, float)) or isinstance(value, bool):
                    raise self._error(key, f"is {value!r}; it must be a number from 0 to 1")
                if not 0 <= value <= 1:
                    raise self._error(key, f"is {value!r}; it must be a number from 0 to 1")
                numbers[name] = float(value)
            elif name in _TEXTUAL_COLOURS:
                colours[name] = self._colour(key, value)
            else:
                raise self._unknown(key, name, _TEXTUAL_COLOURS | _TEXTUAL_NUMBERS)
        for name in ("primary", "foreground", "background"):
            if name not in colours:
                raise self._error(f"textual.{name}", f"is missing; it is {_COLOUR_HELP}")
        return colours, numbers

    def _variables(self) -> dict[str, str]:
        variables: dict[str, str] = {}
        for name, value in self._table("variables").items():
            key = f"variables.{name}"
            if not _NAME.fullmatch(name):
                raise self._error(key, "is not a name of a Textual variable")
            if name.endswith("-style"):
                if not isinstance(value, str) or not set(value.split()) <= _ATTRIBUTES:
                    allowed = " ".join(sorted(_ATTRIBUTES))
                    raise self._error(key, f"is {value!r}; it must be words of: {allowed}")
                variables[name] = value
            else:
                variables[name] = self._colour(key, value)
        return variables

    def _styles(self) -> dict[str, str]:
        given: dict[str, str] = {}
        for name, value in self._table("styles").items():
            if name not in STYLES:
                raise self._unknown(f"styles.{name}", name, frozenset(STYLES))
            given[name] = self._style(f"styles.{name}", value)
        styles: dict[str, str] = {}
        for name, substitute in STYLES.items():
            while name not in given and substitute:
                if substitute in given:
                    given[name] = given[substitute]
                substitute = STYLES[substitute]
            styles[name] = given.get(name, "")
        return styles

    def _style(self, key: str, value: object) -> str:
        from rich.errors import StyleSyntaxError
        from rich.style import Style

        if not isinstance(value, str):
            raise self._error(key, f"is {value!r}; a style is {_STYLE_HELP}")

        def resolve(match: re.Match[str]) -> str:
            return self._reference(key, match.group(1)).removeprefix("ansi_")

        style = _REFERENCE.sub(resolve, value)
        try:
            parsed = Style.parse(style)
        except StyleSyntaxError:
            raise self._error(key, f"is {value!r}; a style is {_STYLE_HELP}") from None
        # Nothing on the screen moves unless data changed; links of rich would send an OSC sequence.
        if parsed.blink or parsed.blink2 or parsed.conceal or parsed.link:
            raise self._error(key, f"is {value!r}; a style is {_STYLE_HELP}")
        return style


def without_colour(spec: ThemeSpec) -> ThemeSpec:
    """Return the theme for NO_COLOR: attributes only, so that no colour sequence is ever sent."""
    return ThemeSpec(
        name=spec.name,
        dark=spec.dark,
        ansi=True,
        colours=dict.fromkeys(_TEXTUAL_COLOURS, "ansi_default"),
        numbers={},
        variables={},
        styles=dict(MONOCHROME),
        colourless=True,
    )


def rich_styles(spec: ThemeSpec) -> dict[str, Style]:
    """Return rich styles by style name, each with the theme's own text and background filled in."""
    from rich.style import Style

    base = Style.null()
    if not spec.colourless:
        base = Style(
            color=spec.colours["foreground"].removeprefix("ansi_"),
            bgcolor=spec.colours["background"].removeprefix("ansi_"),
        )
    return {name: base + Style.parse(style) for name, style in spec.styles.items()}


def textual_theme(spec: ThemeSpec) -> Theme:
    """Return the theme for `App.register_theme`; raises ThemeError where Textual refuses it."""
    from textual.color import ColorParseError
    from textual.theme import Theme

    optional: dict[str, Any] = {**spec.colours, **spec.numbers}
    theme = Theme(
        name=spec.name,
        dark=spec.dark,
        ansi=spec.ansi,
        variables={**(_ANSI_VARIABLES if spec.ansi else {}), **spec.variables},
        **optional,
    )
    try:
        theme.to_color_system().generate()
    except ColorParseError as error:
        raise ThemeError(f"theme {spec.name}: {error}") from None
    return theme
