"""Bounds the logs of the embedded servers: one that has become too large is kept as `….log.1`, and begins anew.

A server holds its log open (in append mode), so that it cannot be renamed under it: the file is copied and truncated. A
line that is written between the two is lost.
"""

import asyncio
import shutil
from datetime import timedelta
from pathlib import Path

from chassis.core import logs

MAX_LOG_BYTES = 16 * 1024 * 1024
CHECK_EVERY = timedelta(seconds=30)

log = logs.get_logger(__name__)


async def keep_logs_bounded(folder: Path, max_bytes: int = MAX_LOG_BYTES, every: timedelta = CHECK_EVERY) -> None:
    """Rotates the `*.log` files of `folder` that exceed `max_bytes`, until cancelled."""
    while True:
        await asyncio.to_thread(rotate_logs, folder, max_bytes)
        await asyncio.sleep(every.total_seconds())


def rotate_logs(folder: Path, max_bytes: int) -> list[str]:
    """One pass; the names of the rotated files. Blocking."""
    rotated = []
    for file in sorted(folder.glob("*.log")):
        try:
            if file.stat().st_size > max_bytes:
                _rotate(file)
                rotated.append(file.name)
        except OSError as error:
            log.warning("embedded_log_not_rotated", file=file.name, error=str(error))
    return rotated


def _rotate(file: Path) -> None:
    previous = file.with_name(f"{file.name}.1")
    try:
        shutil.copyfile(file, previous)
    except OSError:
        # No space: that the log stops growing matters more than its past.
        previous.unlink(missing_ok=True)
    with file.open("r+b") as opened:
        opened.truncate(0)
