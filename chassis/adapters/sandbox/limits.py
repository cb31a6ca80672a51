"""What one child process may use and access, and the errors if it does not end in order.

SandboxError
  ChildCpuExceeded  it used more processor time than `Limits.cpu_seconds`
  ChildTimedOut     it ran longer than `Limits.wall`
  ChildStalled      it neither wrote anything nor used the processor for longer than `Limits.stall`
  ChildExceeded     it used more memory, files or threads than it may
  ChildDied         it ended without a result (a crash, a limit of the kernel, a missing program)
  ChildDiskFull     the disk had no space for what it wrote: also an OSError, so that it is an outage like any full disk

Only processor time tells how much work an input is: a child that was stopped, or waited for a processor on a busy
machine, has used none. So ChildCpuExceeded and ChildExceeded may be the input's fault; ChildTimedOut and ChildStalled
are ours. Other faults of the input are no errors of this package: the function that rejects its input raises them, see
`fork_server`.
"""

import errno
import re
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Literal

SandboxMode = Literal["required", "weak"]
"""Whether a process starts where the sandbox is too weak. Settings have it, also where psutil is not installed."""

GIB = 1024**3
_DISK_FULL = re.compile(r"(No space left on device|Disk quota exceeded)\W*$", re.MULTILINE)
"""What `strerror` says of ENOSPC and EDQUOT."""


class SandboxError(Exception):
    """A child process did not do its work."""


class ChildCpuExceeded(SandboxError):
    """The child used more processor time than it was allowed to, and was killed."""


class ChildTimedOut(SandboxError):
    """The child had not ended after the longest time that a working machine needs, and was killed."""


class ChildStalled(SandboxError):
    """The child neither wrote anything nor used the processor for too long, and was killed."""


class ChildExceeded(SandboxError):
    """The child used more of `resource` than it was allowed to, and was killed."""

    def __init__(self, resource: Literal["memory", "files", "threads"], message: str) -> None:
        super().__init__(message)
        self.resource = resource


class ChildDied(SandboxError):
    """The child ended without a result. `signal` is the number of the signal that ended it, or 0."""

    def __init__(self, message: str, *, signal: int = 0) -> None:
        super().__init__(message)
        self.signal = signal


class ChildDiskFull(SandboxError, OSError):
    """The child found the disk full, or a quota used up. `detail` is what it said."""

    def __init__(self, detail: str) -> None:
        super().__init__(errno.ENOSPC, f"no space left on the disk of a child process: {detail}")


def says_disk_full(output: str) -> bool:
    """Whether the output of a program, in English, ends a line with the system's words for a full disk (pure)."""
    return _DISK_FULL.search(output) is not None


@dataclass(frozen=True)
class Limits:
    """Limits of one child. Sizes in bytes, `cpu_seconds` summed over its threads.

    `memory_bytes` limits the address space, which is larger than the resident memory: programs with many threads need
    several GiB of it; `resident_bytes` limits that. `file_bytes` limits each file, and the sum of the files in the
    folders that it may write to. `wall` is a safety net for children that hang, far above what `cpu_seconds` take on a
    busy machine. `stall` is the longest time in which the child neither writes nor uses the processor, None for no
    such limit. The child may read what is below `readable`, and read and write what is below `writable`, besides the
    system's own libraries; `self_test` says whether the kernel enforces that.
    """

    memory_bytes: int = 4 * GIB
    resident_bytes: int = 4 * GIB
    threads: int = 1024
    cpu_seconds: int = 60
    file_bytes: int = GIB
    open_files: int = 256
    wall: timedelta = timedelta(minutes=10)
    stall: timedelta | None = None
    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()

    def may(self, *, read: tuple[Path, ...] = (), write: tuple[Path, ...] = ()) -> "Limits":
        """The same limits with more paths."""
        return replace(self, readable=self.readable + read, writable=self.writable + write)
