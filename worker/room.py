"""Waiting for room: a full disk or a store that is away is waited for, because attempts are few and this costs none."""

import asyncio
import errno
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from chassis.adapters.storage import StorageFull, StorageUnavailable
from chassis.core import logs

PATIENCE = timedelta(minutes=10)
"""Then the attempt fails after all, so that other projects get the slot."""
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 15.0
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

log = logs.get_logger(__name__)
T = TypeVar("T")


async def with_room(step: Callable[[], Awaitable[T]], *, patience: timedelta = PATIENCE) -> T:
    """What `step` returns, tried again while there is no room for it; what else it raises is raised at once."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience.total_seconds()
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            return await step()
        except (StorageFull, StorageUnavailable, OSError) as error:
            if not _passes(error) or loop.time() + pause > deadline:
                raise
            log.warning("waiting for room", reason=f"{type(error).__name__}: {error}", pause_s=pause)
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def _passes(error: Exception) -> bool:
    return not isinstance(error, OSError) or error.errno in _FULL
