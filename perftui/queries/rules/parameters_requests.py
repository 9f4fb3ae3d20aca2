"""P10 and P11: requests that need not be made at all."""

from __future__ import annotations

from typing import Final

from perftui.queries.rules.rule import LEAST_ANSWERS, Rule, clients, plural
from perftui.queries.suggestion import Saving, Subject, Suggestion

LEAST_REPEATED: Final = 0.1
LEAST_LISTS: Final = 3


def asked_again(subject: Subject) -> Suggestion | None:
    """P10: a client asks the same again within a minute."""
    shape = subject.shape
    if shape is None:
        return None
    asked = sum(client.repeats.asked for client in shape.clients)
    repeated = sum(client.repeats.repeated for client in shape.clients)
    if asked < LEAST_ANSWERS or repeated < LEAST_REPEATED * asked:
        return None
    polls = sum(client.repeats.polls for client in shape.clients)
    unchanged = sum(client.repeats.unchanged for client in shape.clients)
    if polls and unchanged < 0.5 * polls:
        # What is asked for again differs most of the time: keeping it would show old data.
        return None
    within = shape.clients[0].repeats.within
    share = repeated / asked
    return Suggestion(
        rule="P10",
        action={"type": "cache", "seconds": within, "or": "conditional request (ETag)"},
        title="keep the answer for a while, or ask conditionally (ETag)",
        evidence=(
            f"{repeated:,} of {asked:,} queries repeat one of the same client within {within:.0f} s"
            + (f"; {unchanged:,} of {polls:,} answers were unchanged" if polls else "")
        ),
        risk=f"what is shown may be up to {within:.0f} s old",
        verify="compare calls a minute before and after",
        confidence="measured",
        facts={"asked": asked, "repeated": repeated, "share": round(share, 4)},
        # Answers kept make a query no faster, they make fewer of them: no part of its latency.
        saving=Saving(latency=share * (shape.mean_latency or 0.0), requests=share),
    )


def one_by_one(subject: Subject) -> Suggestion | None:
    """P11: the items of a list are fetched one at a time (N+1)."""
    shape = subject.shape
    if shape is None:
        return None
    found = [client.singles for client in clients((shape,)) if client.singles.lists]
    lists = sum(each.lists for each in found)
    if lists < LEAST_LISTS:
        return None
    singles = sum(each.singles for each in found)
    seconds = sum(each.seconds for each in found)
    worst = max(found, key=lambda each: each.lists)
    mean, cost = singles / lists, seconds / lists
    # One request for all of them costs at least one of the single ones.
    saved = max(0.0, cost - cost / mean)
    return Suggestion(
        rule="P11",
        action={"type": "batch", "endpoint": worst.endpoint, "parameter": "ids"},
        title=f"fetch the items of a list at once, not by {worst.endpoint}",
        evidence=(
            f"{plural(lists, 'list')} of {sum(each.of for each in found):,} were followed by "
            f"{mean:.0f} single requests each, {cost * 1e3:.3g} ms together"
        ),
        risk="the endpoint must take a list of ids, or give the items within the list (include)",
        verify="compare the requests after each list before and after",
        confidence="modelled",
        facts={"lists": lists, "singles": singles},
        saving=Saving(latency=saved, requests=mean - 1),
    )


RULES: Final = (
    Rule("P10", "the same asked again", asked_again),
    Rule("P11", "items of a list fetched one by one", one_by_one),
)
