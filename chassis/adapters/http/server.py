"""One aiohttp application from the routes of all services of the process."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from aiohttp import web
from aiohttp.typedefs import Handler
from structlog.contextvars import bind_contextvars

from chassis.adapters.http.connection import HttpLimits
from chassis.adapters.http.errors import ErrorStyle, unavailable
from chassis.adapters.http.health import Check, LivenessReport, Readiness, State
from chassis.adapters.http.json_body import json_response
from chassis.adapters.http.middleware import request_middleware, set_response_headers
from chassis.adapters.http.response_deadline import RESPONSE_SECONDS, respond_in_time
from chassis.core.metrics import exposition
from schemas.api import MAX_BODY_BYTES

STARTING_RETRY_SECONDS = 2
METRICS_CACHE_SECONDS = 5.0
METRICS_TIMEOUT_SECONDS = 3.0


class HttpApp(Protocol):
    """The HTTP side of a service.

    It may also have `error_styles`, a mapping of path prefixes to an `ErrorStyle`, and `response_s`: the seconds until
    its responses have to begin, None where something else bounds them.
    """

    @property
    def name(self) -> str: ...

    def routes(self) -> Sequence[web.AbstractRouteDef]: ...

    def checks(self) -> Mapping[str, Check]: ...


@runtime_checkable
class MetricsSource(Protocol):
    """An app with metrics that are measured at a scrape; called at most every `METRICS_CACHE_SECONDS`."""

    async def refresh_metrics(self) -> None: ...


def make_web_app(apps: Sequence[HttpApp], state: State, body_s: float = HttpLimits.body_s) -> web.Application:
    """An application with all routes of all apps, and `/livez`, `/readyz` and `/metrics`.

    A request's body has to arrive within `body_s` seconds. Routes of an app that is not in `state.running` respond 503,
    and so does a handler without a response within the app's `response_s`.
    Raises ValueError if two apps have a route with the same method and path.
    """
    styles: dict[str, ErrorStyle] = {}
    for app in apps:
        styles |= getattr(app, "error_styles", {})
    owners: dict[tuple[str, str], str] = {}
    middleware = request_middleware(styles, body_s, owners)
    web_app = web.Application(middlewares=[middleware], client_max_size=MAX_BODY_BYTES)
    web_app.on_response_prepare.append(set_response_headers)
    web_app.add_routes(_operations_routes(Readiness(apps, state), _MetricsRefresh(apps)))
    for app in apps:
        for route in app.routes():
            definition = _guarded(app, state, route, body_s)
            # aiohttp would silently use the first of two.
            other = owners.setdefault((definition.method, definition.path), app.name)
            if other != app.name:
                raise ValueError(f"{definition.method} {definition.path} is a route of {other} and of {app.name}")
            web_app.add_routes([definition])
    return web_app


def _operations_routes(readiness: Readiness, metrics_refresh: "_MetricsRefresh") -> list[web.RouteDef]:
    async def livez(_: web.Request) -> web.Response:
        return json_response(LivenessReport(status="ok"))

    async def readyz(_: web.Request) -> web.Response:
        ready, body = await readiness.report()
        headers = {"Cache-Control": "no-store"} | ({} if ready else {"Retry-After": "1"})
        return json_response(body, status=200 if ready else 503, headers=headers)

    async def metrics(_: web.Request) -> web.Response:
        await metrics_refresh.run()
        text, content_type = exposition()
        return web.Response(body=text, headers={"Content-Type": content_type})

    return [web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)]


class _MetricsRefresh:
    """Has the apps measure before a scrape, so that metrics without a scraper cost nothing."""

    def __init__(self, apps: Sequence[HttpApp]) -> None:
        self._sources = [app for app in apps if isinstance(app, MetricsSource)]
        self._lock = asyncio.Lock()
        self._expires = float("-inf")

    async def run(self) -> None:
        """Returns after `METRICS_TIMEOUT_SECONDS` at the latest; what is late keeps the numbers of the last scrape."""
        async with self._lock:
            if time.monotonic() < self._expires:
                return
            refreshing = [asyncio.create_task(source.refresh_metrics()) for source in self._sources]
            if refreshing:
                _, late = await asyncio.wait(refreshing, timeout=METRICS_TIMEOUT_SECONDS)
                for task in late:
                    task.cancel()
            self._expires = time.monotonic() + METRICS_CACHE_SECONDS


def _guarded(app: HttpApp, state: State, route: web.AbstractRouteDef, body_s: float) -> web.RouteDef:
    """The route, with 503 where its app does not run, or has no response in time."""
    service = app.name
    response_s: float | None = getattr(app, "response_s", RESPONSE_SECONDS)
    if not isinstance(route, web.RouteDef):
        raise TypeError(
            f"{service}: a route must be made with aiohttp.web.get, post and so on, not {type(route).__name__}"
        )
    inner: Handler = route.handler

    async def handle(request: web.Request) -> web.StreamResponse:
        bind_contextvars(service=service)
        if service not in state.running:
            raise unavailable(STARTING_RETRY_SECONDS, f"The {service} service is starting; try again soon.")
        return await (inner(request) if response_s is None else respond_in_time(request, inner, response_s, body_s))

    return web.RouteDef(route.method, route.path, handle, route.kwargs)
