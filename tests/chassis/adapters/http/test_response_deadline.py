"""A request whose handler waits for a server of ours ends with 503 in time, unless its response has begun."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from chassis.adapters.http.json_body import read_json
from chassis.adapters.http.response_deadline import begin_response_deadline
from tests.chassis.adapters.http.small_service import Small, error_of, serving

SOON_S = 0.3
PAUSE_S = 2 * SOON_S


class Impatient(Small):
    """Its responses have to begin soon."""

    response_s = SOON_S


async def never(_: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_handler_without_a_response_in_time_is_ended_with_503() -> None:
    async with serving(Impatient(web.get("/", never))) as client:
        status, body, headers = await error_of(client, "GET", "/")
    assert (status, body["kind"]) == (503, "unavailable")
    assert int(headers["Retry-After"]) >= 1


async def test_an_app_without_such_a_bound_takes_its_time() -> None:
    class Patient(Small):
        response_s = None

    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(PAUSE_S)
        return web.Response()

    async with serving(Patient(web.get("/", slow))) as client, client.get("/") as response:
        assert response.status == 200


async def test_a_response_that_has_begun_may_take_any_time() -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.sleep(PAUSE_S)
        await response.write(b"the end")
        return response

    async with serving(Impatient(web.get("/", stream))) as client, client.get("/") as response:
        assert await response.read() == b"the end"


async def test_the_time_begins_when_the_body_has_arrived() -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.json_response(await read_json(request))

    async def never_after_the_body(request: web.Request) -> web.Response:
        await read_json(request)
        return await never(request)

    async def slow_body() -> AsyncIterator[bytes]:
        for part in (b"[1,", b"2]"):
            yield part
            await asyncio.sleep(PAUSE_S)

    app = Impatient(web.post("/echo", echo), web.post("/never", never_after_the_body))
    async with serving(app) as client:
        async with client.post("/echo", data=slow_body()) as response:
            assert await response.json() == [1, 2]
        assert (await error_of(client, "POST", "/never", data=slow_body()))[0] == 503


async def test_a_handler_gets_more_time_for_what_it_waits_for_on_purpose() -> None:
    async def wait(request: web.Request) -> web.Response:
        begin_response_deadline(request, more_s=60)
        await asyncio.sleep(PAUSE_S)
        return web.Response()

    async with serving(Impatient(web.get("/", wait))) as client, client.get("/") as response:
        assert response.status == 200
