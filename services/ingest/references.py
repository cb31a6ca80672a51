"""Which stored objects ingest's tables refer to, for `bitmill gc`. Reads only."""

from collections.abc import Sequence

from chassis.adapters.postgres import Pool
from chassis.runtime.job_queue.inspection import ended_items
from schemas.media import MediaItem
from schemas.stored_keys import StoredKey
from services.ingest.store import QUERIES

SCAN_SECONDS = 300.0
"""For the query that reads all media items."""


async def referenced(pool: Pool, objects: Sequence[StoredKey]) -> set[str]:
    """The keys of objects whose job or import has not ended, and those that their media item has."""
    owners = list({each.owner for each in objects})
    open_ = {row["id"] for row in await pool.fetch(QUERIES["jobs_without_end"], owners)}
    imports = await ended_items(pool, owners)
    open_ |= {owner for owner, events in imports.items() if events is None}
    items = [MediaItem.model_validate(row["item"]) for row in await pool.fetch(QUERIES["items_with_keys"], owners)]
    named = {key for item in items for key in item_keys(item)}
    # The import of an item may be about to be queued.
    open_ |= {item.id for item in items if item.status == "processing"}
    return {each.key for each in objects if each.owner in open_ or each.key in named}


async def taken_over(pool: Pool, keys: Sequence[str]) -> set[str]:
    """Those of the keys that any media item has, whichever job stored the object. Reads all items."""
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute(f"SET LOCAL statement_timeout = '{SCAN_SECONDS:g}s'")
        rows = await conn.fetch(QUERIES["taken_over"], list(keys), timeout=SCAN_SECONDS)
    return {row["key"] for row in rows}


def item_keys(item: MediaItem) -> set[str]:
    """The keys of an item's files (pure)."""
    files = [derived.file for derived in item.files]
    return {file.key for file in [item.original, *files] if file is not None}
