"""A webhook receiver on loopback whose responses the test chooses, byte by byte."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

Behave = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Received:
    """One request as it came over the wire; header names in lower case."""

    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Gives `answers` one after another, the last one for ever. `connections` counts those without a request, too."""

    answers: list[Behave]
    port: int = 0
    connections: int = 0
    received: list[Received] = field(default_factory=list)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def receive(self, count: int) -> None:
        """Returns once `count` requests have been received."""
        async with asyncio.timeout(60), self._changed:
            await self._changed.wait_for(lambda: len(self.received) >= count)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *lines = head.strip().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.received.append(Received(first.split()[1], headers, body))
                async with self._changed:
                    self._changed.notify_all()
                answer = self.answers[min(len(self.received), len(self.answers)) - 1]
                await answer(writer)
        finally:
            writer.close()


def status(code: int, *headers: str, body: bytes = b"") -> Behave:
    """A plain answer."""
    return raw("\r\n".join([f"HTTP/1.1 {code} X", f"Content-Length: {len(body)}", *headers, "", ""]).encode() + body)


def raw(data: bytes) -> Behave:
    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return behave


def stall(data: bytes = b"") -> Behave:
    """Sends `data`, then nothing until the client closes the connection."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        await writer.wait_closed()

    return behave


def endless(head: bytes, chunk: bytes, pause: float = 0.0) -> Behave:
    """A body that never ends."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(pause)

    return behave


def reset() -> Behave:
    """Resets the connection after the request was read: the sender cannot know whether it was processed."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    return behave


@asynccontextmanager
async def receiver(*answers: Behave) -> AsyncIterator[Receiver]:
    """A receiver on a free port of 127.0.0.1."""
    target = Receiver(list(answers) or [status(200)])
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(target.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=2**20)
    target.port = server.sockets[0].getsockname()[1]
    try:
        yield target
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def statuses(codes: Sequence[int]) -> list[Behave]:
    return [status(code) for code in codes]
