"""One scraped service put together from several endpoints."""

from __future__ import annotations

import pytest

from perftui.snapshot import Absent, Instance, Selection, Service, State
from perftui.sources.operation_slots import NOT_CALLED
from perftui.sources.packed_counts import layout
from perftui.sources.scrape.growth import Growth, ServiceGrowth
from perftui.sources.scrape.totals import MOST_OPERATIONS, OTHER, Member, ScrapeTotals

PLACE = layout((0.1, 1.0))
NO = Absent(State.NOT_COLLECTED, "not told")


def member(host: str, now: float, live: bool = True, *notes: str) -> Member:
    state = State.OK if live else State.STALE
    instance = Instance(f"{host}:80", host, NO, state, 0.0, NO, NO, NO)
    return Member(instance, live, now, notes)


def growth(
    begin: float, end: float, calls: dict[str, int], failed: int = 0, known: bool = True
) -> Growth:
    mine = ServiceGrowth()
    mine.names = set(calls)
    if known:
        mine.counts[PLACE] = {
            name: PLACE.pack(count, min(failed, count), 0, 0.2 * count, (count, 0, 0))
            for name, count in calls.items()
        }
        mine.statuses = {
            name: {"200": count - failed, "500": failed} for name, count in calls.items() if count
        }
    return Growth(begin, end, known, {"": mine})


def fed(totals: ScrapeTotals, host: str, each: Growth) -> None:
    totals.add(f"{host}:80", host, each, each.services[""])


def test_endpoints_are_added_up_and_looked_at_apart() -> None:
    totals = ScrapeTotals("shop", Selection(hosts=("b",), operation=("shop", "pay")))
    for host in ("a", "b"):
        fed(totals, host, growth(0, 100, {"pay": 0, "idle": 0}, known=False))
        fed(totals, host, growth(100, 104, {"pay": 40, "idle": 0}, failed=10))
    service = totals.read(104.0, [member("a", 104.0), member("b", 104.0)])
    pay, idle = sorted(service.operations, key=lambda each: each.name, reverse=True)
    assert (pay.count, pay.error_ratio, pay.rate) == (80, 0.25, 20.0)
    assert idle.p95 == NOT_CALLED
    assert service.chosen[0].operations[1].count == 40
    detail = service.details[0]
    assert detail.buckets == (40, 0, 0)
    assert [(each.status, each.count) for each in detail.statuses] == [("200", 30), ("500", 10)]
    assert not isinstance(detail.instances, Absent)
    assert [(each.instance, each.operation.count) for each in detail.instances] == [("b:80", 40)]
    assert (service.processes, service.hosts, service.origin) == (2, ("a", "b"), "scrape")


def test_windows_stay_while_no_endpoint_is_live() -> None:
    totals = ScrapeTotals("shop", Selection())
    fed(totals, "a", growth(100, 110, {"pay": 40}))
    live = totals.read(110.0, [member("a", 110.0)])
    stale = totals.read(200.0, [member("a", 110.0, False, "a is gone")])
    assert stale.windows == live.windows
    assert (stale.processes, stale.notes) == (0, ("a is gone",))


def test_what_is_chosen_later_begins_with_what_was_counted_lately() -> None:
    totals = ScrapeTotals("shop", Selection())
    each = growth(100, 110, {"pay": 40})
    fed(totals, "a", each)
    assert totals.select(Selection(hosts=("a",), operation=("shop", "pay")))
    totals.add_history("a:80", "a", each, each.services[""])
    service = totals.read(110.0, [member("a", 110.0)])
    assert service.chosen[0].operations[0].count == 40
    assert service.details[0].buckets == (40, 0, 0)
    assert service.details[0].covered == 10.0
    assert not totals.select(Selection())


