"""A small service behind the real door."""

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
    """A service with the routes and checks that a test gives it."""

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
    """A client of the apps, all of which run unless `state` says otherwise."""
    known = State(running={app.name for app in apps}) if state is None else state
    async with TestClient(TestServer(make_web_app(apps, known))) as client:
        yield client


async def raises(
    client: Client, method: str, path: str, **options: Any
) -> tuple[int, dict[str, Any], Mapping[str, str]]:
    """Status, JSON body and headers of an answer that should be an error."""
    async with client.request(method, path, **options) as response:
        return response.status, await response.json(), response.headers
