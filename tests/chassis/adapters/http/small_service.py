"""A small service in the real HTTP application."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from chassis.adapters.http.errors import ErrorStyle
from chassis.adapters.http.health import Check, State
from chassis.adapters.http.server import HttpApp, make_web_app

Client = TestClient[web.Request, web.Application]


class Small:
    """A service with the routes, checks and error styles of one test."""

    def __init__(
        self,
        *routes: web.AbstractRouteDef,
        name: str = "small",
        checks: Mapping[str, Check] | None = None,
        styles: Mapping[str, ErrorStyle] | None = None,
    ) -> None:
        self._routes = routes
        self._name = name
        self._checks = checks or {}
        self.error_styles = styles or {}

    @property
    def name(self) -> str:
        return self._name

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        return self._routes

    def checks(self) -> Mapping[str, Check]:
        return self._checks


@asynccontextmanager
async def serving(*apps: HttpApp, state: State | None = None) -> AsyncIterator[Client]:
    """A client of the apps, all of which are running unless `state` says otherwise."""
    current = State(running={app.name for app in apps}) if state is None else state
    server = TestServer(make_web_app(apps, current))
    await server.start_server(auto_decompress=False)  # as `Connection` has it
    async with TestClient(server) as client:
        yield client


async def error_of(
    client: Client, method: str, path: str, **options: Any
) -> tuple[int, dict[str, Any], Mapping[str, str]]:
    """Status, JSON body and headers of an error response."""
    async with client.request(method, path, **options) as response:
        return response.status, await response.json(), response.headers
