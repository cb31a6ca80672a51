"""Ending processes that are not our children, so that nobody tells us when they are gone."""

import signal
import time
from collections.abc import Sequence
from contextlib import suppress

import psutil

_LOOK_AGAIN_SECONDS = 0.02


def gone(process: psutil.Process) -> bool:
    """Whether it has ended. A zombie has: where process 1 buries nobody (many containers), it stays in the table."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def end(wishes: Sequence[tuple[psutil.Process, signal.Signals]], patience: float) -> None:
    """Send each its signal, wait up to `patience` seconds, and kill those that are still there. Blocks."""
    for process, wish in wishes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(wish)
    for process in _still_there([process for process, _ in wishes], patience):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    _still_there([process for process, _ in wishes], patience)


def _still_there(processes: list[psutil.Process], patience: float) -> list[psutil.Process]:
    until = time.monotonic() + patience
    while (left := [process for process in processes if not gone(process)]) and time.monotonic() < until:
        time.sleep(_LOOK_AGAIN_SECONDS)
    return left
