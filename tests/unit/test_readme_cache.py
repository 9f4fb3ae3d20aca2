"""README's example of a cache is run as it stands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
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


def block(name: str) -> str:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- {name} -->\n```python\n(.*?)```", readme, re.DOTALL)
    assert found is not None
    return found[1]


SERVICE = """
import asyncio, os, perftui
from perftui import CacheConfig, CacheManager

async def main():
    config = CacheConfig({"max_size": 20}, url=os.environ["REDIS_URL"], namespace="shop")
    async with CacheManager(config, metrics=False) as cache:
        REPORT
        for number in range(40):
            await cache.get_or_load(f"price:{number}", lambda: number, ttl=60)
        await cache.get_cached("price:39")
        print("ready", flush=True)
        while True:
            for number in range(25):
                await cache.get_cached(f"price:{number}")
            await asyncio.sleep(0.05)

asyncio.run(main())
"""


@pytest.fixture
def service(redis_server: RedisProcess) -> Iterator[None]:
    code = SERVICE.replace("REPORT", block("cache report").strip())
    environment = {**os.environ, "REDIS_URL": redis_server.url, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield
        child.kill()


def perftui(server: RedisProcess, *arguments: str) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "perftui", *arguments, "--redis", server.url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout


def price(document: str) -> dict[str, Any]:
    [shop] = json.loads(document)["services"]
    found: dict[str, dict[str, Any]] = {each["namespace"]: each for each in shop["caches"]}
    return found["price"]


@pytest.mark.usefixtures("service")
def test_one_line_shows_all_there_is_to_know_of_a_cache(redis_server: RedisProcess) -> None:
    once = perftui(redis_server, "once", "--json", "--seconds", "4.5")
    stats = perftui(redis_server, "cache", "stats", "--json", "--seconds", "4.5")
    text = perftui(redis_server, "cache", "stats", "--seconds", "4.5")
    for cache in (price(once), price(stats)):
        memory, redis, overall = cache["tiers"]
        assert memory["items"] <= memory["items_limit"] == 20
        assert memory["size"] <= memory["size_limit"] == 100_000_000
        assert memory["lookups_rate"] > 0
        assert memory["expirations_rate"] == 0
        assert redis["errors_rate"] == 0
        assert overall["hit_ratio"]["seconds_100"] > 0.9
        assert cache["coherence"]["state"] == "live"
        assert 0 < cache["coherence"]["lag"] < 1.5
        assert cache["coherence"]["bound"] == 1.5
        # 25 keys in turn are too many for the 20 that memory has room for, and not for 40.
        assert memory["hit_ratio"]["seconds_100"] < 0.3
        assert cache["ghost_ratio"] > 0.9
        assert cache["loads_rate"] is not None
        assert cache["prefixes"] == ["shop:price:"]
        [process] = cache["processes"]
        assert (process["state"], process["redis_answers"]) == ("ok", True)
        assert process["coherence"] == cache["coherence"]
        assert process["tiers"][0]["items_limit"] == 20
    assert "shop price coherence: live, lag" in text
    assert " of 20, size " in text
    assert "shop price ghost: twice the memory would answer " in text
    assert "shop price process " in text
