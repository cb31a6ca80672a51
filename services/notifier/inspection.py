"""What the notifier knows of the webhook of one job, for operators. Reads only; secrets in addresses are masked."""

from dataclasses import dataclass

from chassis.adapters.postgres import Pool
from chassis.core.redact import masked_url
from chassis.runtime.job_queue.inspection import QueueRow, find_row
from services.notifier.store import QUERIES, delivery_id


@dataclass(frozen=True)
class InspectedAttempt:
    """One attempt at a delivery; without `finished_at` it is under way, or its worker was killed."""

    number: int
    status: int | None
    error: str | None
    address: str | None
    seconds: float | None
    started_at: int
    finished_at: int | None


@dataclass(frozen=True)
class InspectedDelivery:
    """A webhook delivery with its attempts and its item in the queue. Times in Unix milliseconds."""

    id: str
    url: str
    state: str
    reason: str | None
    created_at: int
    closed_at: int | None
    attempts: list[InspectedAttempt]
    queue: QueueRow | None


async def inspect_delivery(pool: Pool, job_id: str, webhook_url: str, run: int) -> InspectedDelivery | None:
    """The delivery; None before the job's end, and once it was purged."""
    id = delivery_id(job_id, webhook_url, run)
    row = await pool.fetchrow(QUERIES["inspect_delivery"], id)
    if row is None:
        return None
    attempts = [InspectedAttempt(**each) for each in await pool.fetch(QUERIES["inspect_attempts"], id)]
    return InspectedDelivery(
        **{**row, "url": masked_url(row["url"])}, attempts=attempts, queue=await find_row(pool, id)
    )
