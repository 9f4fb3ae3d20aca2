"""A CodeProfiler that is given to a Reporter, through a real Redis, to what the screen reads."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import msgspec
import pytest
from redis_fixture import RedisProcess
from reporter_checks import FAST, report_of, reports, run, wait_for, wait_reports
from service_fleet import Fleet, one

from perftui import CodeProfiler, Reporter
from perftui.metrics import profile_publisher
from perftui.metrics import report as wire
from perftui.metrics.profile_publisher import LONGEST_NAME, MOST_CALLS, ProfilePublisher
from perftui.metrics.profile_reading import ProfileReading, ReportedCall
from perftui.output.document import document, encode
from perftui.snapshot import NOT_PROFILED, Absent, Maybe, Snapshot, State, TopCalls
from perftui.sources.redis.target import RedisTarget
from perftui.sources.services.own_profile import IMPOSSIBLE, STOPPED
from perftui.sources.services.source import ServicesSource


@pytest.fixture
def source(redis_server: RedisProcess) -> Iterator[ServicesSource]:
    source = ServicesSource(RedisTarget.parse(redis_server.url))
    yield source
    source.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile_publisher, "PUBLISH_INTERVAL", 0.0)
    monkeypatch.setattr(profile_publisher, "BUDGET", 1e9)


def profile_of(source: ServicesSource) -> Maybe[TopCalls]:
    (process,) = one(source).instances
    return process.profile


def seen(source: ServicesSource, function: str) -> TopCalls | None:
    profiles = [each.profile for service in source.sample() for each in service.instances]
    profile = profiles[0] if profiles else STOPPED
    if isinstance(profile, Absent):
        return None
    return profile if function in {call.function for call in profile.calls} else None


def outer() -> None:
    time.sleep(0.002)
    inner()


def inner() -> int:
    return sum(number for number in range(20_000))


def test_what_the_process_found_is_what_is_shown(
    redis_server: RedisProcess, source: ServicesSource, impatient: None
) -> None:
    profiler = CodeProfiler()
    with Reporter(redis_server.url, "shop", interval=FAST, profiler=profiler) as reporter:
        wait_reports(reporter)
        assert profile_of(source) == STOPPED
        profiler.start_profiling()
        for _ in range(20):
            outer()
        wait_for(lambda: seen(source, "outer"))
        found = profile_of(source)
        profile = profiler.stop_profiling()
        assert isinstance(found, TopCalls)
        assert (found.source, found.mode, found.command) == ("cProfile", "exact", "shop")
        assert (found.rate_wanted, found.rate_reached, found.errors) == (0, 0, 0)
        assert found.processes == (found.pid,)
        assert isinstance(found.pause_percent, Absent)
        assert isinstance(found.cores, Absent)
        assert isinstance(found.stacks, Absent)
        assert "functions that still run do not show" in found.note
        assert 0 < found.seconds <= found.window <= profile["seconds"]
        calls = {call.function: call for call in found.calls}
        assert calls["outer"].file == __file__
        assert calls["outer"].line == outer.__code__.co_firstlineno
        assert calls["outer"].total >= calls["outer"].own
        (ended,) = [call for call in profile["calls"] if call["function"] == "outer"]
        assert 0.002 <= calls["outer"].total <= ended["time"] + 1e-9
        assert 90 <= sum(call.own_percent for call in found.calls) <= 100.1
        assert all(0 <= call.total_percent <= 100 for call in found.calls)
        assert [call.own for call in found.calls] == sorted(
            [call.own for call in found.calls], reverse=True
        )
        wait_for(lambda: profile_of(source) == STOPPED)
        # And again.
        with profiler:
            outer()
            wait_for(lambda: seen(source, "outer"))
    assert all(service.instances == () for service in source.sample())


def test_without_a_profiler_there_is_none(
    redis_server: RedisProcess, source: ServicesSource
) -> None:
    with Reporter(redis_server.url, "shop", interval=FAST) as reporter:
        wait_reports(reporter)
        assert report_of(redis_server, reporter).profile is None
        assert profile_of(source) == NOT_PROFILED
    for wrong in (CodeProfiler, "CodeProfiler", object()):
        with pytest.raises(TypeError, match="must be a CodeProfiler"):
            Reporter(redis_server.url, "shop", profiler=wrong)  # type: ignore[arg-type]


def test_a_decorated_function_stays_in_view_between_its_calls(
    redis_server: RedisProcess, source: ServicesSource, impatient: None
) -> None:
    profiler = CodeProfiler()
    decorated = profiler(outer)
    with Reporter(redis_server.url, "shop", interval=FAST, profiler=profiler) as reporter:
        decorated()
        wait_for(lambda: seen(source, "outer"))
        wait_reports(reporter, 3)
        found = seen(source, "outer")
        assert found is not None
        assert not profiler.running
        assert "still run" not in found.note


def test_a_reading_is_made_at_the_start_and_then_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    profiler = CodeProfiler()
    publisher = ProfilePublisher(profiler)
    assert publisher.read() == ProfileReading(running=False)
    profiler.start_profiling()
    try:
        outer()
        first = publisher.read()
        assert first.running
        assert "outer" in {call.function for call in first.calls}
        outer()
        assert publisher.read() is first
        monkeypatch.setattr(profile_publisher, "PUBLISH_INTERVAL", 0.0)
        monkeypatch.setattr(profile_publisher, "BUDGET", 1e-9)
        assert publisher.read() is first
        publisher._due = 0.0
        second = publisher.read()
        assert second is not first
        assert publisher.read() is second, "what costs much is done seldom"
    finally:
        profiler.stop_profiling()
    assert publisher.read() == ProfileReading(running=False)
    with profiler:
        outer()
        assert publisher.read().running, "another start is read at once"


def many_functions(count: int, heavy: int) -> list[Callable[[], object]]:
    names: dict[str, Callable[[], object]] = {}
    lines = [f"def f{number}():\n    return {number}\n" for number in range(count)]
    lines.append(f"def through():\n    return [f() for f in everything[:{heavy}]]\n")
    exec("".join(lines), names)
    everything = [names[f"f{number}"] for number in range(count)]
    names["everything"] = everything  # type: ignore[assignment]
    return [*everything, names["through"]]


def test_only_the_heaviest_functions_are_reported(
    redis_server: RedisProcess, source: ServicesSource
) -> None:
    functions = many_functions(1000, 500)
    profiler = CodeProfiler()
    with profiler:
        for function in functions:
            function()
        reading = ProfilePublisher(profiler).read()
        with Reporter(redis_server.url, "shop", interval=FAST, profiler=profiler):
            wait_for(lambda: reports(redis_server))
            found = profile_of(source)
            services = source.sample()
    assert len(reading.calls) == MOST_CALLS
    assert reading.functions >= 1000
    assert "through" in {call.function for call in reading.calls}, "little of its own, much in all"
    size = len(msgspec.msgpack.encode(reading))
    assert size < 200 * MOST_CALLS
    assert isinstance(found, TopCalls)
    assert "lighter functions are left out" in found.note
    whole = Snapshot(1, 0.0, 0.0, services=services)
    (instance,) = document(whole)["services"][0]["instances"]  # type: ignore[index]
    assert len(instance["profile"]["calls"]) == MOST_CALLS
    assert instance["profile"]["source"] == "cProfile"
    assert len(encode(document(whole), 0)) < 400 * MOST_CALLS


def test_hostile_names_arrive_as_they_are(
    redis_server: RedisProcess, source: ServicesSource, impatient: None
) -> None:
    names = {
        "/tmp/[bold]x\x1b[31m\n\t;.py": "/tmp/[bold]x\x1b[31m\n\t;.py",
        "/tmp/caf\udce9.py": "/tmp/caf\\udce9.py",
        "x" * 5000 + "end.py": "x" * (LONGEST_NAME - 6) + "end.py",
        "": "",
    }
    profiler = CodeProfiler()

    @profiler
    def call_all() -> None:
        for file in names:
            scope: dict[str, Callable[[], object]] = {}
            exec(compile("def naïve(): return 1", file, "exec"), scope)
            scope["naïve"]()

    call_all()
    with Reporter(redis_server.url, "shop", interval=FAST, profiler=profiler) as reporter:
        wait_for(lambda: seen(source, "naïve"))
        found = seen(source, "naïve")
        assert reporter.status.error == ""
    assert found is not None
    files = [call.file for call in found.calls if call.function == "naïve"]
    assert sorted(files) == sorted(names.values())


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1.0])
def test_impossible_numbers_cost_the_profile_only(
    redis_server: RedisProcess, source: ServicesSource, number: float
) -> None:
    fleet = Fleet(redis_server)
    call = ReportedCall("f", "f.py", 1, 1, 1.0, 1.0)
    good = ProfileReading(True, "3.11.7", 2.0, 1.0, 1, 1, "", (call,))
    bad = [
        msgspec.structs.replace(good, window=number),
        msgspec.structs.replace(good, seconds=number),
        msgspec.structs.replace(good, calls=(msgspec.structs.replace(call, own=number),)),
        msgspec.structs.replace(good, calls=(msgspec.structs.replace(call, total=number),)),
    ]
    for place, reading in enumerate([good, *bad]):
        fleet.publish(fleet.report(5 - place, {"buy": (place,)}, profile=reading))
        assert isinstance(profile_of(source), TopCalls) is (reading is good)
        assert one(source).processes == 1
    assert profile_of(source) == IMPOSSIBLE
    # No time at all is possible, and so is a share above the whole.
    nothing = msgspec.structs.replace(good, seconds=0.0)
    fleet.publish(fleet.report(0, {"buy": (9,)}, profile=nothing))
    profile = profile_of(source)
    assert isinstance(profile, TopCalls)
    assert (profile.calls[0].own_percent, profile.calls[0].total_percent) == (0.0, 0.0)


def test_reports_with_and_without_a_profile_understand_each_other(
    redis_server: RedisProcess, source: ServicesSource
) -> None:
    fleet = Fleet(redis_server)
    report = fleet.report(1, {"buy": (1,)}, profile=ProfileReading(True))
    older = msgspec.msgpack.decode(wire.encode(report))
    assert older["version"] == 2
    del older["profile"]
    fleet.publish(report, msgspec.msgpack.encode(older))
    assert profile_of(source) == NOT_PROFILED
    newer = older | {"profile": {"running": True, "later": [1, 2]}}
    fleet.publish(fleet.report(0, {"buy": (1,)}), msgspec.msgpack.encode(newer))
    assert isinstance(profile_of(source), TopCalls)


def test_a_profile_does_not_outlive_its_process(
    redis_server: RedisProcess, source: ServicesSource
) -> None:
    fleet = Fleet(redis_server)
    call = ReportedCall("f", "f.py", 1, 1, 1.0, 1.0)
    reading = ProfileReading(True, "3.11.7", 2.0, 1.0, 1, 1, "", (call,))
    fleet.publish(fleet.report(2, {"buy": (1,)}, profile=reading))
    assert isinstance(profile_of(source), TopCalls)
    fleet.silence(20)
    gone = profile_of(source)
    assert isinstance(gone, Absent)
    assert gone.state is State.STALE
    # The process begins again, with another pid, and without a start of its profiler.
    fleet.publish(fleet.report(0, {"buy": (1,)}, "h1:2:bb", profile=ProfileReading(), uptime=1.0))
    by_id = {each.id: each.profile for each in one(source).instances}
    assert by_id["h1:2:bb"] == STOPPED
    assert isinstance(by_id["h1:1:aa"], Absent)


FORK = """
import os, time
from perftui import CodeProfiler, Reporter
profiler = CodeProfiler()
def parent(): time.sleep(0.2)
# What it imports has been imported when it reports for the first time.
reporter = Reporter(service="shop", interval=0.1, profiler=profiler).start()
while not reporter.status.reports: time.sleep(0.01)
reporter.stop()
profiler.start_profiling()
parent()
reporter.start()
while reporter.status.reports < 2: time.sleep(0.01)
pid = os.fork()
if pid == 0:
    while reporter.status.reports < 2: time.sleep(0.01)
    os._exit(0)
os.waitpid(pid, 0)
os._exit(0)
"""


def test_a_forked_process_does_not_report_its_parents_profile(redis_server: RedisProcess) -> None:
    done = run(FORK, REDIS_URL=redis_server.url)
    assert done.returncode == 0, done.stderr
    first, second = sorted(reports(redis_server), key=lambda report: report.started)
    assert first.profile is not None
    assert "parent" in {call.function for call in first.profile.calls}
    assert second.profile == ProfileReading(running=False)


def test_a_profiler_that_fails_costs_the_profile_only(
    redis_server: RedisProcess,
    source: ServicesSource,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken(CodeProfiler):
        def heaviest(self, most: int) -> None:
            raise MemoryError

    profiler = Broken()
    with contextlib.ExitStack() as stack:
        stack.enter_context(profiler)
        reporter = Reporter(redis_server.url, "shop", interval=FAST, profiler=profiler)
        stack.enter_context(reporter)
        wait_reports(reporter, 3)
        assert reporter.status.state == "reporting"
        assert profile_of(source) == NOT_PROFILED
    complaints = [record for record in caplog.records if "without profile" in record.message]
    assert len(complaints) == 1
