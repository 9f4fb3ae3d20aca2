"""Tests of faults use the sessions of the terminal tests and the children of the unit tests."""

from __future__ import annotations

import sys
from pathlib import Path

for _room in ("terminal", "unit"):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / _room))
