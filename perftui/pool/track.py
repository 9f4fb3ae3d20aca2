"""What a balancer knows of a server from its own picks and their outcomes."""

from __future__ import annotations

import math

from perftui.pool.readings import Server

DECAY = 10.0
"""Seconds, the time constant of the latency that `p2c_ewma` goes by."""
NO_HISTORY = 1e12
"""Cost of a server that has a request at work and has never answered one."""


class Track:
    """A server with its effective weight, requests at work and peak-sensitive mean latency.

    `share` is what slow start leaves of its weight, in proportion to the others; `weight` includes
    it, and is 1 on the mean of the eligible servers. `picks`, `done`, `fails`, `seconds` and
    `flight` (change of the requests at work) are what the registry has not been told yet. `silent`
    are the picks whose end nobody may ever tell, `silent_before` those of the period before.
    """

    __slots__ = (
        "cost",
        "credit",
        "done",
        "fails",
        "flight",
        "pending",
        "picks",
        "seconds",
        "server",
        "share",
        "silent",
        "silent_before",
        "stamp",
        "weight",
    )

    def __init__(self, server: Server, now: float) -> None:
        self.server = server
        self.weight = 1.0
        self.share = 1.0
        self.credit = 0.0
        self.pending = 0
        self.picks = 0
        self.done = 0
        self.fails = 0
        self.seconds = 0.0
        self.flight = 0
        self.silent = 0
        self.silent_before = 0
        self.cost = 0.0
        self.stamp = now

    def end_silent(self) -> None:
        """Count down for a pick of which it was not known whether its end would be told."""
        if self.silent_before:
            self.silent_before -= 1
        elif self.silent:
            self.silent -= 1
        else:
            return
        self.pending -= 1

    def forget_silent(self) -> None:
        """Count down for the picks of the period before last; begin a new period."""
        self.pending -= self.silent_before
        self.silent_before, self.silent = self.silent, 0

    def observe(self, seconds: float, now: float) -> None:
        """Take in how long a request took: a peak at once, what is lower by and by.

        The peak EWMA of Finagle (PeakEwma.scala in finagle-core): cost = seconds when that is
        more, else cost * w + seconds * (1 - w) with w = exp(-t / decay), t since the last look.
        """
        if seconds > self.cost:
            self.cost = seconds
        else:
            past = math.exp(min(0.0, self.stamp - now) / DECAY)
            self.cost = self.cost * past + seconds * (1.0 - past)
        self.stamp = now

    def score(self, now: float) -> float:
        """Return the expected cost of one more request, as Finagle does: cost * (pending + 1).

        The cost fades while nothing is heard, so that a server that was slow is asked again. The
        requests at work count by the server's weight.
        """
        cost = self.cost
        if cost == 0.0:
            return NO_HISTORY + self.pending if self.pending else 0.0
        if now > self.stamp:
            cost *= math.exp((self.stamp - now) / DECAY)
            self.cost = cost
            self.stamp = now
        return cost * (self.pending / self.weight + 1.0)
