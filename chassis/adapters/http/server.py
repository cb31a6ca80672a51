"""One aiohttp application from the routes of all services of the process."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Handler
from structlog.contextvars import bind_contextvars

from chassis.adapters.http.errors import ErrorStyle, unavailable
from chassis.adapters.http.health import Check, Readiness, State
from chassis.adapters.http.json_body import json_response
from chassis.adapters.http.middleware import request_middleware, set_response_headers
from chassis.core.metrics import exposition
from schemas.api import MAX_BODY_BYTES

STARTING_RETRY_SECONDS = 2


class HttpApp(Protocol):
    """The HTTP side of a service. It may also have `error_styles`, a mapping of path prefixes to an `ErrorStyle`."""

    @property
    def name(self) -> str: ...

    def routes(self) -> Sequence[web.AbstractRouteDef]: ...

    def checks(self) -> Mapping[str, Check]: ...


def make_web_app(apps: Sequence[HttpApp], state: State) -> web.Application:
    """An application with all routes of all apps, and `/livez`, `/readyz` and `/metrics`.

    Routes of an app that is not in `state.running` respond 503. Raises ValueError if two apps have a route with the
    same method and path.
    """
    styles: dict[str, ErrorStyle] = {}
    for app in apps:
        styles |= getattr(app, "error_styles", {})
    web_app = web.Application(middlewares=[request_middleware(styles)], client_max_size=MAX_BODY_BYTES)
    web_app.on_response_prepare.append(set_response_headers)
    web_app.add_routes(_operations_routes(Readiness(apps, state)))
    owners: dict[tuple[str, str], str] = {}
    for app in apps:
        for route in app.routes():
            definition = _unavailable_unless_running(app.name, state, route)
            # aiohttp would silently use the first of two.
            other = owners.setdefault((definition.method, definition.path), app.name)
            if other != app.name:
                raise ValueError(f"{definition.method} {definition.path} is a route of {other} and of {app.name}")
            web_app.add_routes([definition])
    return web_app


def _operations_routes(readiness: Readiness) -> list[web.RouteDef]:
    async def livez(_: web.Request) -> web.Response:
        return json_response({"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        ready, body = await readiness.report()
        headers = {"Cache-Control": "no-store"} | ({} if ready else {"Retry-After": "1"})
        return json_response(body, status=200 if ready else 503, headers=headers)

    async def metrics(_: web.Request) -> web.Response:
        text, content_type = exposition()
        return web.Response(body=text, headers={"Content-Type": content_type})

    return [web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)]


def _unavailable_unless_running(service: str, state: State, route: web.AbstractRouteDef) -> web.RouteDef:
    if not isinstance(route, web.RouteDef):
        raise TypeError(
            f"{service}: a route must be made with aiohttp.web.get, post and so on, not {type(route).__name__}"
        )
    inner: Handler = route.handler

    async def handle(request: web.Request) -> web.StreamResponse:
        bind_contextvars(service=service)
        if service not in state.running:
            raise unavailable(STARTING_RETRY_SECONDS, f"The {service} service is starting; try again soon.")
        return await inner(request)

    return web.RouteDef(route.method, route.path, handle, route.kwargs)
