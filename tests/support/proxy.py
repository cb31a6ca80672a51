"""A TCP proxy before a server, to take the server away: connections break, or hang, until it is mended."""

import asyncio
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit, urlunsplit


class Proxy:
    """Stands before the Postgres of `dsn` (host and port, or a socket folder); `dsn` is the address to use instead."""

    def __init__(self, dsn: str) -> None:
        self._parts = urlsplit(dsn)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._open.set()
        self._refusing = False
        self.port = 0

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self._open.set()
        await self._break()

    @property
    def dsn(self) -> str:
        user = self._parts.netloc.rpartition("@")[0]
        return urlunsplit(self._parts._replace(netloc=f"{user}@127.0.0.1:{self.port}", query="sslmode=disable"))

    async def cut(self, *, hang: bool = False) -> None:
        """From now on nothing comes through: connections break and are refused, or just stay silent."""
        self._open.clear()
        self._refusing = not hang
        if not hang:
            await self._break()

    async def mend(self, *, silent_ones: bool = True) -> None:
        """New connections work again, and silent ones too unless they are to stay silent for ever."""
        self._refusing = False
        if silent_ones:
            self._open.set()
        else:
            self._open = asyncio.Event()
            self._open.set()

    async def _break(self) -> None:
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._connect(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        # Not in the task itself: one that is cancelled before its first step never gets to its `finally`.
        task.add_done_callback(lambda _: writer.transport.abort())

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there: asyncio.StreamWriter | None = None
        pipes: list[asyncio.Task[None]] = []
        try:
            back, there = await self._dial()
            pipes = [asyncio.create_task(self._pipe(reader, there)), asyncio.create_task(self._pipe(back, writer))]
            await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pipe in pipes:
                pipe.cancel()
            if there is not None:
                there.transport.abort()

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        folder = parse_qs(self._parts.query).get("host", [None])[0]
        if folder is not None and folder.startswith("/"):
            port = parse_qs(self._parts.query).get("port", ["5432"])[0]
            return await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{port}")
        return await asyncio.open_connection(self._parts.hostname, self._parts.port or 5432)

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        gate = self._open
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                await gate.wait()
                writer.write(data)
                await writer.drain()
