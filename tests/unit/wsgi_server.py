"""The server's side of PEP 3333, for one request at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from wsgiref.util import setup_testing_defaults

TEXT = [("Content-Type", "text/plain")]


class Answer:
    """What a server got from the application for one request."""

    def __init__(self) -> None:
        self.status = ""
        self.parts: list[bytes] = []
        self.error: BaseException | None = None


def environment(
    path: str = "/", method: str = "GET", *, file_wrapper: Any = None, **extra: object
) -> dict[str, Any]:
    """Return the environ of a request; `extra` are further variables of it."""
    environ: dict[str, Any] = {"PATH_INFO": path, "REQUEST_METHOD": method, "QUERY_STRING": ""}
    setup_testing_defaults(environ)
    environ["SCRIPT_NAME"] = ""
    environ.update(extra)
    if file_wrapper is not None:
        environ["wsgi.file_wrapper"] = file_wrapper
    return environ


def start_nothing(status: str, headers: Any, exc_info: Any = None, /) -> Any:
    """Stand for the server's start_response where nobody looks at what it was told."""
    return lambda part: None


def ask(
    app: Any, path: str = "/", method: str = "GET", *, parts: int | None = None, **extra: Any
) -> Answer:
    """Make one request as a server does; take at most `parts` parts, as when the client left."""
    answer = Answer()

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        if exc_info is not None and answer.parts:
            raise exc_info[1]
        answer.status = status
        return answer.parts.append

    body: Any = None
    try:
        body = app(environment(path, method, **extra), start_response)
        iterator = iter(body)
        while parts is None or len(answer.parts) < parts:
            try:
                answer.parts.append(next(iterator))
            except StopIteration:
                break
    except Exception as error:
        answer.error = error
    finally:
        if hasattr(body, "close"):
            body.close()
    return answer


def plain(*parts: bytes, status: str = "200 OK") -> Any:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response(status, TEXT)
        return list(parts)

    return app
