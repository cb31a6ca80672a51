"""A TCP proxy in front of a server, whose network fails for everybody or for one of the processes behind it.

Modes: `pass`; `refuse` (connections break, new ones are refused); `black_hole` (connections stay open, new ones are
accepted, no byte passes); `silent` (what is open at that moment never passes a byte again, and nobody is told when the
other side closes it, as behind a router that forgot it; new connections pass); `slow` (each piece is late).

It can also end a process right after one of its commits, before the process learns of it: `arm`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

SLOW_SECONDS = 0.3
_PIECE_BYTES = 65536
_END_STATES = (b"done", b"failed", b"cancelled")

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
OwnersOf = Callable[[Collection[int]], Awaitable[Mapping[int, str]]]
"""The names of the processes that have these local ports; without those of others."""


@dataclass(eq=False)
class _Connection:
    client: asyncio.StreamWriter
    port: int
    owner: str | None = None
    server: asyncio.StreamWriter | None = None
    silent: bool = False
    trap: "Trap | None" = None
    """What happens at the server's next response."""


@dataclass(eq=False)
class Trap:
    """Calls `spring` once the server has responded to a piece of `owner` that `matches`; the response is dropped."""

    owner: str
    matches: Callable[[bytes], bool]
    spring: Callable[[], None]
    sprung: asyncio.Event = field(default_factory=asyncio.Event)


class NetworkProxy:
    """Listens on 127.0.0.1:`port`."""

    def __init__(self, connect: Connect, owners_of: OwnersOf) -> None:
        self.port = 0
        self._connect = connect
        self._owners_of = owners_of
        self._server: asyncio.Server | None = None
        self._modes: dict[str, str] = {}
        self._changed = asyncio.Event()
        self._connections: dict[_Connection, asyncio.Task[None]] = {}
        self._traps: list[Trap] = []

    async def __aenter__(self) -> "NetworkProxy":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._break(lambda _: True)

    async def set_mode(self, mode: str, owner: str = "*") -> None:
        """`owner` names one process, or `*` for all."""
        if mode in ("pass", "silent"):
            self._modes.pop(owner, None)
        else:
            self._modes[owner] = mode
        if owner != "*":
            await self._identify(self._connections)
        concerned = [each for each in self._connections if owner in ("*", each.owner)]
        if mode == "silent":
            for each in concerned:
                each.silent = True
        if mode == "refuse":
            await self._break(lambda each: each in concerned)
        self._changed.set()
        self._changed = asyncio.Event()

    async def break_all(self) -> None:
        """Both sides of every connection are told, as when the machine of the server goes away."""
        await self._break(lambda _: True)

    async def arm(self, trap: Trap) -> None:
        self._traps.append(trap)
        await self._identify(self._connections)

    def disarm(self, trap: Trap) -> None:
        if trap in self._traps:
            self._traps.remove(trap)

    async def _identify(self, connections: Iterable[_Connection]) -> None:
        unknown = {connection.port: connection for connection in connections if connection.owner is None}
        if unknown:
            for port, owner in (await self._owners_of(unknown)).items():
                unknown[port].owner = owner

    def _mode(self, connection: _Connection) -> str:
        return self._modes.get("*") or self._modes.get(connection.owner or "") or "pass"

    async def _break(self, which: Callable[[_Connection], bool]) -> None:
        tasks = [task for connection, task in self._connections.items() if which(connection)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(writer, writer.get_extra_info("peername")[1])
        task = asyncio.create_task(self._serve(connection, reader))
        self._connections[connection] = task

        def ended(_: object) -> None:
            self._connections.pop(connection, None)
            writer.transport.abort()
            if connection.server is not None:
                connection.server.transport.abort()

        task.add_done_callback(ended)

    async def _serve(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        if self._traps or self._modes.keys() - {"*"}:  # only then does it matter whose it is
            await self._identify([connection])
        if self._mode(connection) == "refuse":
            return
        try:
            server_reader, connection.server = await self._connect()
        except OSError:
            return
        pipes = [
            asyncio.create_task(self._forward(connection, reader, connection.server, from_client=True)),
            asyncio.create_task(self._forward(connection, server_reader, connection.client, from_client=False)),
        ]
        try:
            await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
            if connection.silent:
                await asyncio.Event().wait()  # until the run ends: the other side is not told
        finally:
            for pipe in pipes:
                pipe.cancel()

    async def _forward(
        self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_client: bool
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(_PIECE_BYTES):
                await self._until_open(connection)
                if from_client:
                    self._look_for_trap(connection, data)
                elif connection.trap is not None:
                    connection.trap.spring()
                    connection.trap.sprung.set()
                    return
                writer.write(data)
                await writer.drain()

    async def _until_open(self, connection: _Connection) -> None:
        while connection.silent:
            await asyncio.sleep(3600)
        while self._mode(connection) == "black_hole":
            await self._changed.wait()
        if self._mode(connection) == "slow":
            await asyncio.sleep(SLOW_SECONDS)

    def _look_for_trap(self, connection: _Connection, data: bytes) -> None:
        for trap in self._traps:
            if trap.owner == connection.owner and trap.matches(data):
                connection.trap = trap
                self._traps.remove(trap)
                return


def is_postgres_commit(data: bytes) -> bool:
    """Whether this piece ends a transaction: a message Query of the protocol with COMMIT."""
    return b"COMMIT;" in data


class IsEndCommit:
    """Whether this piece commits the end of an item of a job queue; to be called with all pieces of one process.

    Most commits of a worker are others: of the relay, of a job's start. Where the machine is busy and few items end, a
    kill at any commit may not meet one.
    """

    def __init__(self) -> None:
        self._ending = False

    def __call__(self, data: bytes) -> bool:
        # The state is an argument of the statement: its length, then the text.
        if any(len(state).to_bytes(4, "big") + state in data for state in _END_STATES):
            self._ending = True
        return self._ending and is_postgres_commit(data)


def is_offset_commit(data: bytes) -> bool:
    """Whether this piece is a request OffsetCommit (API key 8) for a topic whose records must not be lost."""
    return data[4:6] == b"\x00\x08" and b"job.progress" not in data and b"outbox.watermark" not in data
