"""Read-your-writes for POST /media: it answers once the catalog has read the events of the import.

The relay of the outbox has to publish them and the catalog's consumer group to commit their offsets. Neither is needed
for the item to be safe: after the timeout the answer is given all the same.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from chassis.adapters.failure_policy import describe, is_outage
from chassis.core import logs
from schemas.topics import MEDIA_CHANGED, MEDIA_CREATED, Topic

VISIBILITY_TIMEOUT = timedelta(seconds=2)
"""Both steps take some ten milliseconds; what takes longer is an outage or a backlog."""

log = logs.get_logger(__name__)


class Published(Protocol):
    """The part of `chassis.runtime.outbox.Outbox` that is used."""

    async def wait_published(self, *, timeout: timedelta) -> bool: ...


class ConsumerProgress(Protocol):
    """The part of `chassis.adapters.kafka.lag.GroupLag` that is used."""

    async def wait_caught_up(self, service: str, topics: Sequence[Topic], timeout: float) -> bool: ...


class CatalogVisibility:
    """Waits until the catalog has read what this service has committed."""

    def __init__(
        self, outbox: Published, progress: ConsumerProgress, *, timeout: timedelta = VISIBILITY_TIMEOUT
    ) -> None:
        self._outbox = outbox
        self._progress = progress
        self._timeout = timeout

    async def wait(self) -> bool:
        """Returns once the catalog has read every event about media items that is committed now; False where not."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout.total_seconds()
        try:
            if not await self._outbox.wait_published(timeout=self._timeout):
                return False
            return await self._progress.wait_caught_up(
                "catalog", (MEDIA_CREATED, MEDIA_CHANGED), max(0.0, deadline - loop.time())
            )
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("catalog_visibility_unknown", error=describe(error))
            return False
