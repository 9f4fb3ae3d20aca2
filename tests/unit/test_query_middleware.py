"""Queries of real Starlette and Flask applications are observed as they were asked."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from typing import Any

import flask
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from perftui.queries.asgi import QueryMiddleware
from perftui.queries.evidence import ShapeEvidence
from perftui.queries.optimizer import QueryOptimizer
from perftui.queries.request_sampler import RequestSampler
from perftui.queries.statements import current
from perftui.queries.url_query import path_template, url_query
from perftui.queries.wsgi import QueryMiddleware as WsgiMiddleware

Get = Callable[..., httpx.Response]


def items(first: int, count: int) -> list[dict[str, Any]]:
    return [
        {"id": number, "name": f"n{number}", "blob": "x" * 100}
        for number in range(first, first + count)
    ]


def starlette_app() -> Starlette:
    async def listing(request: Request) -> Response:
        statements = current()
        if statements is not None:
            statements.count, statements.rows_examined = 2, 500
        size = int(request.query_params.get("page_size", 10))
        return JSONResponse({"items": items(0, size), "total": 99})

    async def single(request: Request) -> Response:
        return JSONResponse(items(request.path_params["id"], 1)[0])

    async def text(request: Request) -> Response:
        if "rows" in request.query_params:
            request.scope["perftui.rows"] = 7
        return PlainTextResponse("a,b\n")

    async def zipped(request: Request) -> Response:
        body = gzip.compress(json.dumps(items(0, 3)).encode())
        headers = {"content-encoding": "gzip"}
        return Response(body, media_type="application/json", headers=headers)

    async def parts(request: Request) -> Response:
        async def body() -> Any:
            yield b"["
            yield b'{"id": 1}, '
            yield b'{"id": 2}]'

        return StreamingResponse(body(), media_type="application/json")

    async def failing(request: Request) -> Response:
        return JSONResponse({"detail": "no"}, status_code=404)

    async def search(request: Request) -> Response:
        told = await request.json()
        request.scope["perftui.query"] = told
        return JSONResponse(items(0, 2))

    return Starlette(
        routes=[
            Route("/items", listing),
            Route("/items/{id:int}", single),
            Route("/text", text),
            Route("/zipped", zipped),
            Route("/parts", parts),
            Route("/failing", failing),
            Route("/search", search, methods=["POST"]),
        ]
    )


class Asgi:
    """An ASGI application with the middleware, and what it observed."""

    def __init__(self, **options: Any) -> None:
        self.optimizer = QueryOptimizer()
        self.app = QueryMiddleware(
            starlette_app(), optimizer=self.optimizer, **{"budget": 1.0, **options}
        )

    def ask(self, *paths: str, method: str = "GET", **more: Any) -> list[httpx.Response]:
        async def ask() -> list[httpx.Response]:
            transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
                return [await client.request(method, path, **more) for path in paths]

        return asyncio.run(ask())

    def shapes(self) -> dict[str, ShapeEvidence]:
        return {shape.shape.endpoint: shape for shape in self.optimizer.evidence().shapes}


def test_a_list_is_observed_with_rows_bytes_fields_and_statements() -> None:
    api = Asgi()
    (answer,) = api.ask(
        "/items?page_size=20&fields=id,name&city=Bonn&price__lt=9&sort=-name",
        headers={"User-Agent": "billing-ui/1.2 (Linux)"},
    )
    (shape,) = api.shapes().values()
    assert shape.shape.endpoint == "GET /items"
    assert shape.shape.parameters == ("fields", "page_size")
    assert [(each.field, each.op) for each in shape.shape.conditions] == [
        ("city", "eq"),
        ("price", "lt"),
    ]
    assert [(key.field, key.descending) for key in shape.shape.sort] == [("name", True)]
    assert (shape.calls, shape.rows, shape.bytes) == (1, 20, len(answer.content))
    (client,) = shape.clients
    assert client.client == "billing-ui"
    assert {field.path for field in client.fields} == {"id", "name", "blob"}
    (point,) = shape.points
    assert (point.page_size, point.rows_examined, point.fields) == (20, 500, 3)
    assert 0 < point.latency < 5


def test_no_value_is_kept() -> None:
    api = Asgi()
    api.ask("/items?city=Secretville&cursor=abcdef", headers={"Authorization": "Bearer hidden"})
    assert "Secretville" not in repr(api.optimizer.evidence())
    assert "hidden" not in repr(api.optimizer.evidence())


def test_items_asked_for_one_by_one_after_their_list_are_seen() -> None:
    api = Asgi()
    api.ask("/items?page_size=15", *(f"/items/{number}" for number in range(12)))
    api.optimizer.log.end_sessions()
    shapes = api.shapes()
    assert shapes["GET /items/{id}"].calls == 12
    (client,) = shapes["GET /items"].clients
    assert (client.singles.lists, client.singles.singles) == (1, 12)


def test_repeated_questions_with_equal_answers_are_seen() -> None:
    api = Asgi()
    api.ask(*["/items?page_size=5"] * 4)
    (client,) = api.shapes()["GET /items"].clients
    assert (client.repeats.repeated, client.repeats.polls, client.repeats.unchanged) == (3, 3, 3)


def test_sessions_are_apart() -> None:
    api = Asgi()
    for who in ("one", "two"):
        api.ask("/items?page_size=5", headers={"Authorization": who})
    (client,) = api.shapes()["GET /items"].clients
    assert client.repeats.repeated == 0


@pytest.mark.parametrize(
    ("path", "rows"),
    [("/text", None), ("/text?rows=1", 7), ("/zipped", None), ("/parts", 2), ("/failing", 0)],
)
def test_rows_are_counted_or_the_answer_is_left_out(path: str, rows: int | None) -> None:
    api = Asgi()
    api.ask(path)
    found = [shape.rows for shape in api.shapes().values()]
    assert found == ([] if rows is None else [rows])
    assert api.app.observer.uncounted == (rows is None)


def test_what_the_application_says_of_a_query_counts() -> None:
    api = Asgi(methods=("GET", "POST"))
    asked = {"parameters": {"page_size": 2}, "filters": [{"field": "a", "op": "gt", "value": 3}]}
    api.ask("/search", method="POST", json=asked)
    (shape,) = api.shapes().values()
    assert shape.shape.endpoint == "POST /search"
    assert [each.field for each in shape.shape.conditions] == ["a"]


def test_other_methods_and_odd_queries_do_no_harm() -> None:
    api = Asgi()
    answers = api.ask(
        "/items?page_size=many&offset=-3&=&a=&&sort=,,&fields=",
        "/items?" + "&".join(f"f{number}=1" for number in range(300)),
        "/items?a=" + "x" * 10_000,
    )
    answers += api.ask("/search", method="POST", json={})
    assert [answer.status_code for answer in answers][:3] == [500, 200, 200]
    assert answers[3].status_code == 200
    assert "POST /search" not in api.shapes()


def test_a_middleware_in_a_middleware_counts_once() -> None:
    api = Asgi()
    api.app = QueryMiddleware(api.app, optimizer=api.optimizer, budget=1.0)
    api.ask("/items")
    assert api.shapes()["GET /items"].calls == 1


@pytest.fixture
def flask_app() -> tuple[flask.Flask, QueryOptimizer]:
    app = flask.Flask("api")
    optimizer = QueryOptimizer()

    @app.get("/items")
    def listing() -> Any:
        statements = current()
        assert statements is not None
        statements.count = 3
        return flask.jsonify(items(0, flask.request.args.get("page_size", 10, int)))

    @app.get("/items/<int:number>")
    def single(number: int) -> Any:
        return items(number, 1)[0]

    @app.get("/broken")
    def broken() -> Any:
        raise RuntimeError("broken")

    app.wsgi_app = WsgiMiddleware(  # type: ignore[method-assign]
        app.wsgi_app, optimizer=optimizer, budget=1.0
    )
    return app, optimizer


def test_flask_is_observed_by_its_rules(flask_app: tuple[flask.Flask, QueryOptimizer]) -> None:
    app, optimizer = flask_app
    client = app.test_client()
    agent = {"User-Agent": "tool/2"}
    body = client.get("/items?page_size=4&city=Bonn", headers=agent, buffered=True).data
    client.get("/items/3", buffered=True)
    client.get("/broken", buffered=True)
    shapes = {shape.shape.endpoint: shape for shape in optimizer.evidence().shapes}
    assert set(shapes) == {"GET /items", "GET /items/<int:number>", "GET /broken"}
    listed = shapes["GET /items"]
    assert (listed.rows, listed.bytes, listed.clients[0].client) == (4, len(body), "tool")
    assert shapes["GET /broken"].errors == 1
    assert current() is None


@pytest.mark.parametrize(
    ("path", "template", "last"),
    [
        ("/items", "/items", ""),
        ("/items/42", "/items/{id}", "42"),
        ("/users/7/orders", "/users/{id}/orders", ""),
        (
            "/x/0b0f2b3e-52f1-4c1e-9a43-5a0f0d6ce0c1",
            "/x/{id}",
            "0b0f2b3e-52f1-4c1e-9a43-5a0f0d6ce0c1",
        ),
        ("/a/deadbeef", "/a/deadbeef", ""),
        ("/a/deadbeefdeadbeef", "/a/{id}", "deadbeefdeadbeef"),
        ("/", "/", ""),
    ],
)
def test_ids_in_paths_become_templates(path: str, template: str, last: str) -> None:
    assert path_template(path) == (template, last)


@pytest.mark.parametrize(
    ("text", "field", "op"),
    [
        ("city=Bonn", "city", "eq"),
        ("price__lte=3", "price", "lte"),
        ("price[gt]=3", "price", "gt"),
        ("filter[city]=Bonn", "city", "eq"),
        ("filter[price][lt]=3", "price", "lt"),
        ("a__b=3", "a__b", "eq"),
    ],
)
def test_filters_of_query_strings(text: str, field: str, op: str) -> None:
    (found,) = url_query("GET /", text)["filters"]
    assert (found["field"], found["op"]) == (field, op)


def test_a_sampler_keeps_to_its_budget_and_its_weights_add_up() -> None:
    now = [0.0]
    sampler = RequestSampler(0.01, clock=lambda: now[0])
    weights = 0
    observed = 0
    for number in range(200_000):
        now[0] += 1e-3
        weight = sampler.choose(number % 500)
        if weight:
            sampler.spent(5e-4)
            observed += 1
            weights += weight
    seconds = now[0]
    # As much again as is measured of an observation is allowed for what cannot be.
    assert observed * 1e-3 <= 0.0102 * seconds + 0.02
    assert observed * 1e-3 > 0.005 * seconds
    assert 199_000 < weights <= 200_000


def test_a_sampler_observes_whole_sessions() -> None:
    now = [0.0]
    sampler = RequestSampler(0.01, clock=lambda: now[0])
    for number in range(5_000):
        now[0] += 1e-3
        if sampler.choose(number % 500):
            sampler.spent(5e-4)
    chosen = {number % 500 for number in range(1_000) if sampler.choose(number % 500)}
    again = {number % 500 for number in range(500) if sampler.choose(number % 500)}
    assert chosen
    assert again == chosen


def test_all_is_observed_where_little_is_asked() -> None:
    now = [0.0]
    sampler = RequestSampler(0.01, clock=lambda: now[0])
    weights = []
    for _ in range(100):
        now[0] += 1.0
        weights.append(sampler.choose("somebody"))
        sampler.spent(5e-4)
    assert weights == [1] * 100
