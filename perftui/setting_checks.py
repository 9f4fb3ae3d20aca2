"""Checks of settings that only those who use them can make, before anything is started."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perftui.config import Alerts, Prometheus, Settings


def setting_problems(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield each setting that cannot be used, as `section.key`, with the reason; no secrets."""
    if settings.redis.url:
        from perftui.sources.redis.target import RedisTarget

        try:
            RedisTarget.parse(settings.redis.url)
        except ValueError as error:
            yield "redis.url", str(error)
    yield from metrics_problems(settings)
    yield from receiver_problems(settings.alerts)


def receiver_problems(alerts: Alerts) -> Iterator[tuple[str, str]]:
    """Yield the same for the command and the web hook that are told of alerts."""
    if alerts.exec:
        from perftui.output.alert_command import parse_command

        try:
            parse_command(alerts.exec)
        except ValueError as error:
            yield "alerts.exec", str(error)
    if alerts.webhook:
        from perftui.sources.http.target import HttpTarget

        try:
            HttpTarget.parse(alerts.webhook)
        except ValueError as error:
            yield "alerts.webhook", str(error)


def metrics_problems(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the same for pages of metrics, the Prometheus server and what operations are."""
    if settings.haproxy.sockets:
        yield from _sockets(settings.haproxy.sockets)
    if settings.scrape.urls:
        yield from _pages(settings.scrape.urls)
    if settings.prometheus.url:
        yield from _server(settings.prometheus)
    try:
        re.compile(settings.operations.failure)
    except re.error as error:
        pattern = settings.operations.failure
        yield "operations.failure", f"{pattern!r} is not a regular expression: {error}"
    if settings.prometheus.matcher:
        from perftui.sources.prometheus.promql import check_matcher

        try:
            check_matcher(settings.prometheus.matcher)
        except ValueError as error:
            yield "prometheus.matcher", str(error)


def _sockets(sockets: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    from perftui.pool.haproxy_socket import HaproxyTarget

    for address in sockets:
        try:
            HaproxyTarget.parse(address)
        except ValueError as error:
            yield "haproxy.sockets", str(error)


def _pages(urls: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    from perftui.sources.http.target import HttpTarget

    for number, url in enumerate(urls, 1):
        try:
            HttpTarget.parse(url)
        except ValueError as error:
            # The URL itself may hold a password that cannot be told from the rest.
            which = f"number {number} of {len(urls)}: " if len(urls) > 1 else ""
            yield "scrape.urls", f"{which}{error}"


def _server(server: Prometheus) -> Iterator[tuple[str, str]]:
    from perftui.sources.http.target import HttpTarget

    try:
        HttpTarget.parse(server.url)
    except ValueError as error:
        yield "prometheus.url", str(error)
        return
    try:
        HttpTarget.parse(server.url, headers=server.headers)
    except ValueError as error:
        yield "prometheus.headers", str(error)
    try:
        HttpTarget.parse(server.url, bearer_file=server.bearer_file)
    except ValueError as error:
        yield "prometheus.bearer_file", str(error)
    try:
        HttpTarget.parse(server.url, cert_file=server.cert_file, key_file=server.key_file)
    except ValueError as error:
        yield "prometheus.key_file", str(error)
