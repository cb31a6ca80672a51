"""What a running child uses beyond what the kernel's own limits count, measured from outside.

The kernel limits each file and the address space. Not the sum of the files, nor the resident memory, nor the threads:
these are sampled, and a child that exceeds one of them is killed within about half a second.
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import psutil

from chassis.adapters.sandbox.limits import ChildExceeded, Limits

SAMPLE_SECONDS = 0.5
_BLOCK_BYTES = 512  # the unit of st_blocks, whatever the file system
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True)
class Usage:
    """Of one process, at one time. `cpu_seconds` since its start; `written_bytes` are those in its writable folders."""

    cpu_seconds: float = 0.0
    resident_bytes: int = 0
    threads: int = 0
    written_bytes: int = 0


def measure(pid: int, folders: Sequence[Path]) -> Usage:
    """What the process uses now; zeros if it has ended. `folders` are those that it may write to."""
    written = sum(_size(folder) for folder in folders)
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            cpu_seconds, resident = sum(process.cpu_times()[:4]), process.memory_info().rss
            return Usage(cpu_seconds, resident, process.num_threads(), written)
    except psutil.Error:
        return Usage(written_bytes=written)


def _size(folder: Path) -> int:
    """Bytes of the files directly in `folder`, without holes: children cannot make folders."""
    total = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                found = entry.stat(follow_symlinks=False)
                total += min(found.st_size, found.st_blocks * _BLOCK_BYTES)
    except OSError:  # removed meanwhile
        pass
    return total


def excess(usage: Usage, limits: Limits) -> ChildExceeded | None:
    """Which limit is exceeded, if any (pure)."""
    if usage.resident_bytes > limits.resident_bytes:
        return ChildExceeded("memory", f"it used {usage.resident_bytes} bytes of {limits.resident_bytes}")
    if usage.written_bytes > limits.file_bytes:
        return ChildExceeded("files", f"it wrote {usage.written_bytes} bytes of {limits.file_bytes}")
    if usage.threads > limits.threads:
        return ChildExceeded("threads", f"it had {usage.threads} threads of {limits.threads}")
    return None


async def watch(pid: int, limits: Limits) -> NoReturn:
    """Samples the process until it exceeds a limit, and raises ChildExceeded then; to be cancelled."""
    while True:
        error = excess(measure(pid, limits.writable), limits)
        if error is not None:
            raise error
        await asyncio.sleep(SAMPLE_SECONDS)


def machine_memory() -> int:
    """The memory of this machine in bytes, or of the control group that this process runs in, if that is less."""
    total = psutil.virtual_memory().total
    for path in _CGROUP_LIMITS:
        try:
            total = min(total, int(Path(path).read_text()))
        except (OSError, ValueError):  # no such group, or "max"
            continue
    return total
