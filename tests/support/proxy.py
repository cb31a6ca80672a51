"""A TCP proxy in front of a server, to simulate outages: connections break and are refused, or become unresponsive."""

import asyncio
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit, urlunsplit


class Proxy:
    """Forwards to the server of `dsn` (host and port, or a socket folder of Postgres). Connect to `proxy.dsn` instead.

        async with Proxy(dsn) as proxy:
            await proxy.cut(hang=True)
            await proxy.restore()

    It is in one of three states: forwarding, refusing (connections break and new ones are refused) or unresponsive
    (connections stay open and new ones are accepted, but no byte passes). While it forwards, it may be slow.
    """

    def __init__(self, dsn: str) -> None:
        self._parts = urlsplit(dsn)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._forwarding = asyncio.Event()
        self._forwarding.set()
        self._refusing = False
        self._delay_s = 0.0
        self._silent_after: int | None = None
        self.port = 0

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self._forwarding.set()
        await self._break_connections()

    @property
    def dsn(self) -> str:
        user = self._parts.netloc.rpartition("@")[0]
        return urlunsplit(self._parts._replace(netloc=f"{user}@127.0.0.1:{self.port}", query="sslmode=disable"))

    async def cut(self, *, hang: bool = False) -> None:
        """Starts an outage: from now on the proxy is unresponsive if `hang`, otherwise it refuses connections."""
        self._forwarding.clear()
        self._refusing = not hang
        if not hang:
            await self._break_connections()

    def forward_to(self, dsn: str) -> None:
        """From now on new connections are forwarded to the server of `dsn`."""
        self._parts = urlsplit(dsn)

    async def silence(self) -> None:
        """The connections of now never pass a byte again, as behind a router that forgot them; new ones do."""
        await self.cut(hang=True)
        await self.restore(old_connections=False)

    def silence_after(self, pieces: int | None) -> None:
        """New connections go silent for ever once the server has sent so many pieces on them. None: they do not."""
        self._silent_after = pieces

    def slow_down(self, seconds: float) -> None:
        """From now on whatever is sent arrives later by so much, in both directions. 0: fast again."""
        self._delay_s = seconds

    async def restore(self, *, old_connections: bool = True) -> None:
        """Ends the outage. Without `old_connections`, those that became unresponsive stay unresponsive for ever."""
        self._refusing = False
        if not old_connections:
            self._forwarding = asyncio.Event()
        self._forwarding.set()

    async def _break_connections(self) -> None:
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
        # Not in a `finally` of the task: one that is cancelled before its first step never gets there.
        task.add_done_callback(lambda _: writer.transport.abort())

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_writer: asyncio.StreamWriter | None = None
        pipes: list[asyncio.Task[None]] = []
        try:
            server_reader, server_writer = await self._connect_to_server()
            pipes = [
                asyncio.create_task(self._forward(reader, server_writer)),
                asyncio.create_task(self._forward(server_reader, writer, self._silent_after)),
            ]
            await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pipe in pipes:
                pipe.cancel()
            if server_writer is not None:
                server_writer.transport.abort()

    async def _connect_to_server(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        folder = parse_qs(self._parts.query).get("host", [None])[0]
        if folder is not None and folder.startswith("/"):
            port = parse_qs(self._parts.query).get("port", ["5432"])[0]
            return await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{port}")
        return await asyncio.open_connection(self._parts.hostname, self._parts.port or 5432)

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, silent_after: int | None = None
    ) -> None:
        # The event of now: `restore` may leave this connection behind with an event that is never set.
        forwarding = self._forwarding
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                await forwarding.wait()
                if silent_after is not None:
                    if silent_after == 0:
                        await asyncio.Event().wait()
                    silent_after -= 1
                writer.write(data)
                await writer.drain()
