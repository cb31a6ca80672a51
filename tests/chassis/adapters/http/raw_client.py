"""Clients of the bytes of HTTP: one that sends what it is told, and one that sends good requests meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp
import orjson

SAFETY_SECONDS = 60.0

MALFORMED: dict[str, tuple[bytes, ...]] = {
    "no_http": (b"hush\r\n\r\n",),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03hush",),
    "method": (b"HU\x80SH /fine HTTP/1.1\r\nHost: a\r\n\r\n",),
    "version": (b"GET /hush HTTP/9.9\r\nHost: a\r\n\r\n",),
    "nul_in_the_path": (b"GET /\0hush HTTP/1.1\r\nHost: a\r\n\r\n",),
    "nul_in_a_header": (b"GET /fine HTTP/1.1\r\nHost: a\r\nX-A: \0hush\r\n\r\n",),
    "header_without_colon": (b"GET /fine HTTP/1.1\r\nHost: a\r\nhush hush\r\n\r\n",),
    "no_host": (b"GET /fine?hush HTTP/1.1\r\n\r\n",),
    "address": (b"GET http://[hush/ HTTP/1.1\r\nHost: a\r\n\r\n",),
    "line_feeds_only": (b"GET /fine HTTP/1.1\nX-A: hush\n\n",),
    "two_lengths": (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nhush",),
    "length_and_chunks": (
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nhush",
    ),
    "no_number": (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: hush\r\n\r\n",),
    "transfer_encoding": (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: hush\r\n\r\n0\r\n\r\n",),
    "first_chunk": (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nhush\r\n",),
    "later_chunk": (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", b"hush\r\n"),
    "trailer": (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: " + b"hush" * 5000,),
    "long_line": (b"GET /" + b"hush" * 5000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",),
    "endless_header": (b"GET /fine HTTP/1.1\r\nHost: a\r\nX-A: " + b"hush" * 50_000,),
    "many_headers": (b"GET /fine HTTP/1.1\r\nHost: a\r\n" + b"X-A: hush\r\n" * 500 + b"\r\n",),
    "expectation_without_text": (b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: hush\xff\r\nContent-Length: 2\r\n\r\n{}",),
    "expectation": (b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: hush\r\nContent-Length: 2\r\n\r\n{}",),
}
"""Requests that are not valid HTTP, in parts that are sent one after another. Each has the word `hush`."""


@dataclass(frozen=True)
class RawResponse:
    """A response; `body` is parsed JSON."""

    status: int
    headers: dict[str, str]
    body: dict[str, object]
    raw: bytes


async def connect(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    url = urlsplit(address)
    return await asyncio.open_connection(url.hostname, url.port)


async def until_closed(address: str, *parts: bytes, pause_s: float = 0.1) -> bytes:
    """Sends `parts` and returns all that comes until the server closes the connection."""
    reader, writer = await connect(address)
    try:
        for part in parts:
            writer.write(part)
            await asyncio.sleep(pause_s)
        return await _read_to_end(reader)
    finally:
        writer.transport.abort()


async def drip(address: str, head: bytes, byte: bytes, *, pause_s: float = 0.05) -> bytes:
    """Sends `head`, then `byte` again and again; returns all that comes until the server closes the connection."""
    reader, writer = await connect(address)

    async def send() -> None:
        writer.write(head)
        with suppress(ConnectionError):
            while True:
                writer.write(byte)
                await writer.drain()
                await asyncio.sleep(pause_s)

    sending = asyncio.create_task(send())
    try:
        return await _read_to_end(reader)
    finally:
        sending.cancel()
        writer.transport.abort()


async def _read_to_end(reader: asyncio.StreamReader) -> bytes:
    received = bytearray()
    # A reset is an end, too: the server closed while bytes of ours were on their way.
    with suppress(ConnectionResetError):
        async with asyncio.timeout(SAFETY_SECONDS):
            while chunk := await reader.read(65536):
                received += chunk
    return bytes(received)


def parse(raw: bytes) -> RawResponse:
    """The first and only response in `raw`."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return RawResponse(int(first.split()[1]), headers, orjson.loads(body), raw)


@dataclass
class Innocent:
    """The statuses of the good requests so far."""

    statuses: list[int] = field(default_factory=list)


@asynccontextmanager
async def innocent(address: str, path: str = "/fine") -> AsyncIterator[Innocent]:
    """Another client: it sends one good request after another on a connection of its own, inside the block."""
    answers = Innocent()

    async def run() -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                async with session.get(address + path) as response:
                    await response.read()
                    answers.statuses.append(response.status)
                await asyncio.sleep(0.01)

    running = asyncio.create_task(run())
    try:
        yield answers
        at_the_end = len(answers.statuses)
        async with asyncio.timeout(SAFETY_SECONDS):
            while len(answers.statuses) == at_the_end and not running.done():
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        (error,) = await asyncio.gather(running, return_exceptions=True)
    assert isinstance(error, asyncio.CancelledError), error
    assert set(answers.statuses) == {200}


async def at_once(count: int, address: str, parts: Sequence[bytes]) -> list[bytes]:
    """`until_closed` on many connections at the same time."""
    return list(await asyncio.gather(*(until_closed(address, *parts) for _ in range(count))))