def test_another_operation_leaves_the_counts_of_the_chosen_hosts_alone() -> None:
    totals = ScrapeTotals("shop", Selection(hosts=("a",)))
    each = growth(100, 110, {"pay": 40, "buy": 10})
    fed(totals, "a", each)
    for operation in ("pay", "buy"):
        assert totals.select(Selection(hosts=("a",), operation=("shop", operation)))
        totals.add_history("a:80", "a", each, each.services[""])
    service = totals.read(110.0, [member("a", 110.0)])
    assert [o.count for o in service.chosen[0].operations] == [10, 40]
    shares = service.details[0].instances
    assert not isinstance(shares, Absent)
    assert [share.operation.count for share in shares] == [10]


def test_another_service_or_an_unknown_operation_has_no_details() -> None:
    totals = ScrapeTotals("shop", Selection(operation=("other", "pay")))
    fed(totals, "a", growth(100, 110, {"pay": 40}))
    assert totals.read(110.0, [member("a", 110.0)]).details == ()
    totals.select(Selection(operation=("shop", "never")))
    assert totals.read(112.0, [member("a", 112.0)]).details == ()


def test_too_many_operations_are_added_up_and_said() -> None:
    totals = ScrapeTotals("shop", Selection())
    names = {f"operation {number:04}": 1 for number in range(MOST_OPERATIONS + 25)}
    fed(totals, "a", growth(100, 110, names))
    service = totals.read(110.0, [member("a", 110.0)])
    counts = {each.name: each.count for each in service.operations}
    assert len(counts) == MOST_OPERATIONS + 1
    assert counts[OTHER] == 25
    assert "more than 500 operations: 25 of them are added up as _other" in service.notes


def test_operations_that_left_the_windows_make_room() -> None:
    totals = ScrapeTotals("shop", Selection())
    fed(totals, "a", growth(100, 110, {f"old {n}": 1 for n in range(MOST_OPERATIONS)}))
    totals.read(110.0, [member("a", 110.0)])
    fed(totals, "a", growth(110, 500, {"new": 0}))
    totals.read(500.0, [member("a", 500.0)])
    totals.read(502.0, [member("a", 502.0)])
    fed(totals, "a", growth(502, 504, {"newer": 4}))
    assert {each.name for each in totals.read(504.0, [member("a", 504.0)]).operations} == {"newer"}


def test_raw_paths_are_pointed_out() -> None:
    totals = ScrapeTotals("shop", Selection())
    fed(totals, "a", growth(100, 110, {f"GET /items/{number}": 1 for number in range(30)}))
    assert totals.read(110.0, [member("a", 110.0)]).notes == (
        "30 operations look like raw paths of GET /items/{id}: label them by route, not by path",
    )


def test_the_mean_is_of_the_calls_that_have_a_duration() -> None:
    totals = ScrapeTotals("worker", Selection())
    mine = ServiceGrowth()
    mine.names = {"mail", "doomed"}
    mine.apart = {"mail", "doomed"}
    mine.counts[PLACE] = {
        "mail": PLACE.pack(10, 6, 0, 2.0, (4, 0, 0)),
        "doomed": PLACE.pack(3, 3, 0, 0.0, (0, 0, 0)),
    }
    totals.add("a:80", "a", Growth(100, 110, True, {"": mine}), mine)
    doomed, mail = totals.read(110.0, [member("a", 110.0)]).operations
    assert mail.mean == pytest.approx(0.5)
    assert mail.count == 10
    assert mail.error_ratio == pytest.approx(0.6)
    assert (doomed.count, doomed.error_ratio) == (3, 1.0)
    assert isinstance(doomed.mean, Absent)
    assert isinstance(doomed.p95, Absent)


def test_wrong_counts_are_forgotten() -> None:
    totals = ScrapeTotals("shop", Selection())
    fed(totals, "a", growth(100, 110, {"pay": 40}))
    totals.restart()
    fed(totals, "a", growth(110, 114, {"pay": 4}))
    service: Service = totals.read(114.0, [member("a", 114.0)])
    assert service.windows[0].covered == 4.0
    assert service.operations[0].count == 4
