"""Media items that were deleted some time ago: their stored files are deleted, then their rows."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from chassis.adapters.storage import Storage
from chassis.core import logs
from chassis.core.ids import now_ms
from chassis.core.metrics import counter
from chassis.runtime.outbox import Outbox
from chassis.runtime.purge import PurgeHook
from schemas.events import MediaPurged
from schemas.media import MediaItem
from services.ingest import transitions
from services.ingest.inspection import item_keys
from services.ingest.store import Store

AT_ONCE = 8
DELETE_SECONDS = 30.0
"""For one object. After it the pass fails, and the next one tries again."""

log = logs.get_logger(__name__)
_purged = counter("bitmill_media_purged", "Media items that were removed with their stored files.", ("service",))


def deleted_media(storage: Storage, store: Store, outbox: Outbox) -> PurgeHook:
    """The hook of the table `media`. Raises StorageError: the rows are then kept."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def delete(key: str) -> None:
        async with slots, asyncio.timeout(DELETE_SECONDS):
            await storage.delete(key)

    async def before(rows: Sequence[Mapping[str, Any]]) -> None:
        items = [MediaItem.model_validate(row["item"]) for row in rows]
        async with asyncio.TaskGroup() as group:
            for item in items:
                for key in item_keys(item):
                    group.create_task(delete(key))
        at = now_ms()
        async with store.transaction() as conn:
            await outbox.put(conn, *[MediaPurged(media=transitions.deleted(item, at)) for item in items])
        outbox.wake()
        for item in items:
            log.info("media_purged", media_id=item.id, project=item.project)
        _purged.labels("ingest").inc(len(items))

    return PurgeHook(("item",), before)
