"""File systems and open files as people and Prometheus see them."""

from __future__ import annotations

import msgspec
import pytest
from exposition_checks import promtool_complaints, text_samples
from prometheus_client import CollectorRegistry
from sample import HOSTILE, descriptors, file_systems, filled_history, full_snapshot, statuses
from sample_alerts import alert

from perftui.analysis.fullness import HOURS_RULE, limit_of, mounted, nearest_to_limit
from perftui.output.exporter_metrics import MOST_MOUNTS, SnapshotCollector
from perftui.output.once import report
from perftui.snapshot import (
    Absent,
    AlertState,
    Descriptors,
    FileSystem,
    FileSystems,
    Snapshot,
    SourceStatus,
    State,
)
from perftui.text import printable
from perftui.tui.glyphs import ASCII, UNICODE, Glyphs
from perftui.tui.lines import Line, width_of
from perftui.tui.panes.resources import ResourcesPane
from perftui.tui.table import TableState, arrange, fit_columns, record_line
from perftui.tui.view import View

replace = msgspec.structs.replace
DENIED = Absent(State.DENIED, "the mount table may not be read", "run it as root")


def view(width: int = 118, height: int = 37, glyphs: Glyphs = UNICODE, zoomed: bool = True) -> View:
    return View(width, height, glyphs, filled_history(), 1.0, zoomed=zoomed)


def text_of(lines: list[Line]) -> str:
    return "\n".join("".join(text for text, _ in line) for line in lines)


def rows(snapshot: Snapshot, drawn: View) -> list[str]:
    """Return the table as it is drawn."""
    table = ResourcesPane().table(snapshot, drawn)
    assert table is not None
    sized = fit_columns(table.columns, drawn.width)
    records = arrange(table, TableState(sort="used"), drawn.glyphs).records
    lines = [record_line(record, sized, drawn.glyphs) for record in records]
    assert all(width_of(line) <= drawn.width for line in lines)
    return text_of(lines).split("\n")


def filling(hours: float, **fields: object) -> Snapshot:
    found = alert("fills", "/", rule=HOURS_RULE, value=hours, unit="h", **fields)
    return replace(full_snapshot(), alerts=(found,))


def test_what_hangs_is_first_then_the_fullest_and_last_what_may_not_be_asked() -> None:
    found = [row.mount for row in mounted(full_snapshot())]
    assert found == [
        "/mnt/archive", f"/mnt/{HOSTILE}", "/srv/media", "/var/lib/postgresql", "/", "/dev/shm",
        "/mnt/secret",
    ]  # fmt: skip


def test_hours_to_full_are_known_from_the_alert_that_watches_them() -> None:
    def hours(snapshot: Snapshot) -> object:
        return next(row.hours for row in mounted(snapshot) if row.mount == "/")

    assert hours(filling(5.5)) == 5.5
    assert hours(filling(5.5, state=AlertState.PENDING)) == 5.5
    assert isinstance(hours(filling(5.5, state=AlertState.NODATA)), Absent)
    assert isinstance(hours(full_snapshot()), Absent)
    assert any("5h 30m" in row for row in rows(filling(5.5), view()))
    assert "  5h 30m  / (" in report(filling(5.5))


def test_the_table_is_there_only_in_the_zoom() -> None:
    pane = ResourcesPane()
    assert pane.table(full_snapshot(), view(zoomed=False)) is None
    assert "File systems" not in text_of(pane.head(full_snapshot(), view(zoomed=False)))
    assert "File systems" in text_of(pane.head(full_snapshot(), view()))


@pytest.mark.parametrize("width", [78, 118, 198])
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_every_row_tells_how_full_it_is_or_why_nobody_knows(width: int, glyphs: Glyphs) -> None:
    found = rows(full_snapshot(), view(width, glyphs=glyphs))
    assert "/mnt/archive" in found[0]
    assert "does not answer" in found[0]
    assert "0.0" not in found[0]
    assert "/mnt/secret" in found[-1]
    assert "Permission denied" in found[-1]
    assert "97.8" in found[2]
    assert " 180G" in found[2]
    for row in found:
        assert row == printable(row, glyphs is ASCII)


