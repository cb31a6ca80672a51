"""What a worker service knows of a job, and which stored objects it refers to, for operators. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass

from chassis.adapters.postgres import Pool
from chassis.runtime.job_queue.inspection import QueueRow, ended_items, find_row
from chassis.runtime.outbox.inspection import UnpublishedEvent, unpublished_events
from schemas.stored_keys import StoredKey
from worker.expired_outputs import stored_outputs


@dataclass(frozen=True)
class QueuedJob:
    """The job in the worker's queue, and its events that are not published yet."""

    queue: QueueRow
    unpublished: list[UnpublishedEvent]


async def inspect_job(pool: Pool, id: str) -> QueuedJob | None:
    """The job; None where this worker has not read of it, and once it was purged."""
    row = await find_row(pool, id)
    return None if row is None else QueuedJob(row, await unpublished_events(pool, id))


async def referenced(pool: Pool, objects: Sequence[StoredKey]) -> set[str]:
    """The keys of objects whose job has not ended, or that the events of its end name.

    Everything of a job that has not ended: an attempt stores its object before the transaction that names it.
    """
    ends = await ended_items(pool, list({each.owner for each in objects}))
    named = {key for events in ends.values() if events is not None for key in stored_outputs(events)}
    open_ = {owner for owner, events in ends.items() if events is None}
    return {each.key for each in objects if each.owner in open_ or each.key in named}
