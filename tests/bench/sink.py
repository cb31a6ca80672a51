"""The receiver of the webhook benchmark, a process of its own: `python -m tests.bench.sink`.

It prints its port and answers every request 204; the client decides whether to keep the connection. For each number on
its standard input it prints, once it has that many requests more, the seconds from the first of them to the last.
"""

import asyncio
import sys
import time
from typing import cast

import uvloop

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


class RequestCounter:
    """Counts the requests of a round."""

    def __init__(self) -> None:
        self._wanted = self._count = 0
        self._first_at = 0.0
        self._done = asyncio.Event()

    def add(self) -> None:
        self._count += 1
        if self._count == 1:
            self._first_at = time.perf_counter()
        if self._count == self._wanted:
            self._done.set()

    async def seconds(self, wanted: int) -> float:
        """From the first to the last of `wanted` requests, once they have arrived."""
        self._wanted, self._count = wanted, 0
        self._done.clear()
        await self._done.wait()
        return time.perf_counter() - self._first_at


class Exchange(asyncio.Protocol):
    """One connection; the next request comes after the response."""

    def __init__(self, counter: RequestCounter) -> None:
        self._counter = counter
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if separator and len(body) >= _content_length(head):
            self._counter.add()
            self._received = b""
            self._transport.write(ANSWER)


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def serve() -> None:
    """Listen on a free port until the standard input ends."""
    loop = asyncio.get_running_loop()
    counter = RequestCounter()
    server = await loop.create_server(lambda: Exchange(counter), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        print(await counter.seconds(int(line)), flush=True)


if __name__ == "__main__":
    uvloop.run(serve())