@pytest.mark.parametrize("height", [20, 37, 47])
@pytest.mark.parametrize("count", [0, 1, 3, 60])
def test_charts_leave_room_for_the_table(height: int, count: int) -> None:
    many = FileSystems(
        tuple(FileSystem(f"/m{n}", "d", "ext4", 100, 50, 50.0, 1.0) for n in range(count))
    )
    lines = ResourcesPane().head(replace(full_snapshot(), file_systems=many), view(118, height))
    assert "File systems" in text_of(lines[-1:])
    left = height - len(lines)
    assert left >= 1 + min(max(1, count), 4)
    assert left <= max(2 + count, height // 3) or "memory %" not in text_of(lines)


def test_a_machine_of_many_cores_keeps_memory_and_file_systems_in_view() -> None:
    snapshot = full_snapshot()
    cpu = msgspec.structs.replace(snapshot.resources.cpu, per_core=(50.0,) * 256)
    resources = replace(snapshot.resources, cpu=cpu)
    lines = ResourcesPane().head(replace(snapshot, resources=resources), view(78, 20))
    text = text_of(lines)
    assert len(lines) < 20
    assert "MEM" in text
    assert "File systems" in text


def test_file_systems_that_are_not_read_say_why() -> None:
    snapshot = replace(full_snapshot(), file_systems=DENIED, descriptors=DENIED)
    text = text_of(ResourcesPane().head(snapshot, view()))
    assert "denied: the mount table may not be read" in text
    assert "fix: run it as root" in text
    assert "files open - the mount table" in text
    written = report(snapshot)
    assert "File systems\n  denied: the mount table may not be read\n  fix: run it" in written


def test_a_stale_reading_is_marked() -> None:
    stale = SourceStatus("file_systems", State.STALE, "", "", 40.0, 0.1, 10.0, 0, 3)
    snapshot = replace(full_snapshot(), sources=statuses(file_systems=stale))
    assert "stale 40 s" in text_of(ResourcesPane().head(snapshot, view()))


def test_open_files_of_the_machine_and_of_the_process_nearest_to_its_limit() -> None:
    text = text_of(ResourcesPane().head(full_snapshot(), view()))
    assert "files open 11.3 k · nearest to its limit gunicorn (101) 88.0 % 901 of 1,024" in text
    limited = replace(full_snapshot(), descriptors=replace(descriptors(), limit=20_000))
    narrow = ResourcesPane().head(limited, view(78, 20))
    assert "56.3 % 11.3 k of 20.0 k · nearest gunicorn (101) 88.0 % of 1,024" in text_of(narrow)
    assert all(width_of(line) <= 78 for line in narrow)
    assert "files open 56.3 % 11.3 k of 20.0 k" in text_of(ResourcesPane().head(limited, view()))


def test_the_limit_of_a_machine_may_be_none_or_unknown() -> None:
    assert limit_of(descriptors()) is None
    assert limit_of(Descriptors(5, 10, (), 0)) == 10
    unknown = Descriptors(DENIED, DENIED, (), 0)
    assert limit_of(unknown) is DENIED
    assert nearest_to_limit(unknown) is None
    snapshot = replace(full_snapshot(), descriptors=unknown)
    assert "files open -" in text_of(ResourcesPane().head(snapshot, view()))
    assert "machine   -" in report(snapshot)


def test_the_text_report_tells_all_of_it() -> None:
    text = report(full_snapshot())
    assert "/mnt/archive: does not answer" in text
    assert "/mnt/secret: Permission denied" in text
    assert "93.8  31.0 GiB   500 GiB       0.4" in text
    assert "machine   11,264, no limit" in text
    assert "gunicorn (101) 901 of 1,024, 88.0 %" in text
    assert "\x1b" not in text
    assert text.index("/srv/media") < text.index("/var/lib/postgresql") < text.index("/dev/shm")


def test_many_refused_mounts_are_one_line() -> None:
    refused = tuple((f"/var/lib/docker/{n}", "Permission denied") for n in range(40))
    text = report(replace(full_snapshot(), file_systems=FileSystems((), (), refused)))
    assert text.count("Permission denied") == 1
    assert "and 35 more: Permission denied" in text
    assert "used %  " not in text


def exported(snapshot: Snapshot) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(SnapshotCollector(lambda: snapshot, lambda: snapshot.monotonic))
    return registry


def test_prometheus_gets_bytes_and_ratios_and_a_zero_for_what_cannot_be_read() -> None:
    found = text_samples(exported(full_snapshot()))
    labels = (("device", "/dev/nvme1n1"), ("kind", "xfs"), ("mount", "/var/lib/postgresql"))
    assert found["perftui_file_system_size_bytes", labels] == 500 * 2**30
    assert found["perftui_file_system_available_bytes", labels] == 31 * 2**30
    assert found["perftui_file_system_usage_ratio", labels] == pytest.approx(0.938)
    assert found["perftui_file_system_inodes_usage_ratio", labels] == pytest.approx(0.004)
    assert found["perftui_file_system_readable", (("mount", "/mnt/archive"),)] == 0
    assert found["perftui_file_system_readable", (("mount", "/mnt/secret"),)] == 0
    assert found["perftui_file_system_readable", (("mount", "/"),)] == 1
    named = [labels for name, labels in found if name == "perftui_file_system_usage_ratio"]
    assert len(named) == len(file_systems().rows)
    media = ("device", "media:/export/video")
    inodes = [ls for name, ls in found if name == "perftui_file_system_inodes_usage_ratio"]
    assert not any(media in labels for labels in inodes)
    assert found["perftui_host_open_descriptors", ()] == 11_264
    assert ("perftui_host_descriptors_limit", ()) not in found


def test_promtool_has_nothing_to_say_about_file_systems() -> None:
    limited = replace(full_snapshot(), descriptors=replace(descriptors(), limit=20_000))
    assert promtool_complaints(exported(limited)) == ""


def test_stale_file_systems_are_not_exported_and_many_are_bounded() -> None:
    stale = SourceStatus("file_systems", State.STALE, "", "", 40.0, 0.1, 10.0, 0, 3)
    gone = text_samples(exported(replace(full_snapshot(), sources=statuses(file_systems=stale))))
    assert not any(name.startswith("perftui_file_system") for name, _ in gone)
    many = tuple(
        FileSystem(f"/m{n}", "d", "ext4", 100, 50, n / 10, 1.0) for n in range(MOST_MOUNTS + 7)
    )
    found = text_samples(exported(replace(full_snapshot(), file_systems=FileSystems(many))))
    assert found["perftui_left_out_items", (("kind", "file system"),)] == 7
    kept = {dict(ls)["mount"] for name, ls in found if name == "perftui_file_system_readable"}
    assert f"/m{MOST_MOUNTS + 6}" in kept
    assert "/m0" not in kept
