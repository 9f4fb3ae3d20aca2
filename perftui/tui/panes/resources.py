"""Resources: CPU, memory, control group, disk, network, pressure; zoomed what fills up as well."""

from __future__ import annotations

from typing import Any

from perftui.analysis.fullness import mounted
from perftui.format import byte_rate, percent, size
from perftui.snapshot import Absent, Cgroup, Maybe, Snapshot, State
from perftui.tui.charts import HistoryChart, bar, level_style, sparkline
from perftui.tui.glyphs import Glyphs
from perftui.tui.lines import Line, Span, fit_line
from perftui.tui.panes.file_systems import (
    descriptor_line,
    file_system_lines,
    file_system_table,
)
from perftui.tui.panes.pane import Pane, absent_lines, joined, missing, stale_span
from perftui.tui.table import Table
from perftui.tui.view import View

CPU_LIMITS = (80.0, 95.0)
MEMORY_LIMITS = (80.0, 90.0)
LABEL = 5
SPARK = 18
DETAIL = 15
"""Cells for the amount behind a gauge, the same for all, so that the bars end in one column."""
LEAST_ROWS = 4
"""Lines that the table of file systems keeps in a zoom, where it has so many."""
LEAST_CHART = 6
"""Lines of one chart with its title."""


class ResourcesPane(Pane):
    """CPU and memory against what this machine or control group may use.

    Zoomed with charts, open files and the file systems, the fullest first.
    """

    id = "resources"
    number = "1"
    title = "Resources"
    tab = "Res"
    table_when_zoomed = True
    default_sort = "used"
    needs = frozenset({"host", "cgroup"})

    def __init__(self) -> None:
        self._cpu_chart = HistoryChart("CPU %")
        self._memory_chart = HistoryChart("memory %")

    def heading(self, snapshot: Snapshot, view: View) -> Line:
        limits: list[str] = []
        cgroup = snapshot.resources.cgroup
        if not isinstance(cgroup, Absent):
            if isinstance(cgroup.cpu_limit, float):
                limits.append(f"{cgroup.cpu_limit:g} cpu")
            if isinstance(cgroup.memory_limit, int):
                limits.append(size(cgroup.memory_limit).strip())
        if limits:
            scope = f"cgroup limit {f' {view.glyphs.separator} '.join(limits)}"
        elif isinstance(snapshot.host, Absent):
            scope = ""
        else:
            scope = f"host {view.glyphs.separator} {snapshot.host.cpus} cpu"
        return (*stale_span(snapshot.status("host")), (scope, "muted"))

    def head(self, snapshot: Snapshot, view: View) -> list[Line]:
        resources = snapshot.resources
        if isinstance(resources.cpu, Absent) and isinstance(resources.memory, Absent):
            nothing = absent_lines(resources.cpu, view)
            if not view.zoomed or isinstance(snapshot.file_systems, Absent):
                return nothing
            return [*nothing, *file_system_lines(snapshot, view)]
        lines = [self._cpu_line(snapshot, view)]
        cores = self._core_lines(snapshot, view)
        lines += cores
        lines.append(self._memory_line(snapshot, view))
        lines += self._cgroup_lines(resources.cgroup, view)
        lines.append(self._rates_line(snapshot, view))
        lines.append(self._pressure_line(snapshot, view))
        if (swap := self._swap_line(snapshot, view)) is not None:
            lines.append(swap)
        files: list[Line] = []
        room = view.height
        if view.zoomed:
            lines.append(descriptor_line(snapshot, view))
            files = file_system_lines(snapshot, view)
            room -= len(files) + _table_room(snapshot, view)
        if len(lines) > room and len(cores) > 1:
            del lines[2 : 2 + min(len(cores) - 1, len(lines) - room)]
        if view.zoomed:
            lines += self._charts(view, room - len(lines))
        return [*lines, *files]

    def table(self, snapshot: Snapshot, view: View) -> Table[Any] | None:
        return file_system_table(snapshot, view) if view.zoomed else None

    def mark(self, snapshot: Snapshot) -> Span:
        cpu, memory = snapshot.resources.cpu, snapshot.resources.memory
        if not isinstance(memory, Absent) and memory.percent >= MEMORY_LIMITS[1]:
            return ("!", "critical")
        if not isinstance(cpu, Absent) and not isinstance(cpu.percent, Absent):
            return ("!", "warning") if cpu.percent >= CPU_LIMITS[0] else (" ", "muted")
        return (" ", "muted")

    def _cpu_line(self, snapshot: Snapshot, view: View) -> Line:
        cpu = snapshot.resources.cpu
        value: Maybe[float] = cpu if isinstance(cpu, Absent) else cpu.percent
        return gauge_line("CPU", value, CPU_LIMITS, (), "cpu.percent", view)

    def _core_lines(self, snapshot: Snapshot, view: View) -> list[Line]:
        cpu = snapshot.resources.cpu
        if isinstance(cpu, Absent) or isinstance(cpu.per_core, Absent):
            return []
        return core_lines(cpu.per_core, view)

    def _memory_line(self, snapshot: Snapshot, view: View) -> Line:
        memory = snapshot.resources.memory
        if isinstance(memory, Absent):
            return gauge_line("MEM", memory, MEMORY_LIMITS, (), "memory.percent", view)
        used = ((f" {_of(memory.used, memory.total)}", "text"),)
        return gauge_line("MEM", memory.percent, MEMORY_LIMITS, used, "memory.percent", view)

    def _swap_line(self, snapshot: Snapshot, view: View) -> Line | None:
        swap = snapshot.resources.swap
        if isinstance(swap, Absent) or swap.total == 0:
            return None
        used = ((f" {_of(swap.used, swap.total)}", "text"),)
        return gauge_line("SWAP", swap.percent, (50.0, 80.0), used, "swap.percent", view)

    def _cgroup_lines(self, cgroup: Maybe[Cgroup], view: View) -> list[Line]:
        if isinstance(cgroup, Absent):
            return []
        lines: list[Line] = []
        if isinstance(cgroup.cpu_limit, float):
            cores: tuple[Span, ...] = ()
            if not isinstance(cgroup.cpu_cores, Absent):
                cores = ((f" {cgroup.cpu_cores:.2f}/{cgroup.cpu_limit:g} cpu", "text"),)
            lines.append(
                gauge_line("cCPU", cgroup.cpu_percent, CPU_LIMITS, cores, "cgroup.cpu", view)
            )
            throttled = cgroup.throttled_percent
            if not isinstance(throttled, Absent):
                style = "warning" if throttled > 0 else "muted"
                lines.append(
                    (
                        ("     throttled ", "muted"),
                        (f"{percent(throttled).strip()} % of periods", style),
                    )
                )
        if isinstance(cgroup.memory_limit, int):
            used: tuple[Span, ...] = ()
            if not isinstance(cgroup.memory_used, Absent):
                used = ((f" {_of(cgroup.memory_used, cgroup.memory_limit)}", "text"),)
            lines.append(
                gauge_line(
                    "cMEM", cgroup.memory_percent, MEMORY_LIMITS, used, "cgroup.memory", view
                )
            )
        return lines

    def _rates_line(self, snapshot: Snapshot, view: View) -> Line:
        disk, network = snapshot.resources.disk, snapshot.resources.network
        glyphs = view.glyphs
        parts: list[tuple[Span, ...]]
        if isinstance(disk, Absent):
            parts = [(("disk ", "muted"), missing(disk))]
        else:
            parts = [
                (
                    ("disk r ", "muted"),
                    _rate(disk.read_rate),
                    (" w ", "muted"),
                    _rate(disk.write_rate),
                )
            ]
        if isinstance(network, Absent):
            parts.append((("net ", "muted"), missing(network)))
        else:
            parts.append(
                (
                    (f"net {glyphs.receive} ", "muted"),
                    _rate(network.receive_rate),
                    (f" {glyphs.transmit} ", "muted"),
                    _rate(network.transmit_rate),
                )
            )
        return joined(parts, glyphs.separator)

    def _pressure_line(self, snapshot: Snapshot, view: View) -> Line:
        pressure = snapshot.resources.pressure
        separator = view.glyphs.separator
        parts: list[tuple[Span, ...]] = []
        if isinstance(pressure, Absent):
            parts.append((("pressure ", "muted"), missing(pressure)))
            if pressure.state is not State.NOT_COLLECTED:
                parts[-1] = (*parts[-1], (f" {pressure.reason}", "muted"))
        else:
            spans: list[Span] = [("psi", "muted")]
            for name, stall in (
                ("cpu", pressure.cpu),
                ("mem", pressure.memory),
                ("io", pressure.io),
            ):
                spans.append((f" {name}", "muted"))
                if isinstance(stall, Absent):
                    spans += [("    ", "text"), missing(stall)]
                else:
                    style = "warning" if stall.some_avg10 >= 20 else "text"
                    spans.append((percent(stall.some_avg10), style))
            parts.append(tuple(spans))
        cpu = snapshot.resources.cpu
        if not isinstance(cpu, Absent):
            extra: list[Span] = []
            for name, value in (("iowait", cpu.iowait_percent), ("steal", cpu.steal_percent)):
                if not isinstance(value, Absent):
                    extra += [(name, "muted"), (percent(value), "text"), (" ", "text")]
            parts.append(tuple(extra[:-1]))
        return joined(parts, separator)

    def _charts(self, view: View, room: int) -> list[Line]:
        charts = [(self._cpu_chart, "cpu.percent"), (self._memory_chart, "memory.percent")]
        del charts[max(0, room) // LEAST_CHART :]
        if not charts:
            return []
        each = room // len(charts)
        lines: list[Line] = []
        for chart, name in charts:
            lines.append(((f" {chart.title}", "title"),))
            lines += chart.lines(
                view.history,
                name,
                view.interval,
                (view.width, each - 1),
                (0.0, 100.0),
                view.glyphs,
            )
        return lines


def _table_room(snapshot: Snapshot, view: View) -> int:
    """Return the lines for the table of file systems, no more than it can fill."""
    if isinstance(snapshot.file_systems, Absent):
        return 0
    wanted = 1 + max(1, len(mounted(snapshot)))
    return min(wanted, max(1 + LEAST_ROWS, view.height // 3))


def gauge_line(
    label: str,
    value: Maybe[float],
    limits: tuple[float, float],
    detail: tuple[Span, ...],
    series: str,
    view: View,
) -> Line:
    """Return one gauge: label, bar, percent, sparkline of the last minute, detail."""
    spark = SPARK if view.width >= 70 else 10 if view.width >= 50 else 0
    room = view.width - LABEL - 8 - DETAIL - (spark + 1 if spark else 0)
    measured = None if isinstance(value, Absent) else value
    style = "bar" if measured is None else level_style(measured, *limits)
    spans: list[Span] = [(label.ljust(LABEL), "title")]
    spans += bar(measured, max(4, room), view.glyphs, style)
    if isinstance(value, Absent):
        spans += [("     ", "text"), missing(value), ("  ", "muted")]
    else:
        word = {"bar-critical": "critical", "bar-warning": "warning"}.get(style, "text")
        spans += [(f" {percent(value)} ", word), ("%", "muted")]
    spans += fit_line(detail, DETAIL, view.glyphs.ellipsis)
    if spark:
        values = view.history.series(series, spark * 2)
        spans += [(" ", "text"), (sparkline(values, spark, 100.0, view.glyphs), "chart")]
    return tuple(spans)


def core_lines(per_core: tuple[float, ...], view: View) -> list[Line]:
    """Return the cores as small gauges, or one character each where there are many."""
    count = len(per_core)
    cell = 20 if view.width >= 44 else 16
    per_line = max(1, (view.width - LABEL) // cell)
    indent: Span = (" " * LABEL, "text")
    if count > 4 * per_line and not view.zoomed:
        strip = "".join(sparkline((value,), 1, 100.0, _one_sample(view)) for value in per_core)
        room = view.width - LABEL
        return [
            (indent, (strip[start : start + room], "bar")) for start in range(0, len(strip), room)
        ]
    lines: list[Line] = []
    for start in range(0, count, per_line):
        spans: list[Span] = [indent]
        for number in range(start, min(start + per_line, count)):
            value = per_core[number]
            spans.append((f"{number:>2} ", "muted"))
            spans += bar(value, cell - 9, view.glyphs, level_style(value, *CPU_LIMITS))
            spans.append((f"{percent(value)} ", "text"))
        lines.append(tuple(spans))
    return lines


def _one_sample(view: View) -> Glyphs:
    from dataclasses import replace

    return replace(view.glyphs, chart="ascii" if view.ascii_only else "block")


def _rate(value: Maybe[float]) -> Span:
    return missing(value) if isinstance(value, Absent) else (byte_rate(value), "text")


def _of(used: int, total: int) -> str:
    """Return `6.50/8.00 GiB`, both in the unit of the total."""
    unit_size, unit = 1, "B"
    for exponent, name in enumerate(("KiB", "MiB", "GiB", "TiB", "PiB"), start=1):
        if total >= 1024**exponent:
            unit_size, unit = 1024**exponent, name
    left, right = used / unit_size, total / unit_size
    digits = 2 if right < 10 else 1 if right < 100 else 0
    return f"{left:.{digits}f}/{right:.{digits}f} {unit}"
