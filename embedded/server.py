"""What both embedded servers share: start and wait for readiness, stop, restart. See also `embedded.restarts`."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import ClassVar

from embedded import process
from embedded.errors import EmbeddedServerError
from embedded.waiting import Progress, ProgressLimits, activity, wait_while_it_progresses

STOP_SECONDS = 5.0

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

    def disk_is_full(self) -> bool:
        """Whether the disk of the data folder has no space for the server."""
        return process.is_full(self._data_dir)

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
