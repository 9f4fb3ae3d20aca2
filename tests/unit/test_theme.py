"""Themes: every shipped one is complete, readable and accepted by Textual; wrong ones say why."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rich.color import ColorType
from rich.style import Style

from perftui.config import ConfigError
from perftui.tui.theme import (
    ANSI_COLOURS,
    MONOCHROME,
    STYLES,
    ThemeError,
    ThemeSpec,
    automatic,
    load_theme,
    names,
    read_theme,
    rich_styles,
    textual_theme,
    without_colour,
)

SHIPPED = ("contrast", "day", "dusk", "night", "paper", "terminal")
DECORATION = {"border", "bar-empty"}
"""Lines and empty cells that carry no text and no state; everything else has to be read."""


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    return tmp_path / "no-themes-here"


def luminance(colour: tuple[int, int, int]) -> float:
    """WCAG 2.2, relative luminance."""
    channels = [value / 255 for value in colour]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(style: Style) -> float:
    assert style.color is not None
    assert style.bgcolor is not None
    pair = (style.color.get_truecolor(), style.bgcolor.get_truecolor())
    light, dark = sorted((luminance(colour) for colour in pair), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def coloured(nowhere: Path) -> list[ThemeSpec]:
    return [spec for spec in (load_theme(n, nowhere) for n in SHIPPED) if not spec.ansi]


def test_six_themes_of_four_kinds(nowhere: Path) -> None:
    assert names(nowhere) == list(SHIPPED)
    specs = {name: load_theme(name, nowhere) for name in SHIPPED}
    assert [name for name, spec in specs.items() if not spec.dark] == ["day", "paper"]
    assert [name for name, spec in specs.items() if spec.ansi] == ["terminal"]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_theme_names_every_style_itself(name: str, nowhere: Path) -> None:
    import tomllib

    path = Path(__file__).parents[2] / "themes" / f"{name}.toml"
    assert set(tomllib.loads(path.read_text())["styles"]) == set(STYLES)
    assert set(load_theme(name, nowhere).styles) == set(STYLES)


def test_every_text_can_be_read(nowhere: Path) -> None:
    for spec in coloured(nowhere):
        least = 7.0 if spec.name == "contrast" else 4.5
        for name, style in rich_styles(spec).items():
            if name not in DECORATION:
                assert contrast(style) >= least, (spec.name, name)


def test_textual_colours_can_be_read(nowhere: Path) -> None:
    for spec in coloured(nowhere):
        for name in ("foreground", "accent", "success", "warning", "error", "secondary"):
            for ground in ("background", "surface", "panel"):
                pair = Style.parse(f"{spec.colours[name]} on {spec.colours[ground]}")
                assert contrast(pair) >= 4.5, (spec.name, name, ground)


def test_severities_differ(nowhere: Path) -> None:
    for name in SHIPPED:
        spec = load_theme(name, nowhere)
        for styles in (spec.styles, without_colour(spec).styles):
            assert len({styles[s] for s in ("ok", "warning", "critical")}) == 3, name


def test_terminal_theme_uses_only_the_terminals_own_colours(nowhere: Path) -> None:
    spec = load_theme("terminal", nowhere)
    assert set(spec.colours.values()) | set(spec.variables.values()) <= ANSI_COLOURS | {"none"}
    for name, style in rich_styles(spec).items():
        for colour in (style.color, style.bgcolor):
            assert colour is not None
            assert colour.type in (ColorType.DEFAULT, ColorType.STANDARD), name


@pytest.mark.parametrize("name", SHIPPED)
def test_without_colour_has_attributes_only(name: str, nowhere: Path) -> None:
    spec = without_colour(load_theme(name, nowhere))
    assert spec.ansi
    assert set(spec.colours.values()) == {"ansi_default"}
    for style in rich_styles(spec).values():
        assert style.color is None
        assert style.bgcolor is None
        sent = re.findall(r"\x1b\[([0-9;]*)m", style.render("x"))
        numbers = {int(n) for codes in sent for n in codes.split(";") if n}
        assert numbers <= {0, 1, 2, 3, 4, 7, 9}
    assert set(MONOCHROME) == set(STYLES)


@pytest.mark.parametrize("name", SHIPPED)
def test_textual_takes_the_theme(name: str, nowhere: Path) -> None:
    spec = load_theme(name, nowhere)
    for variant in (spec, without_colour(spec)):
        theme = textual_theme(variant)
        assert theme.name == name
        assert theme.ansi is variant.ansi
        assert theme.to_color_system().generate()["primary"]


@pytest.mark.parametrize("colourless", [False, True])
@pytest.mark.parametrize("name", SHIPPED)
async def test_widgets_of_textual_find_all_their_colours(
    name: str, colourless: bool, nowhere: Path
) -> None:
    from textual.app import App, ComposeResult
    from textual.widgets import Button, Footer, Input, Markdown, OptionList

    spec = load_theme(name, nowhere)

    class Widgets(App[None]):
        def compose(self) -> ComposeResult:
            yield from (Input("x"), OptionList("a", "b"), Button("b"), Markdown("# m"), Footer())

    app = Widgets()
    theme = textual_theme(without_colour(spec) if colourless else spec)
    app.register_theme(theme)
    app.theme = name
    # A colour that is missing or wrong ends the app here, after it has been accepted above.
    async with app.run_test(size=(60, 20)) as pilot:
        app.action_command_palette()
        await pilot.pause()
        assert app.is_running
        assert app.return_code in (None, 0)
    assert app.current_theme.ansi is (colourless or spec.ansi)


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"TERM": "xterm-256color"}, "night"),
        ({"TERM": "linux"}, "terminal"),
        ({"TERM": "xterm"}, "terminal"),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, "night"),
        ({"TERM": "xterm-256color", "TEXTUAL_COLOR_SYSTEM": "standard"}, "terminal"),
        ({"TERM": "xterm", "TEXTUAL_COLOR_SYSTEM": "256"}, "night"),
    ],
)
def test_automatic_choice(environ: dict[str, str], name: str) -> None:
    assert automatic(environ) == name


MINIMAL = '[textual]\nprimary = "#112233"\nforeground = "#ffffff"\nbackground = "#000000"\n'


def write(tmp_path: Path, text: str, name: str = "mine") -> Path:
    directory = tmp_path / "themes"
    directory.mkdir(exist_ok=True)
    path = directory / f"{name}.toml"
    path.write_text(text)
    return path


def test_own_themes_come_first_and_missing_styles_have_a_stand_in(tmp_path: Path) -> None:
    write(tmp_path, MINIMAL + '[styles]\naccent = "bold #abcdef"\nmuted = "dim"\n')
    write(tmp_path, MINIMAL, "night")
    assert "mine" in names(tmp_path)
    assert load_theme("night", tmp_path).colours["primary"] == "#112233"
    styles = load_theme("mine", tmp_path).styles
    assert styles["border-focused"] == styles["link"] == "bold #abcdef"
    assert styles["stale"] == "bold #abcdef"
    assert styles["axis"] == styles["bar-empty"] == "dim"
    assert styles["own"] == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[", "mine.toml: not valid TOML"),
        ("nmae = 'x'\n", "nmae is unknown; did you mean name?"),
        ("name = 'other'\n", "name is 'other'; it must be the file's name, 'mine'"),
        ("dark = 'yes'\n" + MINIMAL, "dark is 'yes'; it must be true or false"),
        ("styles = 3\n" + MINIMAL, "styles must be a table"),
        (MINIMAL.replace("#112233", "blu"), "textual.primary is 'blu'; a colour is #rrggbb"),
        (MINIMAL.replace("#112233", "$ink"), "textual.primary uses $ink (the palette has nothing)"),
        (MINIMAL + 'acent = "#000000"\n', "textual.acent is unknown; did you mean accent?"),
        (MINIMAL + "text_alpha = 2\n", "textual.text_alpha is 2; it must be a number from 0 to 1"),
        ("[textual]\nprimary = '#000000'\n", "textual.foreground is missing"),
        (MINIMAL + '[styles]\ntitel = "bold"\n', "styles.titel is unknown; did you mean title?"),
        (MINIMAL + '[styles]\ntitle = "bald"\n', "styles.title is 'bald'; a style is attributes"),
        (MINIMAL + '[styles]\ntitle = "blink"\n', "styles.title is 'blink'; a style is"),
        (MINIMAL + '[styles]\ntitle = "link http://x"\n', "styles.title is 'link http://x'"),
        (
            '[palette]\nink = "#000000"\n' + MINIMAL + '[styles]\ntitle = "$inc"\n',
            "styles.title uses $inc; did you mean ink? (the palette has ink)",
        ),
        (MINIMAL + '[variables]\nborder = "x y"\n', "variables.border is 'x y'; a colour is"),
    ],
)
def test_wrong_theme_names_file_and_key(tmp_path: Path, text: str, expected: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ThemeError) as caught:
        read_theme(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert expected in str(caught.value)


@pytest.mark.parametrize("name", ["nigth", "../night", "", "/etc/passwd"])
def test_unknown_theme_lists_the_known(name: str, nowhere: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_theme(name, nowhere)
    assert "auto, contrast, day, dusk, night, paper, terminal" in str(caught.value)
    if name == "nigth":
        assert "did you mean night?" in str(caught.value)
