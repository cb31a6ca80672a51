"""Servers on loopback that send raw bytes, count their connections and record what they receive."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter, str], Awaitable[None]]
"""Responds to one request; the last argument is the head of the request."""


class RawServer:
    """A server that counts its connections and records the heads of the requests."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._serving: set[asyncio.Task[None]] = set()
        self.connections = 0
        self.heads: list[str] = []
        self.port = 0
        self.host = ""

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._serving.add(asyncio.create_task(self._run(reader, writer)))

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            await self._serve(reader, writer, head)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    async def stop(self) -> None:
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)


@asynccontextmanager
async def raw_server(
    serve: Serve, host: str = "127.0.0.1", *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawServer]:
    """A listening server; closed, with all its connections, after the block."""
    listening = RawServer(serve)
    server = await asyncio.start_server(listening.accept, host, 0, ssl=tls)
    listening.host, listening.port = server.sockets[0].getsockname()[:2]
    try:
        yield listening
    finally:
        server.close()
        await listening.stop()
        await server.wait_closed()


def respond(response: bytes | str) -> Serve:
    """Sends these bytes unchanged, and closes the connection."""
    raw = response.encode() if isinstance(response, str) else response

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: str) -> None:
        writer.write(raw)
        await writer.drain()

    return serve


def file(body: bytes, *headers: str) -> Serve:
    """Sends a complete file, and closes the connection."""
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers]
    return respond("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def redirect(location: str, status: int = 302) -> Serve:
    """Sends a redirect."""
    return respond(f"HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")


def endless(head: str = "HTTP/1.1 200 OK\r\n\r\n", chunk: bytes = b"x" * 65536, pause_s: float = 0) -> Serve:
    """Sends chunks until the connection breaks."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: str) -> None:
        writer.write(head.encode())
        while True:
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return serve


async def unresponsive(reader: asyncio.StreamReader, _: asyncio.StreamWriter, __: str) -> None:
    """Accepts connections and never responds."""
    await reader.read()
