"""Listens on an address: serves an application on connections with limits."""

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from aiohttp import web

from chassis.adapters.http.connection import Connection, HttpLimits
from chassis.adapters.http.connection_bounds import ConnectionBounds

OPEN_REQUESTS_SECONDS = 0.8
"""For responses in progress at the end: event streams and slow downloads are cut off after it."""
MAX_OPEN_FILES = 65536
_BACKLOG = 128


class _Site(web.BaseSite):
    """A listening socket whose connections are `Connection`s; aiohttp's own sites have no choice of the class."""

    __slots__ = ("_address", "_limits")

    def __init__(self, runner: web.AppRunner, address: tuple[str, int], limits: HttpLimits) -> None:
        super().__init__(runner)
        self._address = address
        self._limits = limits

    @property
    def name(self) -> str:
        return "http://{}:{}".format(*self._address)

    async def start(self) -> None:
        await super().start()
        server, loop = self._runner.server, asyncio.get_running_loop()
        assert server is not None  # noqa: S101 - the runner is set up
        host, port = self._address
        limits = self._limits
        bounds: ConnectionBounds[Connection] = ConnectionBounds(limits.connections, limits.per_client, limits.proxies)
        self._server = await loop.create_server(
            lambda: Connection(server, loop, limits, bounds), host, port, backlog=_BACKLOG
        )


def _raise_open_files() -> int:
    """Raises the process's soft limit of open files, often 1024, towards the hard one; returns what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # macOS allows less than its hard limit says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_OPEN_FILES if soft == resource.RLIM_INFINITY else soft


@asynccontextmanager
async def listening(
    application: web.Application, host: str, port: int, limits: HttpLimits | None = None
) -> AsyncIterator[str]:
    """Serves `application` inside the block, which gets the address. Port 0 is any free one.

    At most half of the files that the process may open are connections of clients, and at most a quarter of these are
    connections of one client.
    """
    limits = limits or HttpLimits()
    connections = min(limits.connections, _raise_open_files() // 2)
    limits = replace(limits, connections=connections, per_client=min(limits.per_client, max(connections // 4, 1)))
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=OPEN_REQUESTS_SECONDS)
    await runner.setup()
    try:
        await _Site(runner, (host, port), limits).start()
        found = runner.addresses[0]
        shown = f"[{found[0]}]" if ":" in found[0] else found[0]
        yield f"http://{shown}:{found[1]}"
    finally:
        await runner.cleanup()
