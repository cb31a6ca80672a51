"""What ingest knows of one job, for operators. Reads only; secrets in addresses are masked."""

from dataclasses import dataclass

import orjson

from chassis.adapters.postgres import Pool
from chassis.core.redact import masked_url
from chassis.runtime.outbox.inspection import UnpublishedEvent, unpublished_events
from services.ingest.store import QUERIES


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
        unpublished=await unpublished_events(pool, *subjects),
    )
