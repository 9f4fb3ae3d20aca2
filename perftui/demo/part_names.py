"""The parts of the demo by name, in the order in which they start.

They start one after the other, which leaves the second core of a small machine to the first frame
of the monitor.
"""

from __future__ import annotations

from perftui.demo.scenarios import WORKERS

REDIS, DATABASE, TRAFFIC = "redis", "database", "traffic"
PARTS = (REDIS, DATABASE, *WORKERS, TRAFFIC)
