"""What one child process may use and access, and the errors if it does not end in order.

SandboxError
  ChildTimedOut   it ran longer than `Limits.wall`
  ChildStalled    it wrote nothing for longer than `Limits.stall`
  ChildDied       it ended without a result (a crash, a limit of the kernel, a missing program)

Faults of the input are no errors of this package: the function that rejects its input raises them, see `fork_server`.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

GIB = 1024**3


class SandboxError(Exception):
    """A child process did not do its work."""


class ChildTimedOut(SandboxError):
    """The child ran longer than it was allowed to, and was killed."""


class ChildStalled(SandboxError):
    """The child wrote nothing for too long, and was killed."""


class ChildDied(SandboxError):
    """The child ended without a result. `signal` is the number of the signal that ended it, or 0."""

    def __init__(self, message: str, *, signal: int = 0) -> None:
        super().__init__(message)
        self.signal = signal


@dataclass(frozen=True)
class Limits:
    """Limits of one child. Sizes in bytes, `cpu_seconds` summed over its threads.

    `memory_bytes` limits the address space, which is larger than the resident memory: programs with many threads need
    several GiB of it. `stall` is the longest time without output, None if the child is not expected to write any. The
    child may read what is below `readable`, and read and write what is below `writable`, besides the system's own
    libraries; `child.report` says whether the kernel enforces that.
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
