"""A server of ours that ends by itself is started again, on the same data and at the same address; not without end."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from chassis.core import logs
from embedded.errors import EmbeddedServerError

RESTARTS = 5
WITHIN = timedelta(minutes=5)
PAUSES_SECONDS = (0.0, 1.0, 3.0, 10.0, 30.0)
"""Before each restart of a row. The first is at once: a server that was killed for its memory is fine now. One that
cannot start, on a full disk say, gets a while for its cause to pass."""

log = logs.get_logger(__name__)


class Server(Protocol):
    """What can be kept running."""

    @property
    def name(self) -> str: ...

    async def watch(self) -> None:
        """Returns never; raises `EmbeddedServerError` when the server has ended by itself."""
        ...

    async def restart(self) -> None:
        """Starts a server that has ended, at the address it had. `EmbeddedServerError` or `OSError` where it fails."""
        ...


async def keep_running(server: Server, *, clock: Callable[[], float] = time.monotonic) -> None:
    """Watches the server and starts it again; raises `EmbeddedServerError` when it ends once too often."""
    ends: list[float] = []
    while True:
        reason: Exception | None = await _end_of(server)
        since = clock()
        while reason is not None:
            now = clock()
            ends = [*(end for end in ends if end > now - WITHIN.total_seconds()), now]
            if len(ends) > RESTARTS:
                often = f"{len(ends)} times within {WITHIN.total_seconds() / 60:g} minutes"
                raise EmbeddedServerError(f"{server.name} has ended {often} and is left alone now. {reason}")
            said = str(reason).partition("\n")[0]
            log.warning("server ended by itself, starting it again", server=server.name, reason=said, times=len(ends))
            await asyncio.sleep(PAUSES_SECONDS[len(ends) - 1])
            reason = await _failure_of_restart(server)
        log.info("server is back", server=server.name, seconds=round(clock() - since, 1))


async def _end_of(server: Server) -> Exception:
    try:
        await server.watch()
    except EmbeddedServerError as error:
        return error
    raise AssertionError("watching a server ends with an error")


async def _failure_of_restart(server: Server) -> Exception | None:
    try:
        await server.restart()
    except (EmbeddedServerError, OSError) as error:  # OSError: no room for a run file, no process to be had
        return error
    return None
