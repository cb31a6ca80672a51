"""Waiting for a server for as long as its process makes progress, however slow the machine is.

Progress is what can be seen from outside: its log grows, it (or a process that it started) computes or wants to
compute, reads or writes files, or waits for the disk. A process that has none of it has come to a standstill.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from embedded.errors import EmbeddedServerError

Progress = Callable[[str], None]
"""Called with a line for the user when something takes a while."""


@dataclass(frozen=True)
class ProgressLimits:
    """When waiting ends, and when the user is told that it goes on. In seconds, and bytes.

    A JVM that has nothing to do needs 2% of a processor: `standstill_seconds` with less than `busy_seconds` are none.
    """

    standstill_seconds: float = 120.0
    busy_seconds: float = 5.0
    io_bytes: int = 1 << 20
    notice_seconds: float = 15.0
    poll_seconds: float = 0.02
    sample_seconds: float = 1.0


@dataclass(frozen=True)
class Activity:
    """What a process, and those that it started, have done so far. `busy_seconds` includes waiting for a processor."""

    log_bytes: int = 0
    busy_seconds: float = 0.0
    io_bytes: int = 0
    waits_for_disk: bool = False


class StandstillDetector:
    """Decides (pure) from samples of a process's activity whether it has come to a standstill."""

    def __init__(self, limits: ProgressLimits, now: float, first: Activity) -> None:
        self._limits = limits
        self._since = now
        self._reference = first

    def stands_still(self, now: float, activity: Activity) -> bool:
        """Whether it has made no progress for `standstill_seconds`."""
        reference = self._reference
        if (
            activity.log_bytes != reference.log_bytes
            or activity.busy_seconds - reference.busy_seconds >= self._limits.busy_seconds
            or activity.io_bytes - reference.io_bytes >= self._limits.io_bytes
            or activity.waits_for_disk
        ):
            self._since, self._reference = now, activity
        return now - self._since >= self._limits.standstill_seconds


async def wait_while_it_progresses(
    name: str,
    log: Path,
    is_done: Callable[[], Awaitable[bool]],
    sample: Callable[[], Activity],
    progress: Progress,
    limits: ProgressLimits,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Return once `is_done`. `EmbeddedServerError` at a standstill; every `notice_seconds` a line for the user.

    `name` and `log` are for those sentences; `is_done` raises if the process has ended.
    """
    started = noticed = sampled = clock()
    detector = StandstillDetector(limits, started, sample())
    while not await is_done():
        now = clock()
        if now - sampled >= limits.sample_seconds:
            sampled = now
            if detector.stands_still(now, sample()):
                raise EmbeddedServerError(
                    f"{name} was not ready after {now - started:.0f} s and has made no progress for "
                    f"{limits.standstill_seconds:g} s; see {log}"
                )
        if now - noticed >= limits.notice_seconds:
            noticed = now
            progress(f"{name} is still starting after {now - started:.0f} s; its log: {log}")
        await sleep(limits.poll_seconds)


def activity(pid: int, log: Path) -> Activity:
    """What the process has done so far; nothing if it has ended."""
    busy, io, waits_for_disk = 0.0, 0, False
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                times = each.cpu_times()
                busy += times.user + times.system + _run_queue_seconds(each.pid)
                waits_for_disk = waits_for_disk or each.status() == psutil.STATUS_DISK_SLEEP
                io += _io_bytes(each)
    try:
        log_bytes = log.stat().st_size
    except FileNotFoundError:
        log_bytes = 0
    return Activity(log_bytes, busy, io, waits_for_disk)


def _run_queue_seconds(pid: int) -> float:
    """How long its threads were ready to run and got no processor; 0 where the kernel does not say."""
    waited = 0
    for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(OSError, ValueError, IndexError):  # a thread that has ended; no such statistics
            waited += int(file.read_text().split()[1])
    return waited / 1e9


def _io_bytes(process: psutil.Process) -> int:
    """Bytes that it read and wrote; 0 where we may not know: another user's process, macOS."""
    if not hasattr(process, "io_counters"):
        return 0
    try:
        counters = process.io_counters()
    except psutil.AccessDenied:
        return 0
    return int(counters.read_bytes + counters.write_bytes)
