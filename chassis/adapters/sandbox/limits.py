"""What one child process may use and see."""

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

GIB = 1024**3


@dataclass(frozen=True)
class Limits:
    """Bounds of one child. Sizes in bytes, `cpu_seconds` summed over its threads.

    `memory_bytes` bounds the address space, which is more than what is resident: programs with many threads need
    several GiB of it. `stall` is the longest silence; None where the child is not expected to speak. The child may
    read what is below `readable` and write below `writable` (which it may read as well), apart from the system's
    own libraries; where the kernel cannot hold that, `child.report` says so.
    """

    memory_bytes: int = 4 * GIB
    cpu_seconds: int = 60
    file_bytes: int = GIB
    open_files: int = 256
    wall: timedelta = timedelta(seconds=60)
    stall: timedelta | None = None
    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()

    def may(self, *, read: tuple[Path, ...] = (), write: tuple[Path, ...] = ()) -> "Limits":
        """The same limits with more paths."""
        return replace(self, readable=self.readable + read, writable=self.writable + write)
