"""README's examples of QueryOptimizer, run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def examples() -> list[str]:
    """Return the Python examples of the section on queries."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split("### Queries of an API")[1].split("\n### ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


def test_a_query_alone_is_advised_without_a_number() -> None:
    ended = subprocess.run([sys.executable, "-c", examples()[0]], capture_output=True, text=True)
    assert "F3 look for the beginning of name" in ended.stdout, ended.stderr
    assert ended.stdout.splitlines()[-1].startswith("0.0 no observations")


def test_the_middleware_is_put_into_an_application() -> None:
    code = examples()[1] + "\nprint(optimizer.evidence().shapes)"
    environment = {"REDIS_URL": "redis://127.0.0.1:1/0"}
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert ended.stdout.strip() == "()", ended.stderr
