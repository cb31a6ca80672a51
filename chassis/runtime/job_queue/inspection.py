"""What a queue knows of one item, for operators. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chassis.adapters.postgres import Pool, sql
from chassis.core import redact


@dataclass(frozen=True)
class QueueRow:
    """The row of an item. Times in Unix milliseconds.

    `attempt` counts its claims; for the other counts see `QueueItem`. `worker` has the item while its state is
    `running`; with `lease_expired` that worker is gone or hangs, and another one takes over. `next_attempt_at`: from
    when on a queued item is claimed. `last_error` is why the last attempt ended, without secrets.
    """

    id: str
    project: str
    kind: str
    state: str
    priority: int
    attempt: int
    worker: str | None
    step: str | None
    waiting: bool
    alone: bool
    cancel_requested: bool
    last_error: str | None
    failures: int
    postponements: int
    deferrals: int
    crashed: int
    crashed_alone: int
    crashed_waiting: int
    created_at: int
    started_at: int | None
    finished_at: int | None
    lease_until: int | None
    next_attempt_at: int | None
    lease_expired: bool


async def find_row(pool: Pool, id: str) -> QueueRow | None:
    """The row of the item in the queue of the service that `pool` belongs to."""
    row = await pool.fetchrow(sql.load("chassis.runtime.job_queue")["inspect"], id)
    if row is None:
        return None
    error = row["last_error"]
    return QueueRow(**{**row, "last_error": None if error is None else redact.text(error)})


async def ended_items(pool: Pool, ids: Sequence[str]) -> dict[str, list[dict[str, Any]] | None]:
    """Of the items in the queue, by id: the records of the events with which it ended.

    None for an item that has not ended, and for one that ended before its row kept them.
    """
    rows = await pool.fetch(sql.load("chassis.runtime.job_queue")["ended_items"], list(ids))
    return {row["id"]: row["final_events"] if row["known"] else None for row in rows}
