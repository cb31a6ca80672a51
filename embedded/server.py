"""What both embedded servers share: start and wait for readiness, stop, restart, and the restart policy."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import ClassVar, Protocol

from chassis.core import logs
from embedded import process
from embedded.errors import EmbeddedServerError
from embedded.waiting import Progress, ProgressLimits, activity, wait_while_it_progresses

STOP_SECONDS = 5.0

log = logs.get_logger(__name__)

_DEFAULT_LIMITS = ProgressLimits()


def _no_progress(_: str) -> None:
    """Before `running` there is nobody to tell."""


class EmbeddedServer(ABC):
    """A server whose data lies in a folder below `data_dir`, and whose output goes to `data_dir/logs/<name>.log`.

    `limits` says how long a start may stand still.
    """

    name: ClassVar[str]

    def __init__(self, data_dir: Path, *, limits: ProgressLimits = _DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._progress: Progress = _no_progress
        self._data_dir = data_dir.resolve()
        self._home = self._data_dir / self.name.lower()
        self._log = self._data_dir / "logs" / f"{self.name.lower()}.log"
        self._child: process.ChildProcess | None = None
        self._started = False

    @property
    def pid(self) -> int | None:
        """The server's process id; None while there is no process."""
        return self._child.pid if self._child else None

    @asynccontextmanager
    async def running(self, progress: Progress) -> AsyncIterator[str]:
        """Prepare the server (the first time) and start it; yields its address, stops it at the end."""
        self._progress = progress
        try:
            address = await self._open(progress)
            self._started = True
            yield address
        finally:
            self._started = False
            await self._stop(STOP_SECONDS)
            self._clean_up()

    async def watch(self) -> None:
        """Wait until the server ends by itself; raises `EmbeddedServerError` with the end of its log."""
        if self._child is None:
            raise EmbeddedServerError(f"{self.name} is not running.")
        await self._child.wait()
        raise self._child.exit_error()

    async def restart(self) -> None:
        """Start it again with the same data and address, inside `running` and after it has ended.

        Raises `EmbeddedServerError` or `OSError`.
        """
        if not self._started:
            raise EmbeddedServerError(f"{self.name} was never started.")
        await self._stop(timeout=0)
        await self._reopen()

    @abstractmethod
    async def _open(self, progress: Progress) -> str:
        """Prepare and start the server for the first time; returns its address."""

    @abstractmethod
    async def _reopen(self) -> None:
        """Start the server again, at the address that it had."""

    @abstractmethod
    async def _is_ready(self, child: process.ChildProcess) -> bool:
        """Whether the server accepts connections."""

    def _clean_up(self) -> None:  # noqa: B027 - only one server has something to remove
        """Remove what lies outside the data folder, once the server has stopped."""

    async def _start(self, command: process.Command) -> None:
        """Start `command` and wait until it is ready."""
        self._child = child = await process.start(command, self._data_dir)

        async def is_done() -> bool:
            if not child.running:
                raise child.exit_error()
            return await self._is_ready(child)

        sample = partial(activity, child.pid, command.log)
        await wait_while_it_progresses(self.name, command.log, is_done, sample, self._progress, self._limits)

    async def _run_once(self, command: process.Command) -> None:
        """Run `command`, which prepares something for the server, to its end."""
        await process.run_once(command, self._data_dir, self._progress, self._limits)

    async def _stop(self, timeout: float) -> None:
        child, self._child = self._child, None
        if child is not None:
            await child.stop(timeout)


@dataclass(frozen=True)
class RestartPolicy:
    """How often a server that ends by itself is started again.

    `delays_seconds` come before the restarts that follow one another within `window`; there are as many restarts as
    delays. The first is immediate: a server that was killed for its memory works again at once. One that cannot start,
    on a full disk for example, gets time for the cause to pass.
    """

    delays_seconds: tuple[float, ...] = (0.0, 1.0, 3.0, 10.0, 30.0)
    window: timedelta = timedelta(minutes=5)


class RestartableServer(Protocol):
    """The part of `EmbeddedServer` that `keep_running` needs."""

    @property
    def name(self) -> str: ...

    async def watch(self) -> None: ...

    async def restart(self) -> None: ...


_DEFAULT_POLICY = RestartPolicy()


async def keep_running(
    server: RestartableServer, policy: RestartPolicy = _DEFAULT_POLICY, *, clock: Callable[[], float] = time.monotonic
) -> None:
    """Restart the server whenever it ends by itself. Raises `EmbeddedServerError` once it ends too often."""
    window = policy.window.total_seconds()
    exits: list[float] = []
    while True:
        error: Exception | None = await _exit_error(server)
        since = clock()
        while error is not None:
            now = clock()
            exits = [*(at for at in exits if at > now - window), now]
            if len(exits) > len(policy.delays_seconds):
                raise EmbeddedServerError(
                    f"{server.name} has ended {len(exits)} times within {window / 60:g} minutes "
                    f"and is not started again. {error}"
                )
            reason = str(error).partition("\n")[0]
            log.warning("embedded_server_exited", server=server.name, error=reason, exits=len(exits))
            await asyncio.sleep(policy.delays_seconds[len(exits) - 1])
            error = await _restart_error(server)
        log.info("embedded_server_restarted", server=server.name, seconds=round(clock() - since, 1))


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
