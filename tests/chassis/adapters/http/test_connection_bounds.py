"""How many connections a client and all clients may have, and which one is closed for another."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from urllib.parse import urlsplit

from aiohttp import web
from structlog.testing import capture_logs

from chassis.adapters.http.connection import HttpLimits
from chassis.adapters.http.connection_bounds import REPORT_SECONDS, ConnectionBounds
from chassis.adapters.http.health import State
from chassis.adapters.http.json_body import json_response, read_json
from chassis.adapters.http.listener import listening
from chassis.adapters.http.server import make_web_app
from schemas.ids import is_id
from tests.chassis.adapters.http.raw_client import innocent, parse
from tests.chassis.adapters.http.small_service import Small

ATTACKER = "127.0.0.2"
HALF_A_BODY = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(eq=False)
class Fake:
    """A connection that is in use, or waits for a request."""

    waits_for_head: bool = True


async def fine(_: web.Request) -> web.Response:
    return json_response({"fine": True})


async def echo(request: web.Request) -> web.Response:
    return json_response(await read_json(request))


@asynccontextmanager
async def serving(limits: HttpLimits) -> AsyncIterator[str]:
    app = Small(web.get("/fine", fine), web.post("/echo", echo))
    web_app = make_web_app([app], State(running={app.name}), limits.body_s)
    async with listening(web_app, "127.0.0.1", 0, limits) as address:
        yield address


async def connect_from(client: str, address: str, sent: bytes = b"") -> Streams:
    url = urlsplit(address)
    streams = await asyncio.open_connection(url.hostname, url.port, local_addr=(client, 0))
    streams[1].write(sent)
    return streams


@asynccontextmanager
async def connections(count: int, client: str, address: str, sent: bytes = HALF_A_BODY) -> AsyncIterator[list[Streams]]:
    """So many open connections of one client; by default each is in the middle of a request."""
    async with AsyncExitStack() as stack:
        opened = []
        for _ in range(count):
            opened.append(await connect_from(client, address, sent))
            stack.callback(opened[-1][1].transport.abort)
        yield opened


def test_the_oldest_unused_connection_of_a_client_beyond_its_bound_is_closed() -> None:
    bounds = ConnectionBounds[Fake](total=100, per_client=2)
    other, busy, first, second = Fake(), Fake(waits_for_head=False), Fake(), Fake()
    assert bounds.add(other, "192.0.2.1") is None
    assert bounds.add(busy, "192.0.2.2") is None
    assert bounds.add(first, "192.0.2.2") is None
    assert bounds.add(second, "192.0.2.2") is first
    bounds.remove(first)
    second.waits_for_head = False
    refused = Fake()
    assert bounds.add(refused, "192.0.2.2") is refused


def test_a_closed_connection_makes_room() -> None:
    bounds = ConnectionBounds[Fake](total=100, per_client=1)
    first, second = Fake(waits_for_head=False), Fake()
    assert bounds.add(first, "192.0.2.2") is None
    bounds.remove(first)
    bounds.remove(first)
    assert bounds.add(second, "192.0.2.2") is None


def test_the_addresses_of_one_ipv6_network_are_one_client() -> None:
    bounds = ConnectionBounds[Fake](total=100, per_client=1)
    first = Fake()
    assert bounds.add(first, "2001:db8::1") is None
    assert bounds.add(Fake(), "2001:db8::ffff") is first


def test_a_trusted_proxy_is_bounded_by_the_total_alone() -> None:
    bounds = ConnectionBounds[Fake](total=10, per_client=1, proxies=[ip_network("10.0.0.0/8")])
    assert [bounds.add(Fake(), "10.0.0.1") for _ in range(10)] == [None] * 10
    assert bounds.add(Fake(), "10.0.0.1") is not None


def test_beyond_the_total_the_client_with_the_most_connections_loses_one() -> None:
    bounds = ConnectionBounds[Fake](total=4, per_client=4)
    innocent = Fake()
    attackers = [Fake() for _ in range(3)]
    assert bounds.add(innocent, "192.0.2.1") is None
    assert [bounds.add(each, "192.0.2.2") for each in attackers] == [None] * 3
    assert bounds.add(Fake(), "192.0.2.3") is attackers[0]
    for each in attackers:
        each.waits_for_head = False
    # All of them are in use: the newcomer of the same client is refused, that of another gets the place of any unused.
    refused = Fake()
    assert bounds.add(refused, "192.0.2.2") is refused
    bounds.remove(refused)
    assert bounds.add(Fake(), "192.0.2.4") is innocent


def test_refusals_are_logged_once_a_minute_with_their_number() -> None:
    now = [0.0]
    bounds = ConnectionBounds[Fake](total=100, per_client=1, clock=lambda: now[0])
    bounds.add(Fake(waits_for_head=False), "192.0.2.2")
    with capture_logs() as lines:
        for _ in range(5):
            bounds.add(Fake(waits_for_head=False), "192.0.2.2")
        now[0] = REPORT_SECONDS
        bounds.add(Fake(waits_for_head=False), "192.0.2.2")
    assert [(line["event"], line["client"], line["bound"], line["refused"]) for line in lines] == [
        ("http_connections_refused", "192.0.2.2", "client", 1),
        ("http_connections_refused", "192.0.2.2", "client", 5),
    ]


async def test_a_refused_connection_gets_a_503_with_a_request_id_and_is_closed() -> None:
    limits = HttpLimits(idle_s=600, body_s=600, connections=100, per_client=3)
    async with serving(limits) as address, connections(3, ATTACKER, address):
        async with innocent(address), asyncio.timeout(60):
            reader, writer = await connect_from(ATTACKER, address)
            response = parse(await reader.read())
            writer.transport.abort()
        assert (response.status, response.body["kind"]) == (503, "unavailable")
        assert (response.headers["Connection"], response.headers["Retry-After"]) == ("close", "5")
        assert response.body["request_id"] == response.headers["X-Request-Id"]
        assert is_id(str(response.body["request_id"]), "req")


async def test_one_client_never_holds_all_connections() -> None:
    """It is in the middle of a request on each, so that none of them can be closed for those of others."""
    limits = HttpLimits(idle_s=600, body_s=600, connections=40)
    async with serving(limits) as address, connections(200, ATTACKER, address) as opened, innocent(address) as others:
        async with asyncio.timeout(60):
            closed = [asyncio.create_task(reader.read()) for reader, _ in opened]
            while sum(task.done() for task in closed) < 190:
                await asyncio.sleep(0.01)
            before = len(others.statuses)
            while len(others.statuses) < before + 20:
                await asyncio.sleep(0.01)
        assert sum(task.done() for task in closed) == 190
        for task in closed:
            task.cancel()
        await asyncio.gather(*closed, return_exceptions=True)
