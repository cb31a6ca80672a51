"""Connections that are kept for the next request: whose they are, and when they are closed."""

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest

from chassis.adapters.egress.client import request
from chassis.adapters.egress.errors import RequestError
from chassis.adapters.egress.exchange import ResponseLimits
from chassis.adapters.egress.kept_connections import KeptConnections
from chassis.adapters.egress.policy import EgressPolicy
from tests.chassis.adapters.egress.raw_server import Serve, raw_server

POLICY = EgressPolicy([ip_network("127.0.0.0/8")])
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.fixture
async def kept() -> AsyncIterator[KeptConnections]:
    connections = KeptConnections(idle_s=60)
    yield connections
    connections.close()


def respond_each(*responses: bytes, then_close: bool = False) -> Serve:
    """One response for each request of a connection, the last one again and again unless `then_close`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: str) -> None:
        for response in responses:
            writer.write(response)
            await reader.readuntil(b"\r\n\r\n")
        while not then_close:
            writer.write(responses[-1])
            await reader.readuntil(b"\r\n\r\n")

    return serve


async def post(url: str, kept: KeptConnections, project: str = "prj_1") -> tuple[int, bytes]:
    body = bytearray()
    async with request("POST", url, POLICY, ResponseLimits(), project=project, kept=kept) as response:
        while data := await response.read():
            body += data
    return response.status, bytes(body)


async def test_the_next_request_of_a_project_uses_the_connection_of_the_one_before(kept: KeptConnections) -> None:
    content = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with raw_server(respond_each(NO_CONTENT, content)) as server:
        assert [await post(server.url, kept) for _ in range(3)] == [(204, b""), (200, b"ok"), (200, b"ok")]
        assert server.connections == 1


async def test_projects_share_no_connection(kept: KeptConnections) -> None:
    async with raw_server(respond_each(NO_CONTENT)) as server:
        for project in ("prj_1", "prj_2", "prj_1", "prj_2"):
            await post(server.url, kept, project)
        assert server.connections == 2


async def test_requests_at_the_same_time_have_connections_of_their_own(kept: KeptConnections) -> None:
    async with raw_server(respond_each(NO_CONTENT)) as server:
        await asyncio.gather(*(post(server.url, kept) for _ in range(5)))
        assert (server.connections, len(kept)) == (5, 5)


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
        b"HTTP/1.0 204 No Content\r\n\r\n",
        NO_CONTENT + b"HTTP/1.1 200 Unasked\r\n\r\n",
    ],
    ids=["says that it closes", "an old protocol", "more than was asked for"],
)
async def test_a_connection_is_not_kept_after(response: bytes, kept: KeptConnections) -> None:
    async with raw_server(respond_each(response)) as server:
        assert [await post(server.url, kept) for _ in range(2)] == [(204, b"")] * 2
        assert (server.connections, len(kept)) == (2, 0)


async def test_a_connection_whose_response_was_not_read_to_its_end_is_closed(kept: KeptConnections) -> None:
    async with raw_server(respond_each(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) as server:
        async with request("POST", server.url, POLICY, ResponseLimits(), project="prj_1", kept=kept):
            pass
        assert len(kept) == 0


async def test_bytes_that_come_unasked_later_are_no_response_to_the_next_request(kept: KeptConnections) -> None:
    send = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: str) -> None:
        writer.write(NO_CONTENT)
        if server.connections == 1:
            await send.wait()
            writer.write(b"HTTP/1.1 500 Unasked\r\nContent-Length: 0\r\n\r\n")
        await asyncio.sleep(60)

    async with raw_server(serve) as server:
        await post(server.url, kept)
        send.set()
        await asyncio.sleep(0.2)  # should they arrive later, the test passes all the same
        assert await post(server.url, kept) == (204, b"")
        assert server.connections == 2


async def test_a_request_is_sent_again_where_the_server_closes_instead_of_responding(kept: KeptConnections) -> None:
    """A server that closes idle connections may do so at the very moment of the next request."""
    async with raw_server(respond_each(NO_CONTENT, then_close=True)) as server:
        assert [await post(server.url, kept) for _ in range(2)] == [(204, b"")] * 2
        assert server.connections == 2


async def test_a_request_is_not_sent_again_once_a_response_has_begun(kept: KeptConnections) -> None:
    async with raw_server(respond_each(NO_CONTENT, b"HTTP/1.1 2")) as server:
        await post(server.url, kept)
        limits = ResponseLimits(head_s=0.3)
        with pytest.raises(RequestError) as raised:
            async with request("POST", server.url, POLICY, limits, project="prj_1", kept=kept):
                pass
        assert (raised.value.reason, server.connections, len(kept)) == ("response_timeout", 1, 0)


async def test_an_idle_connection_is_closed_after_its_time() -> None:
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: str) -> None:
        writer.write(NO_CONTENT)
        assert await reader.read() == b""
        ended.set()

    kept = KeptConnections(idle_s=0.05)
    async with raw_server(serve) as server, asyncio.timeout(60):
        await post(server.url, kept)
        await ended.wait()
        assert len(kept) == 0


async def test_connections_beyond_the_limit_or_their_age_are_closed() -> None:
    few, young = KeptConnections(max_idle=2), KeptConnections(max_age_s=0)
    async with raw_server(respond_each(NO_CONTENT)) as server:
        for project in ("prj_1", "prj_2", "prj_3"):
            await post(server.url, few, project)
        assert len(few) == 2
        await post(server.url, few, "prj_1")  # the oldest, which made room
        assert server.connections == 4
        await post(server.url, young)
        assert len(young) == 0
    few.close()
    assert len(few) == 0
