"""Probes in a service: late event loops and garbage collection."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time

import pytest

from perftui.metrics.probes import TICK, LoopProbe, Probes
from perftui.metrics.report import ServiceReport, decode, encode
from perftui.metrics.reporter import Reporter
from perftui.snapshot import Absent, GcPauses, LoopLag
from perftui.sources.services.instances import _gc_pauses, _loop_lag


def test_a_loop_that_is_free_is_hardly_late() -> None:
    async def serve() -> Probes:
        probes = Probes()
        probes.start()
        await asyncio.sleep(5.5 * TICK)
        return probes

    probes = asyncio.run(serve())
    found = probes.read()
    probes.stop()

    assert found is not None
    # The loop is closed by now, so what it found has been lost with it.
    assert found.lag_ticks == 0


def test_a_block_counts_for_all_the_ticks_it_made_impossible() -> None:
    async def serve() -> None:
        probes = Probes()
        probes.start()
        await asyncio.sleep(2.5 * TICK)
        time.sleep(0.55)
        await asyncio.sleep(TICK / 2)
        found = probes.read()
        probes.stop()
        assert found is not None
        assert 0.4 < found.lag_longest < 5
        # Five ticks were due while nothing could run.
        assert found.lag_ticks >= 6
        assert found.lag_p95 > TICK

    asyncio.run(serve())


def test_a_loop_that_is_blocked_now_is_told_now() -> None:
    probes = Probes()
    blocked, told = threading.Event(), threading.Event()

    async def serve() -> None:
        probes.start()
        await asyncio.sleep(2 * TICK)
        blocked.set()
        told.wait(10)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert blocked.wait(10)
    time.sleep(4 * TICK)
    found = probes.read()
    told.set()
    thread.join()
    probes.stop()

    assert found is not None
    assert found.lag_longest > 2 * TICK


def test_a_loop_is_watched_once_and_a_closed_one_not_at_all() -> None:
    async def serve() -> None:
        probes = Probes()
        probes.start()
        loop = asyncio.get_running_loop()
        probes.watch(loop)
        probes.watch(loop)
        await asyncio.sleep(4.5 * TICK)
        found = probes.read()
        probes.stop()
        assert found is not None
        assert 1 <= found.lag_ticks <= 6

    asyncio.run(serve())
    closed = asyncio.new_event_loop()
    closed.close()
    Probes().watch(closed)
    with pytest.raises(RuntimeError):
        LoopProbe(closed).start()


def test_pauses_of_the_garbage_collector() -> None:
    probes = Probes()
    probes.start()
    rubbish: list[object] = []
    for _ in range(200_000):
        ring: list[object] = []
        ring.append(ring)
        rubbish.append(ring)
    rubbish.clear()
    gc.collect()
    found = probes.read()
    heard = len(gc.callbacks)
    probes.stop()

    assert found is not None
    assert found.gc_collections >= 1
    assert 0 < found.gc_longest <= found.gc_seconds < found.window + 1
    assert len(gc.callbacks) == heard - 1


def test_readings_survive_the_way_to_the_screen() -> None:
    probes = Probes()
    probes.start()
    gc.collect()
    time.sleep(0.01)
    report = ServiceReport("shop", "a", "box", 1, 0.0, 0.0, probes=probes.read())
    probes.stop()

    again = decode(encode(report)).probes

    assert again == report.probes
    pauses = _gc_pauses(again)
    assert isinstance(pauses, GcPauses)
    assert pauses.collections >= 1
    lag = _loop_lag(again)
    assert isinstance(lag, Absent)
    assert "watch_loop" in lag.fix


def test_a_report_of_a_process_without_probes_says_how_to_have_them() -> None:
    absent = _loop_lag(decode(encode(ServiceReport("shop", "a", "box", 1, 0.0, 0.0))).probes)

    assert isinstance(absent, Absent)
    assert "probes=True" in absent.fix


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_begins_anew() -> None:
    probes = Probes()
    probes.start()
    gc.collect()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        probes.after_fork()
        gc.collect()
        time.sleep(0.01)
        found = probes.read()
        count = -1 if found is None else found.gc_collections
        os.write(write, str(count).encode())
        os._exit(0)
    os.waitpid(child, 0)
    told = int(os.read(read, 20))
    os.close(read)
    os.close(write)
    probes.stop()

    assert 1 <= told <= 3


def test_a_reporter_watches_the_loop_it_is_started_in() -> None:
    reporter = Reporter("unix:///nowhere/redis.sock", "shop", probes=True)
    assert reporter.watch_loop() is False

    async def serve() -> None:
        with reporter:
            assert reporter.watch_loop() is True
            await asyncio.sleep(3.5 * TICK)
            probes = reporter._probes
            assert probes is not None
            found = probes.read()
            assert found is not None
            assert isinstance(_loop_lag(found), LoopLag)

    before = len(gc.callbacks)
    asyncio.run(serve())
    assert len(gc.callbacks) == before
    assert Reporter("unix:///nowhere/redis.sock", "shop").watch_loop() is False
