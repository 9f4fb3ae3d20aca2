"""The example of CodeProfiler in README, run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

from reporter_checks import ROOT, run

EXAMPLE = re.compile(r"^<!-- profiler example -->\n```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def test_the_example_prints_what_it_profiled() -> None:
    (code,) = EXAMPLE.findall((Path(ROOT) / "README.md").read_text())
    done = run(code)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.rsplit(" ", 3) for line in done.stdout.splitlines()]
    amounts = sum(range(100))
    assert {row[0]: int(row[1]) for row in rows} == {
        "invoice": 100,
        "<built-in method builtins.sum>": 100,
        "tax": amounts,
        "<built-in method builtins.round>": amounts,
    }
    times = [float(row[2]) for row in rows]
    assert times == sorted(times, reverse=True)
