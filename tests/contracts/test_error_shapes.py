"""Every refusal has one shape with a request id, whoever refuses: ingest, the catalog, the gateway in front of them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from chassis.adapters.http.connection import HttpLimits
from chassis.adapters.http.errors import ApiError, unavailable
from chassis.adapters.http.health import State
from chassis.adapters.http.json_body import json_response, read_json
from chassis.adapters.http.listener import listening
from chassis.adapters.http.server import make_web_app
from cli.gateway import Gateway, Settings
from schemas.api import MAX_BODY_BYTES
from schemas.ids import is_id
from services.ingest.errors import queue_full
from services.ingest.media_api import media_error_style
from services.ingest.queue_bounds import QueueFull
from tests.chassis.adapters.http.small_service import Small
from tests.contracts.test_responses import assert_described
from tests.support.system import BitmillUp

TOO_LARGE = b'{"input": "' + b"x" * (2 * MAX_BODY_BYTES) + b'"}'
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
REQUESTS: Mapping[str, tuple[int, str, str, bytes | None, Mapping[str, str]]] = {
    "no such path": (404, "GET", "/nowhere/at/all/of/it", None, {}),
    "no such job": (404, "GET", "/jobs/job_1", None, {}),
    "no such task": (404, "DELETE", "/tasks/task_1", None, {}),
    "no such item": (404, "GET", "/media/med_1", None, {}),
    "no such item to change": (404, "PATCH", "/media/med_1", b"{}", {}),
    "no such file": (404, "GET", "/prj_01kg75gs80ebfsgf8txjabsyef/a.mp4", None, {}),
    "no such method of jobs": (405, "PATCH", "/jobs", b"{}", {}),
    "no such method of media": (405, "PUT", "/media/med_1", b"{}", {}),
    "too large a job": (413, "POST", "/jobs", TOO_LARGE, {}),
    "too large an item": (413, "POST", "/media", TOO_LARGE, {}),
    "a form in place of a job": (415, "POST", "/jobs", b"--x", FORM),
    "a form in place of an item": (415, "POST", "/media", b"--x", FORM),
    "an unknown coding": (415, "POST", "/tasks", b"{}", {"Content-Encoding": "br"}),
    "a query that is wrong": (400, "GET", "/jobs?limit=x", None, {}),
    "a query of media that is wrong": (400, "GET", "/media?limti=1", None, {}),
    "a body that is wrong": (400, "POST", "/jobs", b"{}", {}),
    "a wrong key": (401, "GET", "/jobs", None, {"Authorization": "Bearer wrong"}),
    "a wrong key for media": (401, "GET", "/media", None, {"Authorization": "Bearer wrong"}),
}


async def _refusal(response: aiohttp.ClientResponse, path: str) -> dict[str, Any]:
    """The error of the body, of which everything around it is checked."""
    body = await response.json()
    assert response.content_type == "application/json"
    enveloped = path.startswith("/media")
    assert_described("MediaErrorEnvelope" if enveloped else "ErrorResource", body)
    error: dict[str, Any] = body["error"] if enveloped else body
    if enveloped:
        assert (body["data"], body["meta"]["status"]) == (None, response.status)
    assert_described("ErrorResource", error)
    assert is_id(error["request_id"], "req")
    assert response.headers["X-Request-Id"] == error["request_id"]
    return error


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_refusal_of_the_services_has_the_one_shape(name: str, up: BitmillUp) -> None:
    expected, method, path, data, headers = REQUESTS[name]
    sent = {"Content-Type": "application/json", **up.headers, **headers}
    async with aiohttp.request(
        method, up.api.address + path, data=None if data is None else BytesIO(data), headers=sent
    ) as response:
        assert response.status == expected, await response.text()
        await _refusal(response, path)


def _failing(path: str, error: Exception) -> web.RouteDef:
    async def handler(_: web.Request) -> web.Response:
        raise error

    return web.get(path, handler)


async def _echo(request: web.Request) -> web.Response:
    return json_response(await read_json(request))


ERRORS: Mapping[int, Exception] = {
    429: queue_full(QueueFull("jobs", 5, "MAX_UNFINISHED_JOBS")),
    500: ZeroDivisionError(),
    503: unavailable(3),
}


@asynccontextmanager
async def _behind_a_gateway() -> AsyncIterator[str]:
    routes = [_failing(f"{below}/{status}", error) for below in ("", "/media") for status, error in ERRORS.items()]
    posts = [web.post(f"{below}/echo", _echo) for below in ("", "/media")]
    service = Small(*routes, *posts, styles={"/media": media_error_style("https://api.example.com")})
    limits = HttpLimits()
    async with listening(make_web_app([service], State(running={service.name})), "127.0.0.1", 0, limits) as url:
        proxy = Gateway(Settings(ingest_url=url, catalog_url=url, notifier_url="http://127.0.0.1:9"))
        web_app = make_web_app([proxy], State(running={proxy.name}))
        async with proxy.run(), listening(web_app, "127.0.0.1", 0, limits) as address:
            yield address


@pytest.mark.parametrize("below", ["", "/media"])
async def test_errors_pass_the_gateway_as_they_are(below: str) -> None:
    async with _behind_a_gateway() as address, aiohttp.ClientSession(address) as session:
        for status, error in ERRORS.items():
            async with session.get(f"{below}/{status}") as response:
                assert response.status == status
                refusal = await _refusal(response, f"{below}/{status}")
                assert isinstance(error, ApiError) or refusal["kind"] == "internal_error"
                assert (status in (429, 503)) == ("Retry-After" in response.headers)
        for data, headers, expected in ((TOO_LARGE, {}, 413), (b"--x", FORM, 415)):
            async with session.post(f"{below}/echo", data=BytesIO(data), headers=headers) as response:
                assert response.status == expected
                await _refusal(response, f"{below}/echo")
        async with session.delete(f"{below}/echo") as response:
            assert response.status == 405
            await _refusal(response, f"{below}/echo")


@pytest.mark.parametrize("path", ["/webhooks", "/media"])
async def test_the_gateways_own_error_has_the_one_shape(path: str) -> None:
    nobody = "http://127.0.0.1:9"
    proxy = Gateway(Settings(ingest_url=nobody, catalog_url=nobody, notifier_url=nobody))
    web_app = make_web_app([proxy], State(running={proxy.name}))
    async with (
        proxy.run(),
        listening(web_app, "127.0.0.1", 0, HttpLimits()) as address,
        aiohttp.request("GET", address + path) as response,
    ):
        assert (response.status, response.headers["Retry-After"]) == (503, "1")
        assert (await _refusal(response, path))["kind"] == "unavailable"
