"""Which service a request goes to, and what silent and malformed clients get."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from chassis.adapters.http.connection import HttpLimits
from chassis.adapters.http.health import State
from chassis.adapters.http.json_body import json_response, read_json
from chassis.adapters.http.listener import listening
from chassis.adapters.http.server import make_web_app
from cli.gateway import Gateway, Settings, upstream
from schemas.ids import is_id
from tests.chassis.adapters.http.raw_client import MALFORMED, at_once, drip, innocent, parse, until_closed
from tests.chassis.adapters.http.small_service import Small

SETTINGS = Settings(ingest_url="http://ingest", catalog_url="http://catalog", notifier_url="http://notifier")
SHORT = HttpLimits(idle_s=0.3, body_s=0.3, write_s=0.3)
PATIENT = HttpLimits(idle_s=600, body_s=600, write_s=600)
POST = b"POST /echo HTTP/1.1\r\nHost: a\r\n"


@asynccontextmanager
async def gateway(limits: HttpLimits) -> AsyncIterator[str]:
    """The address of a gateway in front of one service, which is patient: what is refused, the gateway refuses."""

    async def fine(_: web.Request) -> web.Response:
        return json_response({"fine": True})

    async def echo(request: web.Request) -> web.Response:
        return json_response(await read_json(request))

    service = Small(web.get("/fine", fine), web.post("/echo", echo))
    app = make_web_app([service], State(running={service.name}), PATIENT.body_s)
    async with listening(app, "127.0.0.1", 0, PATIENT) as service_url:
        proxy = Gateway(Settings(ingest_url=service_url, catalog_url=service_url, notifier_url=service_url))
        web_app = make_web_app([proxy], State(running={proxy.name}), limits.body_s)
        async with proxy.run(), listening(web_app, "127.0.0.1", 0, limits) as address:
            yield address


@pytest.mark.parametrize(
    ("method", "path", "service"),
    [
        ("GET", "/jobs", "catalog"),
        ("HEAD", "/prj_1/a.mp4", "catalog"),
        ("OPTIONS", "/prj_1/a.mp4", "catalog"),
        ("POST", "/jobs", "ingest"),
        ("PATCH", "/media/med_1", "ingest"),
        ("DELETE", "/media/med_1", "ingest"),
        ("GET", "/webhooks/endpoints", "notifier"),
        ("POST", "/webhooks", "notifier"),
        ("GET", "/webhooksx", "catalog"),
        ("GET", "/connections", "ingest"),
        ("GET", "/connections/conn_1", "ingest"),
        ("GET", "/connectionsx", "catalog"),
    ],
)
def test_a_request_goes_to_the_service_of_its_method(method: str, path: str, service: str) -> None:
    assert upstream(SETTINGS, method, path) == f"http://{service}"


async def test_the_address_of_the_client_is_appended_to_what_it_sent() -> None:
    async def shown(request: web.Request) -> web.Response:
        return json_response({"forwarded": request.headers.getall("X-Forwarded-For")})

    service = Small(web.get("/shown", shown))
    app = make_web_app([service], State(running={service.name}), PATIENT.body_s)
    async with listening(app, "127.0.0.1", 0, PATIENT) as url:
        proxy = Gateway(Settings(ingest_url=url, catalog_url=url, notifier_url=url))
        web_app = make_web_app([proxy], State(running={proxy.name}), PATIENT.body_s)
        async with proxy.run(), listening(web_app, "127.0.0.1", 0, PATIENT) as address:
            request = b"GET /shown HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"
            response = parse(await until_closed(address, request))
    assert response.body == {"forwarded": ["203.0.113.9", "127.0.0.1"]}


async def test_a_body_is_forwarded() -> None:
    async with gateway(PATIENT) as address:
        request = POST + b"Connection: close\r\nContent-Length: 7\r\n\r\n"
        response = parse(await until_closed(address, request, b'{"a"', b":1}"))
        assert (response.status, response.body) == (200, {"a": 1})


async def test_connections_without_a_complete_head_are_closed_and_others_go_on() -> None:
    async with gateway(SHORT) as address, innocent(address):
        for head in (b"", b"GET /fine HTTP/1.1\r\nHost: a\r\nX-A: b"):
            assert set(await at_once(50, address, [head])) == {b""}
        assert await drip(address, b"GET /fine HTTP/1.1\r\nX-A: ", b"b") == b""


async def test_a_body_that_does_not_arrive_is_a_408_and_others_go_on() -> None:
    async with gateway(SHORT) as address, innocent(address):
        for raw in await at_once(50, address, [POST + b"Content-Length: 100\r\n\r\n{"]):
            assert (parse(raw).status, parse(raw).body["kind"]) == (408, "request_timeout")
        assert parse(await drip(address, POST + b"Content-Length: 1000000\r\n\r\n", b" ")).status == 408


TARGETS = {
    "other_host": (b"GET http://hush.example/ HTTP/1.1\r\nHost: a\r\n\r\n",),
    "asterisk": (b"OPTIONS * HTTP/1.1\r\nHost: a\r\nX-A: hush\r\n\r\n",),
    "authority": (b"CONNECT hush:80 HTTP/1.1\r\nHost: a\r\n\r\n",),
}
"""Valid HTTP, but the target is no path."""


@pytest.mark.parametrize("name", [*MALFORMED, *TARGETS])
async def test_malformed_http_is_a_json_error_that_repeats_nothing_of_the_request(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    short_idle = HttpLimits(idle_s=0.3, body_s=600, write_s=600)
    async with gateway(short_idle) as address, innocent(address):
        with capture_logs() as lines:
            response = parse(await until_closed(address, *{**MALFORMED, **TARGETS}[name]))
    assert 400 <= response.status < 500
    assert response.body["kind"] in ("invalid_http", "invalid_input", "not_found")
    assert is_id(str(response.body["request_id"]), "req")
    assert response.headers["X-Request-Id"] == response.body["request_id"]
    assert b"hush" not in response.raw and "hush" not in caplog.text
    assert "Traceback" not in caplog.text and not [line for line in lines if "exc_info" in line]


async def test_a_stream_is_forwarded_as_it_comes_and_ends_with_its_client() -> None:
    more, gone = asyncio.Event(), asyncio.Event()

    async def events(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: 1\n\n")
        await more.wait()
        await response.write(b"data: 2\n\n")
        try:
            while True:
                await response.write(b": heartbeat\n")
                await asyncio.sleep(0.01)
        except ConnectionError:
            gone.set()
            raise

    service = Small(web.get("/events", events))
    app = make_web_app([service], State(running={service.name}), PATIENT.body_s)
    async with listening(app, "127.0.0.1", 0, PATIENT) as url:
        proxy = Gateway(Settings(ingest_url=url, catalog_url=url, notifier_url=url))
        web_app = make_web_app([proxy], State(running={proxy.name}), PATIENT.body_s)
        async with (
            asyncio.timeout(60),
            proxy.run(),
            listening(web_app, "127.0.0.1", 0, PATIENT) as address,
            aiohttp.ClientSession() as session,
        ):
            async with session.get(address + "/events") as response:
                assert response.headers["Content-Type"] == "text/event-stream"
                # The service waits until the first event has arrived here.
                assert await response.content.readline() == b"data: 1\n"
                more.set()
                assert await response.content.readuntil(b"data: 2\n") == b"\ndata: 2\n"
                response.close()
            await gone.wait()
