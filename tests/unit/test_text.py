"""The sanitiser and the arithmetic of cells."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from perftui.text import cell_width, fit, printable

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=60)
SPECIAL = (
    "\x1b\n\r\t\x7f\x85\x9b\xad\u202e\u2066\u200b\u200d\u2028\u0301\u20e3\ufe0f\ue000"
    "\udc80\ufffe\u0378\U0001f3fb\u1160\U000e0001\u3000"
)
NASTY_TEXT = st.text(st.sampled_from("abc é日😀" + SPECIAL), max_size=40)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text ~", "plain text ~"),
        ("a\x1b[31mred", "a\\x1b[31mred"),
        ("two\nlines\tand\r", "two\\nlines\\tand\\r"),
        ("\x7f\x9b\x85", "\\x7f\\u009b\\u0085"),
        ("abc\u202egpj.exe", "abc\\u202egpj.exe"),
        ("a\u200bb\u200dc\ufeff", "a\\u200bb\\u200dc\\ufeff"),
        ("e\u0301 \u20e3 \ufe0f", "e\\u0301 \\u20e3 \\ufe0f"),
        ("caf\udce9", "caf\\udce9"),
        ("\ue000\u0378\u2028\u2029", "\\ue000\\u0378\\u2028\\u2029"),
        ("日本語 é 😀", "日本語 é 😀"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_only_visible_characters_are_left(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_ascii_mode_escapes_everything_else() -> None:
    assert printable("é日😀x\n", ascii_only=True) == "\\u00e9\\u65e5\\U0001f600x\\n"


@given(ANY_TEXT | NASTY_TEXT)
def test_result_cannot_act_on_a_terminal(text: str) -> None:
    shown = printable(text)
    assert shown == "" or shown.isprintable()
    assert not any(unicodedata.category(c)[0] in "CM" for c in shown)
    assert all(cell_len(c) > 0 for c in shown)
    assert printable(shown) == shown
    assert printable(text, ascii_only=True).isascii()
    assert cell_width(shown) == sum(cell_len(c) for c in shown)


@given(
    ANY_TEXT | NASTY_TEXT,
    st.integers(-2, 50),
    st.sampled_from(["left", "right", "center"]),
    st.sampled_from(["…", "~", "", "..."]),
)
def test_fit_takes_exactly_the_width(text: str, width: int, align: str, ellipsis: str) -> None:
    fitted = fit(text, width, align, ellipsis)  # type: ignore[arg-type]
    assert cell_len(fitted) == max(width, 0)


def test_fit_crops_pads_and_aligns() -> None:
    assert fit("abcdef", 4) == "abc…"
    assert fit("abcd", 4) == "abcd"
    assert fit("ab", 4) == "ab  "
    assert fit("ab", 4, "right") == "  ab"
    assert fit("ab", 5, "center") == " ab  "
    # A wide character that does not fit leaves a blank cell behind the ellipsis.
    assert fit("日本語", 4) == "日… "
    assert fit("日本語", 6) == "日本語"
    assert fit("abcdef", 2, ellipsis="...") == ".."
