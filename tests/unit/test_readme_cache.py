"""README's example of a cache is run as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from redis_fixture import RedisProcess

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_loads_once_and_invalidates(redis_server: RedisProcess, tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- cache example -->\n```python\n(.*?)```", readme, re.DOTALL)
    assert found is not None
    program = tmp_path / "prices.py"
    program.write_text(found[1], encoding="utf-8")
    run = subprocess.run(
        [sys.executable, str(program)],
        env={**os.environ, "REDIS_URL": redis_server.url, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.stderr == ""
    assert run.stdout.split() == ["12.5", "1"]
