"""Waiting inside POST /media until the import of the new item has ended."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

from chassis.adapters.failure_policy import describe, is_outage
from chassis.core import logs
from schemas.media import MediaItem

MAX_PER_PROJECT = 100
"""Requests of one project that wait at a time; further ones are answered at once, with status `processing`."""
POLL = timedelta(seconds=1)
"""How often the row is read while no notification comes: the import may run in another replica."""

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
            # The item is stored and its import will go on: what is known so far is a better answer than 503.
            if not is_outage(error):
                raise
            log.warning("import_status_unavailable", media_id=media_id, error=describe(error))
            return None
