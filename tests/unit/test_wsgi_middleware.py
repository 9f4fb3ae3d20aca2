"""Requests of WSGI applications become calls of operations."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.handlers import SimpleHandler
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest
from flask import Flask, Response, send_file
from gunicorn.http.wsgi import FileWrapper as GunicornFile
from wsgi_server import TEXT, ask, environment, plain, start_nothing

from perftui.metrics.execution import ExecutionMetrics, shared
from perftui.metrics.report import OperationCounts
from perftui.metrics.wsgi import OperationMiddleware


@pytest.fixture
def metrics() -> ExecutionMetrics:
    return ExecutionMetrics(registry=None)


def counted(metrics: ExecutionMetrics) -> dict[str, int]:
    return {name: counts.count for name, counts in metrics.counts().items()}


def outcome(metrics: ExecutionMetrics) -> str:
    (counts,) = metrics.counts().values()
    return {(1, 0, 0): "success", (1, 1, 0): "failure", (0, 0, 1): "cancelled"}[
        counts.count, counts.failures, counts.cancelled
    ]


class Body:
    """An iterable that counts how often it is closed and may fail on its way."""

    def __init__(self, *parts: bytes, error: BaseException | None = None) -> None:
        self.parts = list(parts)
        self.error = error
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        yield from self.parts
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.closed += 1


def serving(body: Iterable[bytes], status: str = "200 OK") -> Any:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response(status, TEXT)
        return body

    return app


@pytest.mark.parametrize(
    ("status", "failure", "expected"),
    [
        ("200 OK", 500, "success"),
        ("404 Not Found", 500, "success"),
        ("500 Internal Server Error", 500, "failure"),
        ("503", 500, "failure"),
        ("404 Not Found", 400, "failure"),
        ("500 Oh", lambda status: status == 404, "success"),
    ],
)
def test_status_decides(
    status: str,
    failure: int | Callable[[int], bool],
    expected: str,
    metrics: ExecutionMetrics,
) -> None:
    app = OperationMiddleware(plain(b"", status=status), metrics=metrics, failure=failure)
    assert ask(app).status == status
    assert outcome(metrics) == expected


def test_exception_of_the_application_goes_on(metrics: ExecutionMetrics) -> None:
    error = LookupError("broken")

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        raise error

    assert ask(OperationMiddleware(app, metrics=metrics)).error is error
    assert outcome(metrics) == "failure"


def test_worker_ended_for_its_slowness_is_a_failure(metrics: ExecutionMetrics) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        sys.exit(1)

    with pytest.raises(SystemExit):
        ask(OperationMiddleware(app, metrics=metrics))
    assert outcome(metrics) == "failure"


@pytest.mark.parametrize(
    ("error", "parts", "expected"),
    [
        (None, None, "success"),
        (LookupError("in the middle"), None, "failure"),
        (None, 1, "cancelled"),
    ],
)
def test_body_is_watched_and_closed_once(
    error: BaseException | None, parts: int | None, expected: str, metrics: ExecutionMetrics
) -> None:
    body = Body(b"a", b"b", error=error)
    answer = ask(OperationMiddleware(serving(body), metrics=metrics), parts=parts)
    assert answer.parts == [b"a", b"b"][: parts or 2]
    assert answer.error is error
    assert body.closed == 1
    assert outcome(metrics) == expected


def test_second_close_of_a_server_reaches_nobody(metrics: ExecutionMetrics) -> None:
    body = Body(b"a")
    app = OperationMiddleware(serving(body), metrics=metrics)
    watched: Any = app(environment(), start_nothing)
    list(watched)
    watched.close()
    watched.close()
    assert body.closed == 1
    assert counted(metrics) == {"GET _unmatched": 1}


def test_exception_in_close_reaches_the_server(metrics: ExecutionMetrics) -> None:
    class Unclosable(Body):
        def close(self) -> None:
            raise OSError("cannot close")

    with pytest.raises(OSError, match="cannot close"):
        ask(OperationMiddleware(serving(Unclosable(b"a")), metrics=metrics))
    assert outcome(metrics) == "success"


def test_generator_application_that_fails_before_it_starts(metrics: ExecutionMetrics) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        raise LookupError("early")
        yield b""

    assert isinstance(ask(OperationMiddleware(app, metrics=metrics)).error, LookupError)
    assert outcome(metrics) == "failure"


def test_response_that_never_starts_is_a_failure(metrics: ExecutionMetrics) -> None:
    assert ask(OperationMiddleware(lambda *_: [], metrics=metrics)).status == ""
    assert outcome(metrics) == "failure"


def test_head_without_the_body_is_complete(metrics: ExecutionMetrics) -> None:
    ask(OperationMiddleware(serving(Body(b"a", b"b")), metrics=metrics), method="HEAD", parts=0)
    assert outcome(metrics) == "success"


def test_error_page_in_place_of_a_response(metrics: ExecutionMetrics) -> None:
    error = LookupError("broken")

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        try:
            raise error
        except LookupError:
            start_response("500 Broken", TEXT, sys.exc_info())
        return [b"sorry"]

    assert ask(OperationMiddleware(app, metrics=metrics)).status == "500 Broken"
    assert outcome(metrics) == "failure"


def test_error_after_the_headers_were_sent(metrics: ExecutionMetrics) -> None:
    error = LookupError("broken")

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        yield b"a"
        try:
            raise error
        except LookupError:
            # The server raises it again, since nothing can take the headers back.
            start_response("500 Broken", TEXT, sys.exc_info())

    assert ask(OperationMiddleware(app, metrics=metrics)).error is error
    assert outcome(metrics) == "failure"


def test_write_callable_is_that_of_the_server(metrics: ExecutionMetrics) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", TEXT)(b"written")
        return []

    assert ask(OperationMiddleware(app, metrics=metrics)).parts == [b"written"]
    assert outcome(metrics) == "success"


def test_both_sides_keep_to_the_protocol(metrics: ExecutionMetrics) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return iter([b"a", b"b"])

    checked = validator(OperationMiddleware(validator(app), metrics=metrics))
    out = io.BytesIO()
    errors = io.StringIO()
    handler = SimpleHandler(io.BytesIO(), out, errors, environment(), multithread=False)
    handler.run(checked)
    assert errors.getvalue() == ""
    assert out.getvalue().endswith(b"ab")
    assert outcome(metrics) == "success"


def test_server_can_tell_the_length_of_one_part(metrics: ExecutionMetrics) -> None:
    out = io.BytesIO()
    handler = SimpleHandler(io.BytesIO(), out, io.StringIO(), environment())
    handler.run(OperationMiddleware(plain(b"12345"), metrics=metrics))
    assert b"Content-Length: 5\r\n" in out.getvalue()


def test_parts_of_a_list_that_were_all_taken_are_the_whole(metrics: ExecutionMetrics) -> None:
    ask(OperationMiddleware(plain(b"12345"), metrics=metrics), parts=1)
    assert outcome(metrics) == "success"


def wrapping_function(file: Any, size: int = 8192) -> Any:
    """Wrap as uWSGI and mod_wsgi do, which offer no type."""
    return FileWrapper(file, size)


@pytest.mark.parametrize("wrapper", [FileWrapper, GunicornFile, wrapping_function])
def test_file_goes_to_the_server_as_it_is(
    wrapper: Callable[..., Any], metrics: ExecutionMetrics, tmp_path: Path
) -> None:
    app = Flask(__name__)
    (tmp_path / "file").write_bytes(b"x" * 20_000)
    opened: list[Any] = []

    @app.get("/file")
    def file() -> Response:
        return send_file(tmp_path / "file")

    def direct(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        opened.append((tmp_path / "file").open("rb"))
        return environ["wsgi.file_wrapper"](opened[0])

    measured = OperationMiddleware(direct, metrics=metrics)
    environ = environment("/f", file_wrapper=wrapper)
    body: Any = measured(environ, start_nothing)
    assert type(body) is (GunicornFile if wrapper is GunicornFile else FileWrapper)
    assert b"".join(body) == b"x" * 20_000
    assert not metrics.counts()
    body.close()
    assert opened[0].closed
    assert outcome(metrics) == "success"

    flask = OperationMiddleware(app, metrics=metrics)
    answer = ask(flask, "/file", file_wrapper=wrapper)
    assert b"".join(answer.parts) == b"x" * 20_000
    assert counted(metrics) == {"GET _unmatched": 1, "GET /file": 1}


def test_file_object_that_cannot_be_watched(metrics: ExecutionMetrics) -> None:
    class Sealed:
        __slots__ = ()

        def __init__(self, file: Any) -> None:
            pass

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        return environ["wsgi.file_wrapper"](None)

    environ = environment(file_wrapper=Sealed)
    body: Any = OperationMiddleware(app, metrics=metrics)(environ, start_nothing)
    assert type(body) is Sealed
    assert outcome(metrics) == "success"


def test_time_is_that_of_the_whole_body_without_the_clean_up(metrics: ExecutionMetrics) -> None:
    class Slow(Body):
        def __iter__(self) -> Iterator[bytes]:
            for part in self.parts:
                time.sleep(0.02)
                yield part

        def close(self) -> None:
            time.sleep(0.3)

    ask(OperationMiddleware(serving(Slow(b"a", b"b", b"c")), metrics=metrics))
    (counts,) = metrics.counts().values()
    assert 0.05 < counts.seconds < 0.3


def test_nested_middlewares_count_a_request_once(metrics: ExecutionMetrics) -> None:
    app = OperationMiddleware(plain(b"ok"), metrics=metrics)
    ask(OperationMiddleware(app, metrics=metrics))
    assert counted(metrics) == {"GET _unmatched": 1}


def test_default_metrics_are_the_shared_ones() -> None:
    before = shared().counts().get("GET _unmatched", OperationCounts(0, 0, 0.0)).count
    ask(OperationMiddleware(plain(b"ok")))
    assert shared().counts()["GET _unmatched"].count == before + 1
