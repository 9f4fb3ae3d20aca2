"""Courses of the caches, the rows that alerts lead to, and the patterns of their keys."""

from __future__ import annotations

import msgspec
import pytest
from sample import NOW
from sample_caches import cached, namespace
from sample_services import shop

from perftui.analysis.alerting.rules.caches import HitRatios
from perftui.assembly import MOST_CACHES, cache_series, history_values
from perftui.cache.glob import matcher
from perftui.cache.typed_pattern import pattern_bytes
from perftui.snapshot import Alert, CacheNamespace, Severity
from perftui.text import printable
from perftui.tui.cache_actions import namespace_pattern
from perftui.tui.panes.alert_series import find_series
from perftui.tui.panes.alert_target import find_target
from perftui.tui.panes.cache_rows import SERVER_KEY, tier_key


def test_hit_ratios_of_the_caches_have_a_course() -> None:
    service = shop()
    values = history_values(cached())
    assert values[cache_series(service, "price", "overall")] == pytest.approx(95.8)
    assert values[cache_series(service, "price", "memory")] == pytest.approx(90.8)
    assert values[cache_series(service, "old", "overall")] is None
    assert cache_series(service, "price", "redis") not in values


def test_only_the_caches_that_are_looked_up_most_have_a_course() -> None:
    caches = tuple(namespace(f"n{n}", 0.9, float(n)) for n in range(MOST_CACHES + 20))
    kept = [name for name in history_values(cached(caches)) if name.startswith("cache.")]
    assert len(kept) == 2 * MOST_CACHES
    assert cache_series(shop(), f"n{MOST_CACHES + 19}", "overall") in kept
    assert cache_series(shop(), "n0", "overall") not in kept


def alert(rule: str, subject: str) -> Alert:
    return Alert(rule, Severity.WARNING, subject, 0.5, 0.8, "x", NOW, "", "", "cache")


def test_alerts_lead_to_the_row_they_are_about() -> None:
    snapshot = cached()
    overall = tier_key(shop(), "basket", "overall")
    assert find_target(alert("R24", "shop cache basket"), snapshot) == overall
    assert find_target(alert("R23", "localhost:6379"), snapshot) == SERVER_KEY
    worst = tier_key(shop(), "price", "overall")
    assert find_target(alert("R26", "shop"), snapshot) == worst
    assert find_target(alert("R26", "shop web-1:4714"), snapshot) == worst
    assert find_target(alert("R24", "other cache basket"), snapshot) is None


def test_the_rule_on_hit_ratios_names_caches_as_they_are_found() -> None:
    rule = HitRatios().rule()
    subjects = set()
    for second in range(0, 1200, 10):
        snapshot = msgspec.structs.replace(cached(), monotonic=float(second))
        subjects |= {reading.subject for reading in rule.measure(snapshot)}
    assert "shop cache price" in subjects
    for subject in subjects:
        assert find_target(alert("R24", subject), cached()) is not None


def test_an_alert_on_a_hit_ratio_shows_the_course_of_its_cache() -> None:
    series = find_series(alert("R24", "shop cache basket"), cached())
    assert series[0].name == cache_series(shop(), "basket", "overall")


@pytest.mark.parametrize(
    ("prefix", "pattern"),
    [("shop:price:", "shop:price:*"), ("a*b:", "a\\*b:*"), ("[x]:", "\\[x\\]:*")],
)
def test_a_namespace_knows_the_pattern_of_its_keys(prefix: str, pattern: str) -> None:
    found = namespace_pattern(CacheNamespace("n", (), prefixes=(prefix,)))
    matches = matcher(pattern_bytes(found))
    assert matches(f"{prefix}1".encode())
    assert not matches(b"axb:1")
    assert printable(found) == found == pattern
    assert namespace_pattern(CacheNamespace("n", ())) == ""
