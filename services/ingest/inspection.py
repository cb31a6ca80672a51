"""What ingest knows of a job, and which stored objects it refers to, for operators.

Reads only; secrets in addresses are masked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from chassis.adapters.postgres import Pool
from chassis.core.redact import masked_url
from chassis.runtime.job_queue.inspection import ended_items
from chassis.runtime.outbox.inspection import UnpublishedEvent, unpublished_events
from schemas.media import MediaItem
from schemas.stored_keys import StoredKey
from services.ingest.store import QUERIES
from services.ingest.upload_rows import upload_key

SCAN_SECONDS = 300.0
"""For the query that reads all media items."""


@dataclass(frozen=True)
class AcceptedJob:
    """A job as it was accepted, and how it ended as far as ingest has read. Times in Unix milliseconds.

    `webhook_url` is as it is in events, where its private parts are masked if addresses are encrypted: ids of
    deliveries are derived from it. Show `shown_webhook_url`.
    """

    project: str
    kind: str
    input: str
    webhook_url: str | None
    media_id: str | None
    created_at: int
    ended: str | None
    ended_at: int | None
    run: int
    unpublished: list[UnpublishedEvent]

    @property
    def shown_webhook_url(self) -> str | None:
        return None if self.webhook_url is None else masked_url(self.webhook_url)


async def inspect_job(pool: Pool, id: str) -> AcceptedJob | None:
    """The job with its events that are not published yet; None where ingest has not accepted it."""
    row = await pool.fetchrow(QUERIES["inspect_job"], id)
    if row is None:
        return None
    request = orjson.loads(row["request"])
    # The jobs of a new media item are announced by the event about the item.
    subjects = [id] if row["media_id"] is None else [id, row["media_id"]]
    return AcceptedJob(
        project=row["project"],
        kind=str(request["kind"]),
        input=masked_url(str(request["input"])),
        webhook_url=request.get("webhook_url"),
        media_id=row["media_id"],
        created_at=row["created_at"],
        ended=row["ended"],
        ended_at=row["ended_at"],
        run=row["run"],
        unpublished=await unpublished_events(pool, *subjects),
    )


async def referenced(pool: Pool, objects: Sequence[StoredKey]) -> set[str]:
    """The keys of objects whose job or import has not ended, and those that their media item has."""
    owners = list({each.owner for each in objects})
    open_ = {row["id"] for row in await pool.fetch(QUERIES["jobs_without_end"], owners)}
    imports = await ended_items(pool, owners)
    open_ |= {owner for owner, events in imports.items() if events is None}
    items = [MediaItem.model_validate(row["item"]) for row in await pool.fetch(QUERIES["items_with_keys"], owners)]
    named = {key for item in items for key in item_keys(item)}
    for row in await pool.fetch(QUERIES["uploads_with_objects"], owners):
        # Until one of its attempts has ended, each of them may be the one that counts.
        open_ |= {row["id"]} if row["stored_attempt"] is None else set()
        named |= {each.key for each in objects if each.owner == row["id"] and _stored_by(each, row["stored_attempt"])}
    # The import of an item may be about to be queued.
    open_ |= {item.id for item in items if item.status == "processing"}
    return {each.key for each in objects if each.owner in open_ or each.key in named}


def _stored_by(object: StoredKey, attempt: int | None) -> bool:
    return attempt is not None and object.key == upload_key(object.project, object.owner, attempt)


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
