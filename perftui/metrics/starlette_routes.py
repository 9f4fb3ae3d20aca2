"""The template of the route that Starlette or FastAPI chose, read from the scope it leaves behind.

A router writes `router`, `endpoint` and, by version, `route` into the scope it is given, and a
mount adds the text it matched to `root_path`, not its template. So the first request of a route
is matched once more, from the outermost router down, and the name is kept for the next ones.
Nothing of Starlette is imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

MOST_KNOWN = 2_048
"""Names kept; only a mount with parameters in its path can ask for more than there are routes."""
LONGEST_MOUNT = 200
"""Characters of a mount's path for which names are kept: with parameters a client makes them up."""
MOST_WRAPPERS = 32
"""Middlewares around a mounted application that are looked through for its routes."""
REST = "/{path}"
"""What stands for the path below a mount, as in Starlette's own `Mount.path_format`."""


class _Trace(NamedTuple):
    """What the routers left in the scope.

    `context` is FastAPI's of a route in a router that was included, `frontend` tells that FastAPI
    served its static front end, which it does where nothing else matches.
    """

    context: Any = None
    route: Any = None
    endpoint: Any = None
    frontend: bool = False


class _Match(NamedTuple):
    """A template, and whether what the routers left in the scope can mean no other."""

    template: str
    certain: bool


class StarletteRoutes:
    """Tells templates, and remembers them by what the routers left in the scope."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        # The objects are kept beside the name, so that none of these ids is given to another.
        self._known: dict[tuple[int, int, int, int, str], tuple[str, Any]] = {}

    def template(self, scope: Mapping[str, Any]) -> str | None:
        """Return the template of the route that a scope went through, None where none matched.

        The path below a mount that has no routes, of static files for example, is "{path}". Below
        a host route the host is part of the template.
        """
        router = scope.get("router")
        if router is None:
            # Something answered before the router, or gave the router a copy of this scope.
            found = _match(_routes_of(scope.get("app")) or (), _entry(scope), _Trace())
            return None if found is None else found.template
        trace = _trace(scope)
        context, route, endpoint, frontend = trace
        if endpoint is None and not frontend:
            return None
        key = id(router), id(context), id(route), id(endpoint), scope.get("root_path", "")
        known = self._known.get(key)
        if known is not None:
            return known[0]
        found = _match(_routes_of(router) or (), _entry(scope), trace)
        if found is None:
            return None
        if found.certain and len(key[-1]) <= LONGEST_MOUNT:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[key] = (found.template, (router, trace))
        return found.template


def _trace(scope: Mapping[str, Any]) -> _Trace:
    route = scope.get("route")
    endpoint = scope.get("endpoint")
    extra = scope.get("fastapi")
    if not isinstance(extra, dict):
        return _Trace(None, route, endpoint)
    return _Trace(extra.get("effective_route_context"), route, endpoint, "frontend_path" in extra)


def _entry(scope: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scope as it came to the outermost router."""
    entry = dict(scope)
    entry["root_path"] = scope.get("app_root_path", scope.get("root_path", ""))
    entry.pop("path_params", None)
    entry.pop("fastapi", None)
    return entry


def _match(routes: Sequence[Any], scope: dict[str, Any], trace: _Trace) -> _Match | None:
    """Match as `Router.app` does: the first full match, else the first that lacks the method."""
    partial = None
    for route in _effective(routes):
        try:
            matches = route.matches
        except AttributeError:
            continue
        match, child = matches(scope)
        if match.name == "FULL":
            prefix = _prefix(route, child)
            if prefix is None:
                return _leaf(route, routes, trace)
            return _below(route.app, prefix, {**scope, **child}, trace)
        if match.name == "PARTIAL" and partial is None:
            partial = route
    if partial is not None:
        return _leaf(partial, routes, trace)
    return _Match(REST, trace.endpoint is None) if trace.frontend else None


def _effective(routes: Sequence[Any]) -> Iterator[Any]:
    """Yield the routes, and in place of a router that FastAPI included its routes with prefix."""
    for route in routes:
        try:
            contexts = route.effective_route_contexts()
        except AttributeError:
            yield route
            continue
        for context in contexts:
            # The context stands for FastAPI's own kind of route, a copy for every other kind.
            yield context if context.starlette_route is None else context.starlette_route


def _prefix(route: Any, child: Mapping[str, Any]) -> _Match | None:
    """Return what a mount or a host route puts in front of what is below it, None for others.

    What a host route leaves in the scope does not tell which of several hosts it was.
    """
    if "root_path" in child:
        return _Match(str(route.path_format).removesuffix(REST), True)
    try:
        return _Match(str(route.host_format), False)
    except AttributeError:
        return None


def _below(app: Any, prefix: _Match, scope: dict[str, Any], trace: _Trace) -> _Match | None:
    routes = _routes_of(app)
    if routes is None:
        found: _Match | None = _Match(REST, app is trace.endpoint)
    else:
        found = _match(routes, scope, trace)
    if found is None:
        return None
    return _Match(prefix.template + found.template, prefix.certain and found.certain)


def _leaf(route: Any, siblings: Sequence[Any], trace: _Trace) -> _Match | None:
    try:
        template: str = route.path_format
    except AttributeError:
        return None
    if route is trace.context or route is trace.route:
        return _Match(template, True)
    # Older versions leave only the endpoint, which may serve several routes.
    serving = [each for each in _effective(siblings) if _endpoint(each) is trace.endpoint]
    return _Match(template, len(serving) == 1 and serving[0] is route)


def _endpoint(route: Any) -> Any:
    try:
        return route.endpoint
    except AttributeError:
        return None


def _routes_of(app: Any) -> Sequence[Any] | None:
    """Return the routes of an application, also of one inside middlewares that keep it as `app`."""
    for _ in range(MOST_WRAPPERS):
        try:
            routes = app.routes
        except AttributeError:
            pass
        else:
            return routes if isinstance(routes, (list, tuple)) else None
        try:
            app = app.app
        except AttributeError:
            return None
    return None
