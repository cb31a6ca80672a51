"""What everything stands on, under the hand of a test: servers that go away and come back, a disk that fills up."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Protocol

_DISK_BYTES = 48 * 1024 * 1024
_BALLAST = "ballast"


class Server(Protocol):
    def running(self, progress: Callable[[str], None]) -> AbstractAsyncContextManager[str]: ...


class Switch:
    """A server that can be turned off and on again: the same data, the same address."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._running: AbstractAsyncContextManager[str] | None = None

    async def on(self) -> str:
        """Its address."""
        self._running = self._server.running(print)
        return await self._running.__aenter__()

    async def off(self) -> None:
        """Stopped in order, if it is on."""
        running, self._running = self._running, None
        if running is not None:
            await running.__aexit__(None, None, None)


class Disk:
    """The folder in which files are stored. Where none can be mounted for it, no room is no permission."""

    def __init__(self, folder: Path, mounted: bool) -> None:
        self.folder = folder
        self._mounted = mounted

    def fill(self) -> None:
        if not self._mounted:
            (self.folder / ".incoming").chmod(0o500)
            return
        with (self.folder / _BALLAST).open("wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(1024 * 1024))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def make_room(self) -> None:
        if self._mounted:
            (self.folder / _BALLAST).unlink(missing_ok=True)
        else:
            (self.folder / ".incoming").chmod(0o700)


@contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    """A disk of its own at `folder`, in memory, where the test may mount one."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={_DISK_BYTES},mode=700", "tmpfs"]
    mounted = os.geteuid() == 0 and subprocess.run(["mount", *options, str(folder)], check=False).returncode == 0
    try:
        yield Disk(folder, mounted)
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
