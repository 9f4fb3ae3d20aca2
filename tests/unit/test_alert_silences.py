"""The book of silences in its file: saved, shared, expired, broken."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
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
    assert silence("a", LATER, **given).matches(rule, subject, "f") is matches


def test_nothing_is_written_without_a_path() -> None:
    book = SilenceBook()
    book.add(silence("a"))
    assert active(book) == ["a"]
    assert book.problem == ""


def test_what_cannot_be_saved_stays_in_force_and_is_saved_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perftui.analysis.alerting.silences.LOOK_AGAIN", 0.0)
    path = tmp_path / "silences.json"
    one, other = SilenceBook(path), SilenceBook(path)
    other.add(silence("b"))
    obstacle = tmp_path / f".silences.json.{os.getpid()}"
    obstacle.mkdir()
    one.add(silence("a"))
    assert one.remove("b")
    assert "saved" in one.problem
    # Somebody else's change must not undo what could not be saved.
    path.write_bytes(path.read_bytes() + b"\n")
    assert active(one) == ["a"]
    assert "saved" in one.problem
    obstacle.rmdir()
    assert active(one) == ["a"]
    assert one.problem == ""
    assert active(SilenceBook(path)) == ["a"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads and writes everything")
def test_a_file_that_cannot_be_read_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "silences.json"
    SilenceBook(path).add(silence("a"))
    path.chmod(0)
    book = SilenceBook(path)
    book.add(silence("b"))
    assert active(book) == ["b"]
    assert "Permission denied" in book.problem
    path.chmod(0o600)
    assert active(SilenceBook(path)) == ["a"]


def test_a_file_that_is_a_directory_is_not_read_and_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "silences.json"
    (path / "inside").mkdir(parents=True)
    book = SilenceBook(path)
    book.add(silence("b"))
    assert active(book) == ["b"]
    assert (path / "inside").is_dir()
    assert "cannot be read from" in book.problem


def test_a_file_that_breaks_later_takes_no_silence_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perftui.analysis.alerting.silences.LOOK_AGAIN", 0.0)
    path = tmp_path / "silences.json"
    book = SilenceBook(path)
    book.add(silence("a"))
    path.write_bytes(b"{")
    assert active(book) == ["a"]
    assert "cannot be read" in book.problem
    assert active(SilenceBook(path)) == ["a"]


def test_a_clock_that_is_set_back_does_not_make_an_hour_years(tmp_path: Path) -> None:
    path = tmp_path / "silences.json"
    year = 365 * 86400.0
    # What was written while the clock was a year ahead: one hour of silence.
    SilenceBook(path).add(silence("a", time.time() + year + 3600))
    book = SilenceBook(path)
    now = time.time()
    (found,) = book.active(now)
    assert found.until == pytest.approx(now + 3600, abs=1)
    # It is not begun anew by whoever starts later.
    again = SilenceBook(path)
    assert [one.until for one in again.active(now + 600)] == [found.until]
    assert SilenceBook(path).active(now + 3601) == ()


@pytest.mark.parametrize("until", ["1e300", "-1", "253402300800", '"soon"'])
def test_times_that_no_clock_shows_are_a_broken_file(tmp_path: Path, until: str) -> None:
    path = tmp_path / "silences.json"
    path.write_text(f'{{"silences": [{{"id": "a", "until": {until}}}]}}')
    book = SilenceBook(path)
    assert active(book) == []
    assert "cannot be read" in book.problem


def test_the_longest_silence_can_be_read_again(tmp_path: Path) -> None:
    path = tmp_path / "silences.json"
    SilenceBook(path).add(Silence("a", 1e15))
    book = SilenceBook(path)
    assert active(book) == ["a"]
    assert book.problem == ""


def test_a_lock_that_is_never_given_back_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perftui.analysis.alerting.silences.PATIENCE", 0.05)
    monkeypatch.setattr("perftui.analysis.alerting.silences.LOOK_AGAIN", 0.0)
    path = tmp_path / "silences.json"
    with (tmp_path / "silences.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        book = SilenceBook(path)
        book.add(silence("a"))
        assert active(book) == ["a"]
        assert "another process" in book.problem
    assert active(book) == ["a"]
    assert book.problem == ""
    assert active(SilenceBook(path)) == ["a"]


def test_a_file_system_without_locks_is_used_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("perftui.analysis.alerting.silences.fcntl.flock", refuse)
    path = tmp_path / "silences.json"
    SilenceBook(path).add(silence("a"))
    assert active(SilenceBook(path)) == ["a"]


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "silences.json"
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from perftui.analysis.alerting.silences import Silence, SilenceBook\n"
        "book = SilenceBook(Path(sys.argv[1]))\n"
        "for number in range(15):\n"
        "    book.add(Silence(f'{sys.argv[2]}{number:02}', time.time() + 3600))\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", program, str(path), name]) for name in ("a", "b")
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    expected = sorted(f"{name}{number:02}" for name in "ab" for number in range(15))
    assert sorted(active(SilenceBook(path))) == expected


def test_trouble_is_told_without_touching_anything(tmp_path: Path) -> None:
    path = tmp_path / "state" / "perftui" / "silences.json"
    assert SilenceBook.trouble(path) == ""
    assert list(tmp_path.iterdir()) == []
    SilenceBook(path).add(silence("a"))
    assert SilenceBook.trouble(path) == ""
    path.write_bytes(b"{")
    assert "cannot be read" in SilenceBook.trouble(path)
    assert path.read_bytes() == b"{"
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert "Not a directory" in SilenceBook.trouble(blocked / "silences.json")
