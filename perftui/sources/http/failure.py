"""Why a page could not be read over HTTP, in words, with the setting or command that helps."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
from typing import TYPE_CHECKING

from perftui.snapshot import State
from perftui.sources.source import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perftui.sources.http.target import HttpTarget

TLS_ALERT = "\x15\x03"
"""Begin of a TLS record that carries an alert: the answer of a TLS server to plain HTTP."""


class DeadlineError(TimeoutError):
    """The time for the whole request is over."""


def late(target: HttpTarget, answering: bool) -> SourceError:
    """Return that the deadline passed, `answering` when the answer had begun."""
    what = "did not finish its answer" if answering else "did not answer"
    return SourceError(
        State.UNAVAILABLE,
        f"{target.address} {what} within {target.timeout:g} s",
        f"see whether it is overloaded, or raise {target.setting('timeout')}",
    )


def too_big(target: HttpTarget) -> SourceError:
    """Return that the answer has more bytes than are read."""
    return SourceError(
        State.UNAVAILABLE,
        f"the answer of {target.address} is larger than {target.size_limit:,} bytes",
        "expose fewer series" + _or_raise(target),
    )


def _or_raise(target: HttpTarget) -> str:
    return ", or raise scrape.size_limit" if target.section == "scrape" else ""


def cut_off(target: HttpTarget, what: str) -> SourceError:
    """Return that the answer ended before it was complete."""
    return SourceError(
        State.UNAVAILABLE,
        f"the answer of {target.address} ends early: {what}",
        "look for a crash or a proxy's limit in the logs of the server",
    )


def refused_status(status: int, target: HttpTarget, path: str, sent: bool) -> SourceError | None:
    """Return what a status of the server means for the user, None where it is the caller's.

    `sent` tells whether the request carried a name and password or a token.
    """
    place = target.address
    if status == 401:
        if sent:
            return SourceError(
                State.DENIED,
                f"{place} refused the user, password or token (401)",
                f"correct them in the URL or in {target.setting('bearer_file')}"
                if target.section == "prometheus"
                else "correct them in the URL",
            )
        return SourceError(
            State.DENIED,
            f"{place} wants a user and password (401)",
            f"put them in the URL: {target.scheme}://USER:PASSWORD@{target.host}:{target.port}"
            + (", or set prometheus.bearer_file" if target.section == "prometheus" else ""),
        )
    if status == 403:
        return SourceError(
            State.DENIED,
            f"{place} forbids reading it (403)",
            "allow this host or user in the server's access rules",
        )
    if status == 407:
        return SourceError(
            State.DENIED,
            f"the proxy on the way to {place} wants a user and password (407)",
            "put them in HTTP_PROXY, or name the host in NO_PROXY",
        )
    if status == 404:
        if path:
            return SourceError(
                State.UNAVAILABLE,
                f"{place} has nothing at {path} (404)",
                "correct the URL: it needs the path prefix of the server, if there is one",
            )
        return SourceError(
            State.UNAVAILABLE, f"there is no page at {place} (404)", _page_hint(target)
        )
    return None


def _page_hint(target: HttpTarget) -> str:
    base = target.url.rstrip("/")
    if base.endswith("/metrics"):
        return "correct the path of the URL, or expose the metrics there"
    return f"did you mean {base}/metrics?"


def failure(error: BaseException, target: HttpTarget, proxy: str = "") -> SourceError:
    """Return what an exception of urllib3 or below means; `proxy` is the address of one."""
    causes = tuple(_causes(error))
    place = f"the proxy {proxy}" if proxy and _at_proxy(causes) else target.address
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            return _tls(cause, target, place)
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return _unknown_host(target, proxy)
        if isinstance(cause, DeadlineError | TimeoutError):
            return late(target, False)
        if isinstance(cause, http.client.HTTPException | ConnectionError) or (
            isinstance(cause, OSError) and cause.errno is not None
        ):
            return _network(cause, target, place)
    proxied = next((str(cause) for cause in causes if "Tunnel connection failed" in str(cause)), "")
    if proxied:
        return SourceError(
            State.UNAVAILABLE,
            f"the proxy {proxy} did not connect to {target.address}: {_plain(proxied, target)}",
            "correct HTTPS_PROXY, or name the host in NO_PROXY",
        )
    text = _plain(str(causes[-1]) or type(causes[-1]).__name__, target)
    return SourceError(State.UNAVAILABLE, f"{target.address} could not be read: {text}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those it quotes or came from, outermost first."""
    todo, seen = [error], set[int]()
    while todo and len(seen) < 20:
        current = todo.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        todo += [
            part
            for part in (*current.args, current.__cause__, current.__context__)
            if isinstance(part, BaseException)
        ]


