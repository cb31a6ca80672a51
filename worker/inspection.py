"""What a worker service knows of one job, for operators. Reads only."""

from dataclasses import dataclass

from chassis.adapters.postgres import Pool
from chassis.runtime.job_queue.inspection import QueueRow, find_row
from chassis.runtime.outbox.inspection import UnpublishedEvent, unpublished_events


@dataclass(frozen=True)
class QueuedJob:
    """The job in the worker's queue, and its events that are not published yet."""

    queue: QueueRow
    unpublished: list[UnpublishedEvent]


async def inspect_job(pool: Pool, id: str) -> QueuedJob | None:
    """The job; None where this worker has not read of it, and once it was purged."""
    row = await find_row(pool, id)
    return None if row is None else QueuedJob(row, await unpublished_events(pool, id))
