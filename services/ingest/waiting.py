"""Waiting for an import to end: by Postgres' notifications, which reach every replica, and by looking now and then.

A notification is a hint that comes early; the row is the truth. So a lost connection costs a second and no answer.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg

from chassis.adapters.postgres import Pool
from schemas.media import MediaItem
from services.ingest.store import ACQUIRE_SECONDS

CHANNEL = "bitmill_ingest_media"
LOOK_SECONDS = 1.0
"""How often the row is looked at while no notification comes."""
_RECONNECT_SECONDS = 1.0


class Waiting:
    """Who waits for which media item."""

    def __init__(self, pool: Pool, read: Callable[[str], Awaitable[MediaItem | None]]) -> None:
        self._pool = pool
        self._read = read
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._closing = False

    @asynccontextmanager
    async def expecting(self, media_id: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set when the item is announced; to be entered before the item is written."""
        event = asyncio.Event()
        waiting = self._waiting.setdefault(media_id, set())
        waiting.add(event)
        try:
            yield event
        finally:
            waiting.discard(event)
            if not waiting:
                self._waiting.pop(media_id, None)

    async def settled(self, media_id: str, event: asyncio.Event, seconds: float) -> MediaItem | None:
        """The item once its import is over, or as it stands after `seconds`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while (left := deadline - loop.time()) > 0 and not self._closing:
            with suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), min(left, LOOK_SECONDS))
            event.clear()
            item = await self._read(media_id)
            if item is None or item.status != "processing":
                return item
        return await self._read(media_id)

    def close(self) -> None:
        """Sends everybody who waits home with what is known: the service is about to stop."""
        self._closing = True
        for waiting in self._waiting.values():
            for event in waiting:
                event.set()

    async def listen(self) -> None:
        """Takes notifications until cancelled; a broken connection is replaced."""
        while True:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await self._listen_once()
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _listen_once(self) -> None:
        broken = asyncio.Event()

        def terminated(_connection: Any) -> None:
            broken.set()

        async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as conn:
            conn.add_termination_listener(terminated)
            await conn.add_listener(CHANNEL, self._notified)
            try:
                await broken.wait()
            finally:
                conn.remove_termination_listener(terminated)
                await conn.remove_listener(CHANNEL, self._notified)

    def _notified(self, _connection: Any, _pid: int, _channel: str, payload: Any) -> None:
        for event in self._waiting.get(str(payload), ()):
            event.set()
