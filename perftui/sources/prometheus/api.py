"""Questions to the HTTP API of Prometheus, and what it means when one is not answered.

API: https://prometheus.io/docs/prometheus/latest/querying/api/. Thanos, Mimir and VictoriaMetrics
answer the questions that matter and leave some others out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from perftui.snapshot import State
from perftui.sources.prometheus.answers import (
    BuildInfo,
    Failure,
    Rules,
    Sample,
    Targets,
    decode_data,
    decode_failure,
    decode_vector,
)
from perftui.sources.source import SourceError

if TYPE_CHECKING:
    from perftui.sources.http.client import HttpAnswer, HttpClient

T = TypeVar("T")

QUERY = "/api/v1/query"
LONGEST_GET = 1500
"""Characters of a query above which it is sent in a body: proxies refuse long addresses."""
_API_PATH = re.compile(r"/(?:api/v1.*|graph|query|alerts|targets|classic/.*|metrics)/?$")


class RefusedError(SourceError):
    """The server is well but did not answer this question; others may go on.

    `kind` is the server's word for it, such as `bad_data`, `execution`, `timeout`, `not_offered`.
    """

    def __init__(self, kind: str, reason: str, fix: str = "") -> None:
        super().__init__(State.UNAVAILABLE, reason, fix)
        self.kind = kind


class PrometheusApi:
    """Asks one server; used by one thread.

    `questions` and `bytes_received` count what was asked; `warnings` are those of the answers
    since they were last cleared.
    """

    def __init__(self, client: HttpClient) -> None:
        self.address = client.target.address
        self.warnings: dict[str, None] = {}
        self.questions = 0
        self.bytes_received = 0
        self._client = client
        self._timeout = client.target.timeout
        self._may_post = True

    def query(self, expression: str, time: float | None = None) -> list[Sample]:
        """Return the series of an instant query at a Unix time of the server, else at its now.

        Raises RefusedError when the server did not answer this query, SourceError when there is no
        server that could.
        """
        fields = {"query": expression, "timeout": f"{max(1, round(900 * self._timeout))}ms"}
        if time is not None:
            fields["time"] = f"{time:.3f}"
        answer = self._ask(QUERY, fields)
        try:
            series, warnings = decode_vector(answer.body)
        except ValueError as error:
            raise self._not_understood(answer, error) from None
        self.warnings.update(dict.fromkeys(warnings))
        return series

    def rules(self) -> Rules:
        """Return the alerting rules with their alerts; errors as for `query`."""
        return self._data("/api/v1/rules", {"type": "alert"}, Rules)

    def targets(self) -> Targets:
        """Return the active targets; errors as for `query`."""
        return self._data("/api/v1/targets", {"state": "active"}, Targets)

    def build_info(self) -> BuildInfo:
        """Return the version; errors as for `query`."""
        return self._data("/api/v1/status/buildinfo", {}, BuildInfo)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _data(self, path: str, fields: dict[str, str], kind: type[T]) -> T:
        answer = self._ask(path, fields, get_only=True)
        try:
            data, warnings = decode_data(answer.body, kind)
        except ValueError as error:
            raise self._not_understood(answer, error) from None
        self.warnings.update(dict.fromkeys(warnings))
        return data

    def _ask(self, path: str, fields: dict[str, str], get_only: bool = False) -> HttpAnswer:
        query = fields.get("query", "")
        answer: HttpAnswer | None = None
        if self._may_post and not get_only and len(query) > LONGEST_GET:
            answer = self._counted(self._client.post_form(path, fields))
            if answer.status in (405, 501):
                self._may_post = False
                answer = None
        if answer is None:
            answer = self._counted(self._client.get(path, fields, "application/json"))
        if answer.status == 200:
            return answer
        raise self._refusal(path, answer)

    def _counted(self, answer: HttpAnswer) -> HttpAnswer:
        self.questions += 1
        self.bytes_received += len(answer.body)
        return answer

    def _refusal(self, path: str, answer: HttpAnswer) -> SourceError:
        status = answer.status
        failure = decode_failure(answer.body)
        if status in (401, 403, 407):
            return self._denied(path, answer, failure)
        if failure is not None and failure.error:
            return self._said(path, failure)
        if status in (404, 405, 501) and path != QUERY:
            return RefusedError("not_offered", f"{self._name} does not offer {path}")
        if status in (404, 405):
            return SourceError(
                State.UNAVAILABLE,
                f"{self._name} has no {QUERY}, so the path of the URL is not right",
                self._prefix_fix(),
            )
        if status in (413, 414):
            return RefusedError(
                "too_long",
                f"{self._name} takes no query as long as is needed",
                f"let the proxy before it pass POST {QUERY}",
            )
        if status == 429:
            return RefusedError(
                "too_many",
                f"{self._name} says that it is asked too often",
                "raise prometheus.interval and prometheus.quantile_interval",
            )
        text = _excerpt(answer)
        said = f": {text}" if text else ""
        return SourceError(
            State.UNAVAILABLE,
            f"{self._name} answered with status {status}{said}",
            "see its log, and that of a proxy before it",
        )

    def _said(self, path: str, failure: Failure) -> RefusedError:
        kind, message = failure.error_type, " ".join(failure.error.split())[:300]
        if kind == "timeout":
            return RefusedError(
                kind,
                f"{self._name} did not finish a query within {self._timeout:g} s",
                "raise prometheus.timeout, or narrow the queries with prometheus.matcher",
            )
        fix = ""
        if kind == "bad_data" and path == QUERY:
            fix = "check prometheus.matcher and the settings of [operations]"
        elif kind == "execution":
            fix = "narrow the queries with prometheus.matcher"
        return RefusedError(kind, f"{self._name} says: {message}", fix)

    def _denied(self, path: str, answer: HttpAnswer, failure: Failure | None) -> SourceError:
        from perftui.sources.http.failure import refused_status

        said = " ".join((failure.error if failure else _excerpt(answer)).split())[:120]
        if "org id" in said.lower() or "tenant" in said.lower():
            return SourceError(
                State.DENIED,
                f"{self._name} wants to know the tenant: {said}",
                'add "X-Scope-OrgID: TENANT" to prometheus.headers',
            )
        target = self._client.target
        sent = bool(target.username or target.password or target.bearer_file)
        denied = refused_status(answer.status, target, path, sent)
        if denied is None or (answer.status == 403 and path != QUERY):
            # Rights can differ by path: who may ask queries may still not see rules or targets.
            return RefusedError("denied", f"{self._name} does not allow {path}")
        return denied

    def _prefix_fix(self) -> str:
        if found := _API_PATH.search(self.address):
            return f"leave {found.group()} out of the URL"
        return (
            "give the path that the server has before /api/v1, as in http://HOST:9090/prometheus "
            "(--web.route-prefix of Prometheus, /prometheus of Mimir)"
        )

    def _not_understood(self, answer: HttpAnswer, error: ValueError) -> SourceError:
        kind = answer.content_type.partition(";")[0].strip()
        if kind == "text/html" or answer.body.lstrip()[:1] == b"<":
            return SourceError(
                State.UNAVAILABLE,
                f"{self._name} answered with a web page instead of JSON",
                self._prefix_fix(),
            )
        failure = decode_failure(answer.body)
        if failure is not None and failure.error:
            return self._said("", failure)
        return SourceError(
            State.UNAVAILABLE,
            f"{self._name} answered with something else than Prometheus does: "
            f"{' '.join(str(error).split())[:120]}",
            "check that the URL is that of a server with the API of Prometheus",
        )

    @property
    def _name(self) -> str:
        return f"Prometheus at {self.address}"


def _excerpt(answer: HttpAnswer) -> str:
    if answer.content_type.startswith("text/html"):
        return ""
    return " ".join(answer.body[:200].decode("utf-8", "replace").split())[:120]
