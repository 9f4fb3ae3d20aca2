"""Advice as plain mappings and lists: what `analyze_query` returns and JSON shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from perftui.queries.estimate import Estimate
from perftui.queries.suggestion import Saving, Suggestion


def result_of(
    original: Mapping[str, Any],
    suggestions: Sequence[Suggestion],
    estimate: Estimate,
    window: float,
) -> dict[str, Any]:
    """Return the answer of `analyze_query`; `original` is put into it as it is."""
    return {
        "original_query": original,
        "optimizations": [dict(each.action) for each in suggestions],
        "estimated_improvement": improvement(estimate),
        "estimate": estimate_result(estimate, suggestions, window),
        "suggestions": [suggestion_result(each) for each in suggestions],
    }


def improvement(estimate: Estimate) -> float:
    """Return the share of the latency that is saved, 0 to 1; 0.0 where no number can be given."""
    if estimate.confidence not in ("measured", "modelled"):
        return 0.0
    return round(min(1.0, max(0.0, estimate.share)), 4)


def estimate_result(
    estimate: Estimate, suggestions: Sequence[Suggestion], window: float
) -> dict[str, Any]:
    """Return interval, confidence and origin of an estimate."""
    return {
        "low": round(max(0.0, estimate.low), 4),
        "high": round(min(1.0, max(0.0, estimate.high)), 4),
        "confidence": estimate.confidence,
        "seconds": estimate.seconds,
        "n": estimate.n,
        "r2": None if estimate.r2 is None else round(estimate.r2, 3),
        "window": window,
        "model": estimate.model,
        "extrapolated": list(estimate.extrapolated),
        "unquantified": sum(each.saving.latency is None for each in suggestions),
        "reason": estimate.reason,
    }


def suggestion_result(suggestion: Suggestion) -> dict[str, Any]:
    """Return a piece of advice as a mapping."""
    return {
        "rule": suggestion.rule,
        "action": dict(suggestion.action),
        "title": suggestion.title,
        "evidence": suggestion.evidence,
        "facts": dict(suggestion.facts),
        "saving": saving_result(suggestion.saving),
        "confidence": suggestion.confidence,
        "risk": suggestion.risk,
        "verify": suggestion.verify,
    }


def saving_result(saving: Saving) -> dict[str, float | None]:
    """Return what one call saves; None where that is not known."""
    result: dict[str, float | None] = msgspec.structs.asdict(saving)
    return result
