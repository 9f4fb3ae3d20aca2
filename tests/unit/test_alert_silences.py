"""The book of silences in its file: saved, shared, expired, broken."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from perftui.analysis.alerting.silences import Silence, SilenceBook

LATER = time.time() + 3600


def silence(name: str, until: float = LATER, **changes: str) -> Silence:
    return Silence(name, until, by="ann", comment="deploy", created=until - 3600, **changes)


def active(book: SilenceBook) -> list[str]:
    return [one.id for one in book.active(time.time())]


def test_silences_survive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state" / "silences.json"
    book = SilenceBook(path)
    book.add(silence("a", rule="R10", subject="web/*"))
    again = SilenceBook(path)
    assert again.active(time.time()) == book.active(time.time())
    assert path.stat().st_mode & 0o077 == 0
    assert again.remove("a")
    assert not again.remove("a")
    assert active(SilenceBook(path)) == []


def test_two_processes_share_the_file(tmp_path: Path) -> None:
    path = tmp_path / "silences.json"
    one, other = SilenceBook(path), SilenceBook(path)
    one.add(silence("a"))
    other.add(silence("b"))
    one.add(silence("c"))
    assert sorted(active(SilenceBook(path))) == ["a", "b", "c"]


def test_another_process_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perftui.analysis.alerting.silences.LOOK_AGAIN", 0.0)
    path = tmp_path / "silences.json"
    one, other = SilenceBook(path), SilenceBook(path)
    assert active(one) == []
    other.add(silence("a"))
    assert active(one) == ["a"]
    other.remove("a")
    assert active(one) == []


def test_they_expire_by_the_wall_clock(tmp_path: Path) -> None:
    book = SilenceBook(tmp_path / "silences.json")
    book.add(silence("old", time.time() - 1))
    book.add(silence("new"))
    assert active(book) == ["new"]
    assert b'"old"' not in (tmp_path / "silences.json").read_bytes()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b'{"silences": [{"id": 3}]}', b"[]", b"null"]
)
def test_a_broken_file_is_kept_aside_and_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "silences.json"
    path.write_bytes(content)
    book = SilenceBook(path)
    assert active(book) == []
    assert str(path) in book.problem
    (aside,) = tmp_path.glob("silences.json.unreadable-*")
    assert aside.read_bytes() == content
    book.add(silence("a"))
    assert active(SilenceBook(path)) == ["a"]
    assert aside.name in book.problem


def test_without_a_place_for_the_file_they_last_as_long_as_the_process(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    book = SilenceBook(blocked / "perftui" / "silences.json")
    book.add(silence("a"))
    assert active(book) == ["a"]
    assert str(blocked) in book.problem
    assert "Not a directory" in book.problem


def test_a_file_that_cannot_be_replaced_is_told(tmp_path: Path) -> None:
    path = tmp_path / "silences.json"
    path.mkdir()
    book = SilenceBook(path)
    book.add(silence("a"))
    assert active(book) == ["a"]
    assert str(path) in book.problem
    assert not list(tmp_path.glob(f".silences.json.{os.getpid()}"))


@pytest.mark.parametrize(
    ("given", "rule", "subject", "matches"),
    [
        ({}, "R10", "host", True),
        ({"rule": "R1?"}, "R10", "host", True),
        ({"rule": "r10"}, "R10", "host", False),
        ({"subject": "web/*"}, "R10", "web/a/b", True),
        ({"subject": "web/*"}, "R10", "db", False),
        ({"rule": "R10", "subject": "web/[[]id]"}, "R10", "web/[id]", True),
        ({"fingerprint": "f"}, "R10", "host", True),
        ({"fingerprint": "g"}, "R10", "host", False),
    ],
)
def test_patterns(given: dict[str, str], rule: str, subject: str, matches: bool) -> None:
    assert silence("a", **given).matches(rule, subject, "f") is matches


def test_nothing_is_written_without_a_path() -> None:
    book = SilenceBook()
    book.add(silence("a"))
    assert active(book) == ["a"]
    assert book.problem == ""
