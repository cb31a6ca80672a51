"""Which stored objects a worker's queue refers to, for `bitmill gc`. Reads only.

Everything of a job that has not ended is referred to: an attempt stores its object before the transaction that names
it. Ingest's imports are in a queue of the same kind.
"""

from collections.abc import Sequence

from chassis.adapters.postgres import Pool
from chassis.runtime.job_queue.inspection import ended_items
from schemas.stored_keys import StoredKey
from worker.expired_outputs import stored_outputs


async def referenced(pool: Pool, objects: Sequence[StoredKey]) -> set[str]:
    """The keys of objects whose job has not ended, or that the events of its end name."""
    ends = await ended_items(pool, list({each.owner for each in objects}))
    named = {key for events in ends.values() if events is not None for key in stored_outputs(events)}
    open_ = {owner for owner, events in ends.items() if events is None}
    return {each.key for each in objects if each.owner in open_ or each.key in named}
