"""Servers that a test stops and starts again, and a disk that it fills."""

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
    """A server that can be stopped and started again with the same data and address."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._running: AbstractAsyncContextManager[str] | None = None

    async def on(self) -> str:
        """Start it; returns its address."""
        self._running = self._server.running(print)
        return await self._running.__aenter__()

    async def off(self) -> None:
        """Stop it orderly, if it is running."""
        running, self._running = self._running, None
        if running is not None:
            await running.__aexit__(None, None, None)


class Disk:
    """The folder of stored files. Without a mounted file system, a missing permission stands for a full disk."""

    def __init__(self, folder: Path, mounted: bool) -> None:
        self.folder = folder
        self.mounted = mounted

    def fill(self) -> None:
        if not self.mounted:
            (self.folder / ".incoming").chmod(0o500)
            return
        with (self.folder / _BALLAST).open("wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(1024 * 1024))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def free_space(self) -> None:
        if self.mounted:
            (self.folder / _BALLAST).unlink(missing_ok=True)
        else:
            (self.folder / ".incoming").chmod(0o700)


@contextmanager
def small_disk(folder: Path, size: int = _DISK_BYTES) -> Iterator[Disk]:
    """A file system of so many bytes in memory at `folder`, if the test may mount one."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs"]
    mounted = os.geteuid() == 0 and subprocess.run(["mount", *options, str(folder)], check=False).returncode == 0
    try:
        yield Disk(folder, mounted)
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
