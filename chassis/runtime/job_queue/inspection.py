"""What a queue shows to operators: figures of the whole queue, and what it knows of one item. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from chassis.adapters.postgres import Pool, sql
from chassis.core import redact
from chassis.core.metrics import clear_gauges, gauge

_GAUGES = {
    "bitmill_job_queue_queued": "Items that wait for a worker.",
    "bitmill_job_queue_running": "Items that are worked on.",
    "bitmill_job_queue_queued_seconds": "Estimated seconds of work that wait.",
    "bitmill_job_queue_running_seconds": "Estimated seconds of the running items.",
    "bitmill_job_queue_oldest_seconds": "For how long the item has been due that has been due the longest.",
    "bitmill_job_queue_expired": "Running items whose lease has run out, and that nobody has claimed yet.",
}
"""Name, which ends with the field of `Counts` -> help."""


@dataclass(frozen=True)
class Counts:
    """Items and their estimated seconds of work."""

    queued: int
    running: int
    queued_seconds: float
    running_seconds: float
    oldest_seconds: float = field(default=0.0, compare=False)
    """For how long the item has been due that has been due the longest."""
    expired: int = field(default=0, compare=False)
    """Running items whose lease has run out: nobody works on them, and nobody has claimed them yet."""


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
    run: int
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


async def count(pool: Pool) -> Counts:
    """Measures the queue of the service that `pool` belongs to."""
    row = await pool.fetchrow(sql.load("chassis.runtime.job_queue")["counts"])
    assert row is not None  # noqa: S101 - aggregates always have one row
    return Counts(**row)


class QueueGauges:
    """The figures of the queue of `service` for Prometheus and autoscaling."""

    def __init__(self, pool: Pool, service: str) -> None:
        self._pool = pool
        self._service = service

    async def measure(self) -> None:
        """Shows the figures of this moment."""
        counts = await count(self._pool)
        for name, help in _GAUGES.items():
            gauge(name, help).labels(self._service).set(getattr(counts, name.removeprefix("bitmill_job_queue_")))

    def clear(self) -> None:
        """Shows no values any more: another replica measures."""
        clear_gauges(_GAUGES, self._service)


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
