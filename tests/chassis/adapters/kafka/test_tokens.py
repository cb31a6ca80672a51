"""Tokens of a token endpoint on loopback."""

from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from chassis.adapters.kafka.tokens import TokenEndpoint, TokenUnavailable


class Clock:
    """Monotonic seconds that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def endpoint(*answers: tuple[int, Any]) -> AsyncIterator[tuple[str, list[tuple[str, str]]]]:
    """The address of an endpoint that gives these answers in turn, and what it received: login and body."""
    received: list[tuple[str, str]] = []

    async def give(request: web.Request) -> web.Response:
        login = b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
        received.append((login, await request.text()))
        status, body = answers[len(received) - 1]
        return web.json_response(body, status=status)

    application = web.Application()
    application.router.add_post("/token", give)
    async with TestServer(application) as server:
        yield str(server.make_url("/token")), received


async def test_a_token_is_asked_for_with_client_credentials_and_kept_until_most_of_its_life_is_over() -> None:
    clock = Clock()
    first, second = ((200, {"access_token": name, "expires_in": 100}) for name in ("first", "second"))
    async with endpoint(first, second) as (url, received):
        tokens = TokenEndpoint(url, "client", "secret", "kafka", clock=clock)
        assert [await tokens.token(), await tokens.token()] == ["first", "first"]
        clock.now = 79.0
        assert await tokens.token() == "first"
        clock.now = 81.0
        assert await tokens.token() == "second"
    assert received == [("client:secret", "grant_type=client_credentials&scope=kafka")] * 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((401, {"error": "invalid_client"}), "KAFKA_OAUTH_TOKEN_URL responded with 401, see KAFKA_OAUTH_CLIENT_ID"),
        ((200, {"token": "x"}), "did not respond with an access_token"),
        ((200, []), "did not respond with an access_token"),
    ],
)
async def test_an_endpoint_that_gives_no_token_is_named(answer: tuple[int, Any], reason: str) -> None:
    async with endpoint(answer) as (url, _):
        with pytest.raises(TokenUnavailable, match=reason):
            await TokenEndpoint(url, "client", "secret").token()


async def test_an_endpoint_that_is_away_is_named() -> None:
    with pytest.raises(TokenUnavailable, match="KAFKA_OAUTH_TOKEN_URL does not respond: ClientConnectorError"):
        await TokenEndpoint("http://127.0.0.1:1/token", "client", "secret").token()
