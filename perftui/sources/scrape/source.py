"""Services whose pages of metrics are read directly, as Prometheus would."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from perftui.snapshot import Endpoint, Scrape, Selection, State
from perftui.sources.http.target import HttpTarget
from perftui.sources.metric_presets import mappings
from perftui.sources.scrape.discovery import Discovery
from perftui.sources.scrape.endpoint import ScrapeEndpoint
from perftui.sources.scrape.growth import Growth
from perftui.sources.scrape.readers import Readers
from perftui.sources.scrape.totals import OTHER, Member, ScrapeTotals
from perftui.sources.source import SourceError

if TYPE_CHECKING:
    from perftui.config.settings import Operations
    from perftui.config.settings import Scrape as Settings

WORTH = 50.0
"""Seconds between two readings for each second of CPU time that one took: 2 % of a core."""
LONGEST_INTERVAL = 300.0
MOST_ENDPOINTS = 1000
MOST_SERVICES = 200
"""Services that labels of series may name; the calls of further ones are added up as `OTHER`."""
PATIENT_ROUNDS = 2
"""Samples that wait for every page: the first ones, and all that `once` takes."""


class ScrapeSource:
    """Reads all pages side by side; a page that does not answer delays none of the others.

    A sample does not wait for pages longer than half an interval; what they say later is in the
    sample after that.
    """

    name = "scrape"

    def __init__(self, scrape: Settings, operations: Operations) -> None:
        """Raises ValueError for a URL or a regular expression that cannot be understood."""
        self._settings = scrape
        self._mappings = mappings(operations)
        self._interval = scrape.interval
        self._selection = Selection()
        self._selected = self._selection
        self._digesting = threading.Lock()
        self._readers = Readers()
        self._discovery = Discovery() if scrape.discover else None
        self._endpoints: dict[str, ScrapeEndpoint] = {}
        for url in dict.fromkeys(scrape.urls):
            self._endpoints[url] = self._endpoint(url, discovered=False)
        self._condition = threading.Condition()
        self._busy: set[ScrapeEndpoint] = set()
        self._done: list[tuple[ScrapeEndpoint, Growth]] = []
        self._totals: dict[str, ScrapeTotals] = {}
        self._members: dict[str, set[ScrapeEndpoint]] = {}
        self._rounds = 0
        self._cost = 0.0
        self._closed = False

    @property
    def interval(self) -> float:
        """Seconds between two samples: the setting, or more where digesting is costly."""
        return self._interval

    @property
    def deadline(self) -> float:
        """Seconds that one sample may take."""
        return self._settings.timeout + 2.0

    def select(self, selection: Selection) -> None:
        """Look at these hosts and this operation from the next sample on; from any thread."""
        self._selection = selection

    def sample(self) -> Scrape:
        """Return how each page is doing, and the services that they tell of, by name.

        Raises SourceError when there is no page to read.
        """
        begin = time.thread_time()
        self._discover()
        if not self._endpoints:
            raise self._nothing_found()
        self._read_pages()
        self._rounds += 1
        with self._condition:
            done, self._done = self._done, []
            cost, self._cost = self._cost, 0.0
        for endpoint, growth in done:
            self._take(endpoint, growth)
        self._look_at(self._selection)
        found = self._found(time.monotonic())
        cost += time.thread_time() - begin
        self._interval = min(max(self._settings.interval, WORTH * cost), LONGEST_INTERVAL)
        return found

    def close(self) -> None:
        """End all readings; from any thread."""
        with self._condition:
            self._closed = True
            endpoints = list(self._endpoints.values())
            self._condition.notify_all()
        if self._discovery is not None:
            self._discovery.close()
        for endpoint in endpoints:
            endpoint.close()
        self._readers.close()

    def _endpoint(self, url: str, discovered: bool) -> ScrapeEndpoint:
        settings = self._settings
        target = HttpTarget.parse(
            url,
            ca_file=settings.ca_file,
            verify=settings.verify,
            timeout=settings.timeout,
            size_limit=settings.size_limit,
            section="scrape",
        )
        endpoint = ScrapeEndpoint(target, self._mappings, self._digesting, discovered)
        # Pages that differ in their query only, which is not shown.
        same = [each for each in self._endpoints.values() if each.address == endpoint.address]
        if same:
            endpoint.id += f" ({len(same) + 1})"
        return endpoint

    def _discover(self) -> None:
        discovery = self._discovery
        if discovery is None:
            return
        discovery.look(self._settings.timeout if self._rounds == 0 else 0.0)
        named = {
            (endpoint.default_service.rpartition(":")[2], endpoint.local)
            for endpoint in self._endpoints.values()
            if not endpoint.discovered
        }
        urls = [url for url in discovery.urls if (_port(url), True) not in named]
        gone = [
            url
            for url, endpoint in self._endpoints.items()
            if endpoint.discovered and url not in urls and endpoint not in self._busy
        ]
        with self._condition:
            for url in gone:
                # One that only was too slow for the search goes on to be read.
                if self._endpoints[url].reading.absent is not None:
                    self._endpoints.pop(url).close()
            for url in urls:
                if url not in self._endpoints and len(self._endpoints) < MOST_ENDPOINTS:
                    self._endpoints[url] = self._endpoint(url, discovered=True)

    def _nothing_found(self) -> SourceError:
        if self._discovery is not None and self._discovery.error is not None:
            return self._discovery.error
        return SourceError(
            State.UNAVAILABLE,
            "no port of this machine has a page of metrics at /metrics",
            "name one with --scrape URL; they are looked for again every minute",
        )

    def _read_pages(self) -> None:
        begin = time.monotonic()
        patience = self._settings.timeout + 0.2
        if self._rounds >= PATIENT_ROUNDS:
            patience = min(patience, max(0.25, self._interval / 2))
        with self._condition:
            started = []
            for endpoint in self._endpoints.values():
                if endpoint not in self._busy and endpoint.due <= begin:
                    self._busy.add(endpoint)
                    started.append(endpoint)
        for endpoint in started:
            failing = endpoint.reading.absent is not None and endpoint.due > 0
            self._readers.submit(partial(self._read, endpoint), failing)
        waited_for = set(started)
        with self._condition:
            while not self._closed and waited_for & self._busy:
                left = begin + patience - time.monotonic()
                if left <= 0:
                    break
                self._condition.wait(left)

    def _read(self, endpoint: ScrapeEndpoint) -> None:
        growth = None
        try:
            if not self._closed:
                growth = endpoint.read()
        except Exception as error:
            endpoint.failed(error)
        finally:
            with self._condition:
                self._busy.discard(endpoint)
                self._cost += endpoint.cost
                if growth is not None:
                    self._done.append((endpoint, growth))
                self._condition.notify_all()

    def _take(self, endpoint: ScrapeEndpoint, growth: Growth) -> None:
        for name in endpoint.reading.services:
            totals = self._total(endpoint, name)
            if growth.spoiled:
                totals.restart()
        for service, mine in growth.services.items():
            self._total(endpoint, service).add(endpoint.id, endpoint.host, growth, mine)

    def _total(self, endpoint: ScrapeEndpoint, service: str) -> ScrapeTotals:
        name = self._name(endpoint, service)
        if name not in self._totals:
            self._totals[name] = ScrapeTotals(name, self._selected)
        self._members.setdefault(name, set()).add(endpoint)
        return self._totals[name]

    def _name(self, endpoint: ScrapeEndpoint, service: str) -> str:
        """Return what a service on a page is added up as; empty is the page's own."""
        name = service or endpoint.own_service
        return name if name in self._totals or len(self._totals) < MOST_SERVICES else OTHER

    def _look_at(self, selection: Selection) -> None:
        if selection == self._selected:
            return
        self._selected = selection
        for name, totals in self._totals.items():
            if not totals.select(selection):
                continue
            for endpoint in self._members.get(name, ()):
                for growth in list(endpoint.recent):
                    for service, mine in growth.services.items():
                        if self._name(endpoint, service) == name:
                            totals.add_history(endpoint.id, endpoint.host, growth, mine)

    def _found(self, now: float) -> Scrape:
        patience = max(3 * self._interval, self._interval + self._settings.timeout) + 1.0
        states = {
            endpoint: endpoint.endpoint(now, patience) for endpoint in self._endpoints.values()
        }
        services = []
        for name in sorted(self._totals):
            totals = self._totals[name]
            self._members[name].intersection_update(states)
            members = [endpoint for endpoint in states if endpoint in self._members[name]]
            named = any(name in endpoint.reading.services for endpoint in members)
            # A name that left the pages stays while the windows have calls of it.
            if members and (named or not totals.empty):
                found = [_member(endpoint, states[endpoint]) for endpoint in members]
                services.append(totals.read(now, found))
            else:
                del self._totals[name], self._members[name]
        return Scrape(tuple(states.values()), tuple(services))


def _member(endpoint: ScrapeEndpoint, state: Endpoint) -> Member:
    notes = [f"{endpoint.id}: {note}" for note in state.notes]
    if state.state is not State.OK:
        notes.append(state.reason)
    return Member(
        endpoint.instance(state),
        state.state is State.OK,
        endpoint.reading.read_at or 0.0,
        tuple(notes),
    )


def _port(url: str) -> str:
    return url.removesuffix("/metrics").rpartition(":")[2]
