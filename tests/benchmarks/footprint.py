"""What perftui costs while all its panes are live on the demo, beside other monitors in one run.

Run: PYTHONPATH=. python tests/benchmarks/footprint.py [--seconds N] [--size 120x40 ...]
     [--only perftui,htop,...] [--presses N] [--starts N]

Every program runs once a second, under a pseudo-terminal of its own, one after the other. CPU is
that of the process itself in percent of one core: the median and the least of windows of some
seconds. Nothing here is a test: the exit code is always 0.
"""

from __future__ import annotations

import argparse
import compileall
import math
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from measured_program import MeasuredProgram
from peers import PEERS, environment, write_settings

from perftui.demo.messages import PartState
from perftui.demo.stage import DemoStage

REPOSITORY = Path(__file__).resolve().parents[2]
WARM_UP = 6.0
WINDOW = 5.0
PATIENCE = 15.0
OWN = "perftui"
STOCK = "stock"
"""perftui with Textual's own output instead of the cell diff."""
FRAME = b"Resources"
MEASURED = b"load "
"""Stands in perftui's header as soon as there are readings; the frame comes before them."""
PANE_KEYS = (
    (b"1", b"Resources"),
    (b"2", b"Alerts"),
    (b"3", b"Top calls"),
    (b"4", b"Cache"),
    (b"6", b"Servers"),
    (b"8", b"Processes"),
)
"""Keys and the title that is drawn in another style, and so sent again, when they are answered."""


@dataclass
class Figures:
    """What was measured of one program; seconds, bytes and percent of one core."""

    name: str
    size: tuple[int, int]
    cpu: list[float] = field(default_factory=list)
    children: float = 0.0
    rate: float = 0.0
    first_bytes: list[float] = field(default_factory=list)
    paints: list[float] = field(default_factory=list)
    readings: float | None = None
    resident: int = 0
    threads: int = 0
    latencies: list[float] = field(default_factory=list)
    unanswered: int = 0

    @property
    def title(self) -> str:
        """Program and size of its terminal."""
        return f"{self.name} {self.size[0]}x{self.size[1]}"


def main() -> None:
    """Measure what the command line asks for and print it."""
    options = _options()
    wanted = options.only.split(",") if options.only else [OWN, STOCK, *(p.name for p in PEERS)]
    compileall.compile_dir(str(REPOSITORY / "perftui"), quiet=2)
    missing: list[str] = []
    found: list[Figures] = []
    with tempfile.TemporaryDirectory() as directory, _demo() as (url, worker):
        home = Path(directory)
        write_settings(home)
        print(_machine(), flush=True)
        arguments = ["--redis", url, "--pid", str(worker), "--allow-actions"]
        own = [sys.executable, "-m", "perftui", *arguments]
        for size in options.size:
            if OWN in wanted:
                figures = Figures(OWN, size)
                _measure(figures, own, _own(home), FRAME, options, presses=options.presses)
                found.append(figures)
        size = options.size[0]
        if STOCK in wanted:
            figures = Figures(STOCK, size)
            _measure(figures, own, _own(home, {"PERFTUI_DIFF": "0"}), FRAME, options)
            found.append(figures)
        for peer in (peer for peer in PEERS if peer.name in wanted):
            command = peer.command()
            if command is None:
                missing.append(f"{peer.name} is not installed: {peer.package}")
                continue
            figures = Figures(peer.name, size)
            _measure(figures, command, environment(home), peer.painted, options)
            found.append(figures)
    print(_machine())
    _report(found, missing)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures perftui beside other monitors.")
    parser.add_argument("--seconds", type=float, default=30.0, help="steady state of each program")
    parser.add_argument("--size", type=_size, action="append", help="COLUMNSxROWS, may be repeated")
    parser.add_argument("--only", help="comma-separated programs; stock is perftui without diff")
    parser.add_argument("--presses", type=int, default=150, help="keys pressed in perftui")
    parser.add_argument("--starts", type=int, default=7, help="starts of each program")
    options = parser.parse_args()
    options.size = options.size or [(120, 40), (80, 24)]
    return options


def _size(text: str) -> tuple[int, int]:
    columns, _, rows = text.partition("x")
    return int(columns), int(rows)


@contextmanager
def _demo() -> Iterator[tuple[str, int]]:
    """Run the demo beside the monitors, not below them; give its Redis and a worker."""
    with DemoStage() as stage:
        deadline = time.monotonic() + PATIENCE
        settled = (PartState.READY, PartState.FAILED, PartState.STOPPED)
        while any(part.state not in settled for part in stage.status()):
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        pid = stage.first_worker_pid()
        if pid is None:
            sys.exit(f"the demo did not start: {stage.status()}")
        yield stage.redis_url, pid


