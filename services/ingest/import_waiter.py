"""Waiting inside POST /media: until the import of the new item has ended, then until the catalog has read its events.

The item is stored in any case: after the timeouts the request gets its response.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Protocol

from chassis.adapters.failure_policy import describe, is_outage
from chassis.core import logs
from schemas.media import MediaItem
from schemas.topics import MEDIA_CHANGED, MEDIA_CREATED, Topic

MAX_PER_PROJECT = 100
"""Requests of one project that wait at a time; further ones get a response at once, with status `processing`."""
POLL = timedelta(seconds=1)
"""How often the row is read without a notification: the import may run in another replica."""
VISIBILITY_TIMEOUT = timedelta(seconds=2)
"""Both steps take some ten milliseconds; what takes longer is an outage or a backlog."""

log = logs.get_logger(__name__)


class ImportWaiter:
    """The requests of this process that wait for an import, by media id. `read_item` reads the item's row."""

    def __init__(
        self,
        read_item: Callable[[str], Awaitable[MediaItem | None]],
        *,
        timeout: timedelta,
        max_per_project: int = MAX_PER_PROJECT,
        poll: timedelta = POLL,
    ) -> None:
        self.timeout = timeout
        self._read_item = read_item
        self._max_per_project = max_per_project
        self._poll_s = poll.total_seconds()
        self._notified: dict[str, asyncio.Event] = {}
        self._waiting: Counter[str] = Counter()
        self._closing = False

    @contextmanager
    def expect(self, project: str, media_id: str) -> Iterator[None]:
        """Counts a request that is going to wait; enter it before the item is stored."""
        if self._closing or self._waiting[project] >= self._max_per_project:
            yield
            return
        self._waiting[project] += 1
        self._notified[media_id] = asyncio.Event()
        try:
            yield
        finally:
            del self._notified[media_id]
            self._waiting[project] -= 1
            if not self._waiting[project]:
                del self._waiting[project]

    async def wait(self, media_id: str) -> MediaItem | None:
        """The item once its import has ended, or as it is after the timeout.

        None at once where the project has too many waiting requests, or where the item cannot be read.
        """
        notified = self._notified.get(media_id)
        if notified is None:
            return None
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.timeout.total_seconds()
        while True:
            left = deadline - loop.time()
            notified.clear()
            item = await self._read(media_id)
            if left <= 0 or self._closing or (item is not None and item.status != "processing"):
                return item
            with suppress(TimeoutError):
                await asyncio.wait_for(notified.wait(), min(left, self._poll_s))

    def notify(self, media_id: str) -> None:
        """The import of this item has ended."""
        if media_id in self._notified:
            self._notified[media_id].set()

    def close(self) -> None:
        """Ends every wait: the service is about to stop."""
        self._closing = True
        for notified in self._notified.values():
            notified.set()

    async def _read(self, media_id: str) -> MediaItem | None:
        try:
            return await self._read_item(media_id)
        except Exception as error:
            # The item is stored and its import will go on: its known state is a better response than 503.
            if not is_outage(error):
                raise
            log.warning("import_status_unavailable", media_id=media_id, error=describe(error))
            return None


class OutboxProgress(Protocol):
    """The part of `chassis.runtime.outbox.Outbox` that is used."""

    async def wait_published(self, *, timeout: timedelta) -> bool: ...


class ConsumerProgress(Protocol):
    """The part of `chassis.adapters.kafka.lag.GroupLag` that is used."""

    async def wait_caught_up(self, service: str, topics: Sequence[Topic], timeout: float) -> bool: ...


class CatalogVisibility:
    """Waits until the catalog has read what this service has committed.

    The relay of the outbox has to publish it, and the catalog's consumer group to commit its offsets.
    """

    def __init__(
        self, outbox: OutboxProgress, progress: ConsumerProgress, *, timeout: timedelta = VISIBILITY_TIMEOUT
    ) -> None:
        self._outbox = outbox
        self._progress = progress
        self.timeout = timeout

    async def wait(self, topics: Sequence[Topic] = (MEDIA_CREATED, MEDIA_CHANGED)) -> bool:
        """True once the catalog has read every committed event of `topics`; False after the timeout."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.timeout.total_seconds()
        try:
            if not await self._outbox.wait_published(timeout=self.timeout):
                return False
            return await self._progress.wait_caught_up("catalog", topics, max(0.0, deadline - loop.time()))
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("catalog_visibility_unknown", error=describe(error))
            return False
