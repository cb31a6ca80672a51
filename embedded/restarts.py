"""When a server that ends by itself is started again: at once, later, once its disk has space, or not any more."""

import asyncio
import errno
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from chassis.core import logs
from embedded.errors import DiskFull, EmbeddedServerError

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class RestartPolicy:
    """How often a server that ends by itself is started again.

    `delays_seconds` come before the restarts that follow one another within `window`; there are as many restarts as
    delays. The first is immediate: a server that was killed for its memory works again at once.

    A full disk counts for none of them, because it says nothing about the server: each restart waits until there is
    space, for at most `full_disk_seconds`, and they go on as long as it takes. Where there seems to be space and the
    server finds none, the pauses grow up to `full_disk_pause_seconds`.
    """

    delays_seconds: tuple[float, ...] = (0.0, 1.0, 3.0, 10.0, 30.0)
    window: timedelta = timedelta(minutes=5)
    full_disk_seconds: float = 60.0
    full_disk_pause_seconds: float = 15.0
    poll_seconds: float = 1.0


class RestartableServer(Protocol):
    """The part of `EmbeddedServer` that `keep_running` needs."""

    @property
    def name(self) -> str: ...

    async def watch(self) -> None: ...

    async def restart(self) -> None: ...

    def disk_is_full(self) -> bool: ...


_DEFAULT_POLICY = RestartPolicy()
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


async def keep_running(
    server: RestartableServer, policy: RestartPolicy = _DEFAULT_POLICY, *, clock: Callable[[], float] = time.monotonic
) -> None:
    """Restart the server whenever it ends by itself. Raises `EmbeddedServerError` once it ends too often."""
    restarts = _Restarts(server, policy, clock)
    while True:
        error: Exception | None = await _exit_error(server)
        since = clock()
        while error is not None:
            await restarts.wait_after(error)
            error = await _restart_error(server)
        log.info("embedded_server_restarted", server=server.name, seconds=round(clock() - since, 1))


class _Restarts:
    """The pauses before the restarts of one server, and when there are no more."""

    def __init__(self, server: RestartableServer, policy: RestartPolicy, clock: Callable[[], float]) -> None:
        self._server = server
        self._policy = policy
        self._clock = clock
        self._exits: list[float] = []
        self._full_disks = 0

    async def wait_after(self, error: Exception) -> None:
        """Returns when the server is to be started again. Raises `EmbeddedServerError` if it is not."""
        if _is_full_disk(error) or await asyncio.to_thread(self._server.disk_is_full):
            await self._wait_for_space(error)
            return
        self._full_disks = 0
        now, delays = self._clock(), self._policy.delays_seconds
        window = self._policy.window.total_seconds()
        self._exits = [*(at for at in self._exits if at > now - window), now]
        exits = len(self._exits)
        if exits > len(delays):
            raise EmbeddedServerError(
                f"{self._server.name} has ended {exits} times within {window / 60:g} minutes "
                f"and is not started again. {error}"
            )
        log.warning("embedded_server_exited", server=self._server.name, error=_first_line(error), exits=exits)
        await asyncio.sleep(delays[exits - 1])

    async def _wait_for_space(self, error: Exception) -> None:
        policy = self._policy
        self._full_disks += 1
        log.error("embedded_server_disk_full", server=self._server.name, error=_first_line(error))
        if self._full_disks > 1:
            await asyncio.sleep(
                min(policy.poll_seconds * 2.0 ** min(self._full_disks, 10), policy.full_disk_pause_seconds)
            )
        waited = 0.0
        while waited < policy.full_disk_seconds and await asyncio.to_thread(self._server.disk_is_full):
            await asyncio.sleep(policy.poll_seconds)
            waited += policy.poll_seconds


def _is_full_disk(error: Exception) -> bool:
    return isinstance(error, DiskFull) or (isinstance(error, OSError) and error.errno in _NO_SPACE)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


async def _exit_error(server: RestartableServer) -> EmbeddedServerError:
    try:
        await server.watch()
    except EmbeddedServerError as error:
        return error
    raise AssertionError("watch() ends with an error")


async def _restart_error(server: RestartableServer) -> Exception | None:
    try:
        await server.restart()
    except (EmbeddedServerError, OSError) as error:  # OSError: no space for a run file, no process available
        return error
    return None