def _own(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    return environment(home, {"PYTHONPATH": str(REPOSITORY), **(extra or {})})


def _measure(
    figures: Figures,
    command: Sequence[str],
    variables: Mapping[str, str],
    painted: bytes,
    options: argparse.Namespace,
    presses: int = 0,
) -> None:
    """Fill in the figures of one program, telling on standard error how far this is."""
    _tell(f"{figures.title}: starts")
    for _ in range(options.starts):
        with MeasuredProgram(command, figures.size, variables) as program:
            if (paint := program.wait_for(painted, PATIENCE)) is not None:
                figures.paints.append(paint)
            if program.first_byte is not None:
                figures.first_bytes.append(program.first_byte)
    _tell(f"{figures.title}: steady state")
    with MeasuredProgram(command, figures.size, variables) as program:
        if figures.name == OWN:
            figures.readings = program.wait_for(MEASURED, PATIENCE)
        program.read_for(WARM_UP)
        _steady(figures, program, options.seconds)
        if presses:
            _tell(f"{figures.title}: keys")
            _press(figures, program, presses)


def _steady(figures: Figures, program: MeasuredProgram, seconds: float) -> None:
    windows = max(1, round(seconds / WINDOW))
    children, sent, begin = program.children_cpu_seconds(), program.sent, time.monotonic()
    for _ in range(windows):
        cpu, start = program.cpu_seconds(), time.monotonic()
        program.read_for(WINDOW)
        figures.cpu.append(100 * (program.cpu_seconds() - cpu) / (time.monotonic() - start))
    elapsed = time.monotonic() - begin
    figures.rate = (program.sent - sent) / elapsed
    figures.children = 100 * (program.children_cpu_seconds() - children) / elapsed
    figures.resident = program.resident_bytes()
    figures.threads = program.threads()


def _press(figures: Figures, program: MeasuredProgram, presses: int) -> None:
    """Press keys at moments that have nothing to do with the ticks, each one a real change."""
    chance = random.Random(1)
    current = PANE_KEYS[-1]
    for _ in range(presses):
        current = chance.choice([pair for pair in PANE_KEYS if pair is not current])
        latency = program.press(*current, timeout=2.0)
        if latency is None:
            figures.unanswered += 1
        else:
            figures.latencies.append(latency)
        program.read_for(chance.uniform(0.03, 0.16))


def _tell(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def _machine() -> str:
    begin = time.thread_time()
    sum(number * number for number in range(200_000))
    loop = 1000 * (time.thread_time() - begin)
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    return f"{os.cpu_count()} CPUs, load {load}, reference loop {loop:.1f} ms"


# The report

TITLES = (
    "",
    "CPU %",
    "least",
    "children",
    "B/s",
    "first byte",
    "painted",
    "least",
    "RSS MB",
    "threads",
)


def _report(found: Sequence[Figures], missing: Sequence[str]) -> None:
    _print_table([TITLES, *(_cells(figures) for figures in found)])
    for line in missing:
        print(line)
    for figures in found:
        if figures.readings is not None:
            print(f"{figures.title}: first readings on the screen {1000 * figures.readings:.0f} ms")
        if figures.latencies:
            spread = " ".join(
                f"p{share} {1000 * _quantile(figures.latencies, share / 100):.1f}"
                for share in (50, 90, 99, 100)
            )
            print(
                f"{figures.title}: key to paint, ms: {spread} "
                f"({len(figures.latencies)} keys, {figures.unanswered} unanswered)"
            )
    own = next((figures for figures in found if figures.name == OWN), None)
    if own is not None:
        _ratios(own, [figures for figures in found if figures.name != OWN])
        _budgets([figures for figures in found if figures.name == OWN])


def _cells(figures: Figures) -> list[str]:
    return [
        figures.title,
        f"{_median(figures.cpu):.2f}",
        f"{min(figures.cpu, default=math.nan):.2f}",
        f"{figures.children:.2f}",
        f"{figures.rate:,.0f}",
        f"{1000 * _median(figures.first_bytes):.0f} ms",
        f"{1000 * _median(figures.paints):.0f} ms",
        f"{1000 * min(figures.paints, default=math.nan):.0f} ms",
        f"{figures.resident / 1e6:.1f}",
        str(figures.threads),
    ]


def _ratios(own: Figures, others: Sequence[Figures]) -> None:
    rows = [[f"{own.title} in ratio to", "CPU", "B/s", "painted", "RSS"]]
    for other in others:
        if other.size != own.size:
            continue
        rows.append(
            [
                other.name,
                _ratio(_median(own.cpu), _median(other.cpu)),
                _ratio(own.rate, other.rate),
                _ratio(_median(own.paints), _median(other.paints)),
                _ratio(own.resident, other.resident),
            ]
        )
    if len(rows) > 1:
        print()
        _print_table(rows)


def _budgets(own: Sequence[Figures]) -> None:
    rows = [["budget", "measured", "limit", ""]]
    for figures in own:
        limits: list[tuple[str, float, float, int]] = []
        if figures.size == (120, 40):
            limits += [
                ("CPU %", _median(figures.cpu), 1.0, 2),
                ("first paint ms", 1000 * _median(figures.paints), 300, 0),
                ("RSS MB", figures.resident / 1e6, 55, 1),
                ("B/s", figures.rate, 2000, 0),
            ]
        elif figures.size == (80, 24):
            limits.append(("B/s", figures.rate, 800, 0))
        if figures.latencies:
            limits.append(("key p99 ms", 1000 * _quantile(figures.latencies, 0.99), 50, 1))
        for what, value, limit, digits in limits:
            verdict = "met" if value <= limit else "MISSED"
            rows.append(
                [f"{figures.title} {what}", f"{value:.{digits}f}", f"<= {limit:g}", verdict]
            )
    print()
    _print_table(rows)


def _median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else math.nan


def _quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


def _ratio(value: float, other: float) -> str:
    return f"x{value / other:.2f}" if other else "-"


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        first = row[0].ljust(widths[0])
        cells = zip(row[1:], widths[1:], strict=True)
        print("  ".join([first, *(cell.rjust(width) for cell, width in cells)]).rstrip())


if __name__ == "__main__":
    main()
