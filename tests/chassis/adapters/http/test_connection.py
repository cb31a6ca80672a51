"""Silent, slow and malformed clients: they lose their connection, and nobody else notices."""

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from chassis.adapters.http.connection import HttpLimits
from chassis.adapters.http.health import State
from chassis.adapters.http.json_body import json_response, read_json
from chassis.adapters.http.listener import listening
from chassis.adapters.http.server import make_web_app
from schemas.ids import is_id
from tests.chassis.adapters.http.raw_client import MALFORMED, at_once, connect, drip, innocent, parse, until_closed
from tests.chassis.adapters.http.small_service import Small
from tests.support.waiting import until

SHORT = HttpLimits(idle_s=0.3, body_s=0.3, write_s=0.3)
PATIENT = HttpLimits(idle_s=600, body_s=600, write_s=600)
CONNECTIONS = 50
POST = b"POST /echo HTTP/1.1\r\nHost: a\r\n"


async def fine(_: web.Request) -> web.Response:
    return json_response({"fine": True})


async def echo(request: web.Request) -> web.Response:
    return json_response(await read_json(request))


@asynccontextmanager
async def serving(limits: HttpLimits, *routes: web.RouteDef) -> AsyncIterator[str]:
    """The address of a service with `GET /fine` and `POST /echo`."""
    app = Small(web.get("/fine", fine), web.post("/echo", echo), *routes)
    web_app = make_web_app([app], State(running={app.name}), limits.body_s)
    async with listening(web_app, "127.0.0.1", 0, limits) as address:
        yield address


@pytest.mark.parametrize(
    "head",
    [b"", b"GET /fine HT", b"GET /fine HTTP/1.1\r\nHost: a\r\nX-A: b"],
    ids=["nothing", "half_line", "half_head"],
)
async def test_a_connection_without_a_complete_head_is_closed(head: bytes) -> None:
    async with serving(SHORT) as address, innocent(address):
        assert set(await at_once(CONNECTIONS, address, [head])) == {b""}


async def test_a_head_that_comes_byte_by_byte_has_no_longer_than_another() -> None:
    async with serving(SHORT) as address, innocent(address):
        assert await drip(address, b"GET /fine HTTP/1.1\r\nHost: a\r\nX-A: ", b"b") == b""
        assert await drip(address, b"", b"\r\n") == b""