def _at_proxy(causes: tuple[BaseException, ...]) -> bool:
    from urllib3.exceptions import NewConnectionError, ProxyError

    return any(isinstance(cause, ProxyError | NewConnectionError) for cause in causes)


def _unknown_host(target: HttpTarget, proxy: str) -> SourceError:
    if proxy:
        return SourceError(
            State.UNAVAILABLE,
            f"the host name of the proxy {proxy} cannot be resolved",
            "correct HTTP_PROXY, or name the host of the URL in NO_PROXY",
        )
    return SourceError(
        State.UNAVAILABLE,
        f"the host name {target.host} cannot be resolved",
        f"correct the host in the URL, or check DNS: getent hosts {target.host}",
    )


def _network(error: BaseException, target: HttpTarget, place: str) -> SourceError:
    if isinstance(error, http.client.BadStatusLine) and not isinstance(error, ConnectionError):
        if TLS_ALERT in str(error) or repr(TLS_ALERT)[1:-1] in str(error):
            return wants_tls(target)
        return SourceError(
            State.UNAVAILABLE,
            f"{place} does not speak HTTP",
            "correct the port in the URL",
        )
    if isinstance(error, http.client.HTTPException) and not isinstance(error, ConnectionError):
        return SourceError(
            State.UNAVAILABLE,
            f"{place} does not keep to HTTP: {_plain(str(error), target)}",
            "correct the port in the URL",
        )
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ECONNREFUSED:
        return SourceError(
            State.UNAVAILABLE,
            f"{place} refused the connection",
            "start the service, or correct the port in the URL",
        )
    if number in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN):
        return SourceError(
            State.UNAVAILABLE,
            f"there is no route to {place}",
            f"check the network: ping {target.host}",
        )
    if isinstance(error, ConnectionError):
        return SourceError(
            State.UNAVAILABLE,
            f"{place} closed the connection without an answer",
            "it is restarting, or wants https:// in place of http://"
            if target.scheme == "http"
            else "it is restarting, or wants a client certificate",
        )
    text = _plain(str(error), target)
    return SourceError(State.UNAVAILABLE, f"{place} could not be read: {text}")


def wants_tls(target: HttpTarget) -> SourceError:
    """Return that a server wants https, as servers say in different ways."""
    return SourceError(
        State.UNAVAILABLE,
        f"{target.address} speaks TLS",
        f"use https://{target.url.partition('://')[2]}",
    )


def _tls(error: ssl.SSLError, target: HttpTarget, place: str) -> SourceError:
    text = str(error)
    if isinstance(error, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in text:
        why = "it cannot be verified"
        if isinstance(error, ssl.SSLCertVerificationError):
            why = error.verify_message or why
        fix = f"set {target.setting('ca_file')} to the certificate of its authority"
        if "expired" in why:
            fix = "renew the certificate of the server"
        elif "ostname mismatch" in why or "IP address mismatch" in why:
            fix = "use the host name of the certificate in the URL"
        return SourceError(
            State.UNAVAILABLE,
            f"the certificate of {place} is not trusted: {_plain(why, target)}",
            fix,
        )
    if "EOF" in text:
        return SourceError(
            State.UNAVAILABLE,
            f"{place} closed the connection instead of speaking TLS",
            f"use http:// if it does not, or set {target.setting('cert_file')} if it wants a "
            "certificate of its clients",
        )
    if "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER" in text:
        return SourceError(
            State.UNAVAILABLE,
            f"{place} does not speak TLS",
            f"use http://{target.url.partition('://')[2]}",
        )
    if "CERTIFICATE_REQUIRED" in text or "HANDSHAKE_FAILURE" in text:
        return SourceError(
            State.DENIED,
            f"{place} wants a client certificate",
            f"set {target.setting('cert_file')} and {target.setting('key_file')}"
            if target.section != "scrape"
            else "let it be read without one from this host",
        )
    reason = _plain(error.reason or text, target)
    return SourceError(State.UNAVAILABLE, f"TLS with {place} failed: {reason}")


def _plain(text: str, target: HttpTarget) -> str:
    """Return a text of a library in one line, without secrets and without object addresses."""
    for secret in (target.password, target.query, *(value for _, value in target.headers)):
        if secret:
            text = text.replace(secret, "***")
    return " ".join(text.split())[:200]
