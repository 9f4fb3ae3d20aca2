"""Everything the cache promises, measured: figures, ratios to others in the same run, verdicts.

Run: PYTHONPATH=. python tests/benchmarks/cache.py [--quick] [--only memory,peers,…]
Needs a Redis server, and for the ratios what is in the extra `bench` (cachetools, cashews) and the
redis-cli of the server. Whatever is missing is said. The exit code is 1 when a promise was missed.
Figures are of use on a machine that does nothing else; ratios stand more.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cache_coherence
import cache_disturbed
import cache_memory
import cache_outage
import cache_peers
import invalidation
from redis_fixture import MISSING, find_binary
from verdict import Verdict, show


def sections(arguments: argparse.Namespace, binary: str) -> dict[str, Callable[[], list[Verdict]]]:
    """Return what can be measured, in the order in which it is."""
    quick = arguments.quick
    rounds = arguments.rounds or (30 if quick else 200)
    keys = arguments.keys or (100_000 if quick else 1_000_000)
    seconds = arguments.seconds or (12.0 if quick else 60.0)
    return {
        "memory": cache_memory.speeds,
        "policies": cache_memory.ratios,
        "peers": lambda: cache_peers.run(binary, quick),
        "emptied": lambda: cache_coherence.run(binary, arguments.processes, rounds, 200),
        "disturbed": lambda: cache_disturbed.run(binary, seconds),
        "sweep": lambda: invalidation.run(binary, keys),
        "outage": lambda: cache_outage.run(binary),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--only", default="", help="sections, separated by commas")
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--processes", type=int, default=8, help="of emptied")
    parser.add_argument("--rounds", type=int, default=0, help="of emptied")
    parser.add_argument("--keys", type=int, default=0, help="of sweep")
    parser.add_argument("--seconds", type=float, default=0.0, help="of disturbed")
    arguments = parser.parse_args()
    binary = find_binary()
    if binary is None:
        raise SystemExit(f"needs {MISSING}")
    every = sections(arguments, binary)
    wanted = [name.strip() for name in arguments.only.split(",") if name.strip()] or list(every)
    for name in wanted:
        if name not in every:
            parser.error(f"no section {name!r}; there are {', '.join(every)}")
    found: list[Verdict] = []
    for name in wanted:
        print(f"== {name}, load {os.getloadavg()[0]:.1f}", flush=True)
        here = every[name]()
        show(here)
        found += here
    missed = [each.name for each in found if each.kept is False]
    print(f"\n{len(missed)} promises missed{': ' if missed else ''}{'; '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