async def test_idle_connections_never_keep_others_out() -> None:
    """The oldest idle one is closed for each new one; a request in progress is not."""
    release = asyncio.Event()

    async def wait(_: web.Request) -> web.Response:
        await release.wait()
        return json_response({"waited": True})

    limits = HttpLimits(idle_s=600, body_s=600, write_s=600, connections=20)
    async with serving(limits, web.get("/wait", wait)) as address:
        busy = asyncio.create_task(until_closed(address, b"GET /wait HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
        async with innocent(address) as answers:
            await until(lambda: answers.statuses)
            idle = [await connect(address) for _ in range(100)]
            closed = [asyncio.create_task(reader.read()) for reader, _ in idle]
            await until(lambda: sum(task.done() for task in closed) >= 80)
            for _, writer in idle:
                writer.transport.abort()
            release.set()
            assert parse(await busy).body == {"waited": True}
        await asyncio.gather(*closed, return_exceptions=True)


async def test_an_unused_connection_is_closed_after_its_last_response() -> None:
    async with serving(SHORT) as address:
        received = await until_closed(address, b"GET /fine HTTP/1.1\r\nHost: a\r\n\r\n")
        assert received.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "request_bytes",
    [
        POST + b"Content-Length: 100\r\n\r\n",
        POST + b"Content-Length: 100\r\n\r\n{",
        POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
    ],
    ids=["no_body", "half_body", "half_chunk"],
)
async def test_a_body_that_does_not_arrive_is_a_408_and_closes_the_connection(request_bytes: bytes) -> None:
    async with serving(SHORT) as address, innocent(address):
        for raw in await at_once(CONNECTIONS, address, [request_bytes]):
            response = parse(raw)
            assert (response.status, response.body["kind"]) == (408, "request_timeout")
            assert response.headers["Connection"] == "close"
            assert response.body["request_id"] == response.headers["X-Request-Id"]


@pytest.mark.parametrize(
    ("head", "byte"),
    [(b"Content-Length: 1000000\r\n\r\n", b" "), (b"Transfer-Encoding: chunked\r\n\r\n1;", b"x")],
    ids=["body", "chunk_extension"],
)
async def test_a_body_that_comes_byte_by_byte_has_no_longer_than_another(head: bytes, byte: bytes) -> None:
    async with serving(SHORT) as address, innocent(address):
        assert parse(await drip(address, POST + head, byte)).status == 408


async def test_no_body_is_decompressed_before_it_is_read() -> None:
    """A megabyte of anybody would stop the event loop for seconds, at whatever address."""
    bomb = gzip.compress(b" " * 64_000_000)
    head = b"Content-Encoding: gzip\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(bomb)
    received: list[int] = []

    async def unread(request: web.Request) -> web.Response:
        await until(lambda: len(bomb) == request.content.total_bytes)
        received.append(request.content.total_bytes)
        return json_response({})

    async with serving(PATIENT, web.post("/unread", unread)) as address:
        for path in (b"/unread", b"/nowhere"):
            await until_closed(address, b"POST " + path + b" HTTP/1.1\r\nHost: a\r\n" + head + bomb)
    assert received == [len(bomb)]


@pytest.mark.parametrize("path", [b"/echo", b"/fine"])
async def test_a_body_that_is_mostly_framing_is_refused(path: bytes) -> None:
    """Also one that no handler reads."""
    head = b"POST " + path + b" HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serving(PATIENT) as address, innocent(address):
        # Without an end: only a refusal closes the connection. In parts that are read completely before it.
        response = parse(await until_closed(address, head, b"1\r\n \r\n" * 6000, b"1\r\n \r\n" * 1000))
        assert response.status == (400 if path == b"/echo" else 405)
        few = head.replace(b"/fine", b"/echo").replace(b"Host: a", b"Host: a\r\nConnection: close")
        body = b"".join(b"2\r\n1,\r\n" for _ in range(2000))
        ended = await until_closed(address, few, b"1\r\n[\r\n", body, b"2\r\n1]\r\n0\r\n\r\n")
        assert parse(ended).status == 200


async def test_a_slow_body_within_the_bound_is_accepted() -> None:
    async with serving(PATIENT) as address:
        request = POST + b"Connection: close\r\nContent-Length: 7\r\n\r\n"
        response = parse(await until_closed(address, request, b'{"a"', b":1}"))
        assert (response.status, response.body) == (200, {"a": 1})


async def test_a_client_that_does_not_read_its_response_is_disconnected() -> None:
    ended = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65536)
        finally:
            ended.set()

    async with serving(SHORT, web.get("/endless", endless)) as address, innocent(address):
        with (
            capture_logs() as lines,
            socket.create_connection((urlsplit(address).hostname, urlsplit(address).port)) as client,
        ):
            client.send(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
            async with asyncio.timeout(60):
                await ended.wait()
    assert [line["seconds"] for line in lines if line["event"] == "http_response_unread"] == [SHORT.write_s]
    assert not [line for line in lines if line["log_level"] in ("warning", "error")]


class Unread:
    """`GET /some` responds with 40 kB; its clients read nothing, until a part of it does not fit the kernel's buffers.

    That is less than the buffer of the connection, so that the server has no reason to pause.
    """

    def __init__(self) -> None:
        self.route = web.get("/some", self._some)
        self._unsent = 0

    async def client(self, address: str, header: bytes = b"") -> socket.socket:
        """A client whose last request has this header."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.connect((urlsplit(address).hostname, urlsplit(address).port))
        self._unsent = 0
        while not self._unsent:
            sock.send(b"GET /some HTTP/1.1\r\nHost: a\r\n\r\n")
            await asyncio.sleep(0.005)
        if header:
            sock.send(b"GET /fine HTTP/1.1\r\nHost: a\r\n" + header + b"\r\n\r\n")
        return sock

    async def _some(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "40000"})
        await response.prepare(request)
        await response.write(b"x" * 40_000)
        if request.transport is not None:
            self._unsent = request.transport.get_write_buffer_size()
        return response


@pytest.mark.parametrize("header", [b"", b"Connection: close"], ids=["idle", "closed_by_request"])
async def test_a_client_that_leaves_less_than_a_full_buffer_unread_is_disconnected(header: bytes) -> None:
    unread = Unread()
    async with serving(SHORT, unread.route) as address, innocent(address):
        with capture_logs() as lines, await unread.client(address, header):
            await until(lambda: [line for line in lines if line["event"] == "http_response_unread"])


async def test_clients_that_read_nothing_never_keep_others_out() -> None:
    unread = Unread()
    limits = HttpLimits(idle_s=600, body_s=600, write_s=600, per_client=4)
    async with serving(limits, unread.route) as address:
        clients = [await unread.client(address) for _ in range(4)]
        try:
            request = b"GET /fine HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            statuses = [parse(await until_closed(address, request)).status for _ in range(10)]
        finally:
            for client in clients:
                client.close()
    assert statuses == [200] * 10


@pytest.mark.parametrize("name", MALFORMED)
async def test_malformed_http_is_a_json_error_that_repeats_nothing_of_the_request(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(PATIENT) as address, innocent(address):
        with capture_logs() as lines:
            response = parse(await until_closed(address, *MALFORMED[name]))
    assert 400 <= response.status < 500
    assert response.body["kind"] in ("invalid_http", "invalid_input")
    assert is_id(str(response.body["request_id"]), "req")
    assert response.headers["X-Request-Id"] == response.body["request_id"]
    assert response.headers["Server"] == "bitmill"
    logged = json.dumps(lines, default=repr) + caplog.text
    assert b"hush" not in response.raw and "hush" not in logged
    assert _refused(lines) == [response.status]
    assert "Traceback" not in logged and not [line for line in lines if "exc_info" in line]


async def test_a_head_that_is_too_large_is_a_431() -> None:
    async with serving(PATIENT) as address:
        for name in ("long_line", "endless_header"):
            assert parse(await until_closed(address, *MALFORMED[name])).status == 431


async def test_a_client_that_leaves_in_its_body_is_no_outage_of_ours() -> None:
    async with serving(PATIENT) as address:
        with capture_logs() as lines:
            _, writer = await connect(address)
            writer.write(POST + b"Content-Length: 100\r\n\r\n{")
            await asyncio.sleep(0.1)
            writer.close()
            await until(lambda: _accessed(lines, "/echo"), within=60)
    assert [line["status"] for line in _accessed(lines, "/echo")] == [499]
    assert not [line for line in lines if line["log_level"] in ("warning", "error")]


def _accessed(lines: Any, path: str) -> list[Any]:
    return [line for line in lines if line["event"] == "http_request" and line["path"] == path]


def _refused(lines: Any) -> list[int]:
    """The statuses of refused requests in the log, of the middleware or of the connection."""
    events = ("http_request", "http_request_invalid")
    return [line["status"] for line in lines if line["event"] in events and line["status"] not in (None, 200)]
