"""The queue: the one module that speaks its SQL. What the queries promise is said beside them, in `queue.sql`."""

import os
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, cast

import asyncpg
from asyncpg.pool import PoolAcquireContext

from chassis.adapters.postgres import sql
from chassis.adapters.postgres.pool import Connection, Pool
from chassis.core.concurrency import WakeSignal
from chassis.runtime.job_queue.item import Counts, FinalState, Heartbeat, LeaseLost, QueueItem
from chassis.runtime.outbox import Outbox
from schemas.events import Event

LEASE = timedelta(seconds=15)
"""How long a killed worker's item lies still. Shorter means more heartbeats; a pause of Postgres must fit in."""
PURGE_STEP = 1000
CONNECTION_SECONDS = 5.0
"""For getting a connection, and for giving it back: one that hangs is then thrown away instead of given back."""


class JobQueue:
    """The queue of one service. After the commit of a transaction that called `add` or `request_cancel`: `wake()`."""

    def __init__(self, pool: Pool, outbox: Outbox, *, lease: timedelta = LEASE, max_attempts: int = 3) -> None:
        self._pool = pool
        self._outbox = outbox
        self._queries = sql.load("chassis.runtime.job_queue")
        self._cancelling = False
        self.lease = lease
        self.max_attempts = max_attempts
        self.added = WakeSignal()
        """Rings when something can perhaps be claimed."""
        self.cancelled = WakeSignal()
        """Rings when a running item was perhaps cancelled, so that its heartbeat does not wait its time."""

    async def add(
        self,
        conn: Connection,
        *,
        id: str,
        project: str,
        kind: str,
        payload: dict[str, Any],
        priority: int = 0,
        estimate_s: float = 1.0,
        not_before_ms: int | None = None,
    ) -> bool:
        """Queues an item in the caller's transaction; False where the id is known already, in whichever state."""
        arguments = (id, project, kind, payload, priority, estimate_s, not_before_ms)
        return bool(await conn.fetchval(self._queries["add"], *arguments))

    def wake(self) -> None:
        """Tells the runners of this process to look now; others look every second."""
        self.added.notify()
        if self._cancelling:
            self._cancelling = False
            self.cancelled.notify()

    async def claim(self, worker: str) -> QueueItem | None:
        """Starts an attempt at the item whose turn it is, if any. `worker` must be unique among all processes."""
        async with self._connection() as conn:
            row = await conn.fetchrow(self._queries["claim"], worker, self.lease)
        return None if row is None else _item(row)

    async def next_due(self) -> timedelta | None:
        """How long until the next queued item is due; None where nothing is queued."""
        async with self._connection() as conn:
            seconds = await conn.fetchval(self._queries["next_due"])
        return None if seconds is None else timedelta(seconds=max(0.0, seconds))

    async def heartbeat(self, item: QueueItem) -> Heartbeat:
        """Extends the lease, even one that ran out, as long as nobody else claimed the item."""
        async with self._connection() as conn:
            cancelled = await conn.fetchval(self._queries["heartbeat"], *_fence(item), self.lease)
        if cancelled is None:
            return "lost"
        return "cancelled" if cancelled else "held"

    async def emit(self, item: QueueItem, *events: Event) -> None:
        """Publishes events of an attempt that is under way. Raises `LeaseLost`."""
        async with self._connection() as conn, conn.transaction():
            if not await conn.fetchval(self._queries["hold"], *_fence(item)):
                raise LeaseLost(item)
            await self._outbox.put(conn, *events)
        self._outbox.wake()

    async def finish(
        self,
        item: QueueItem,
        state: FinalState,
        *events: Event,
        also: Callable[[Connection], Awaitable[None]] | None = None,
    ) -> None:
        """Ends the item for good, with its events and with what `also` writes, all or nothing. Raises `LeaseLost`."""
        async with self._connection() as conn, conn.transaction():
            if not await conn.fetchval(self._queries["finish"], *_fence(item), state):
                raise LeaseLost(item)
            if also is not None:
                await also(conn)
            await self._outbox.put(conn, *events)
        self._outbox.wake()

    async def retry(self, item: QueueItem, delay: timedelta, reason: str) -> None:
        """Puts the item back, due after `delay`. Raises `LeaseLost`."""
        async with self._connection() as conn:
            if not await conn.fetchval(self._queries["retry"], *_fence(item), delay, reason):
                raise LeaseLost(item)
        self.wake()

    async def release(self, item: QueueItem) -> None:
        """Puts the item back as if it had never been claimed. Nothing happens where the lease was lost."""
        async with self._connection() as conn:
            await conn.execute(self._queries["release"], *_fence(item))

    async def request_cancel(self, conn: Connection, id: str) -> QueueItem | None:
        """Requests a cancellation. An item that was still queued is returned, claimed for the caller, who finishes it:

            if item := await queue.request_cancel(conn, id):   # after the commit, if `conn` is in a transaction
                await queue.finish(item, "cancelled", JobCancelled(...))

        If the caller dies in between, a runner closes it through `on_cancel`. A running one is stopped by its worker
        within a heartbeat; the wish for an unknown id is kept, in case the item arrives later.
        """
        caller = f"cancel-{os.urandom(8).hex()}"
        row = await conn.fetchrow(self._queries["request_cancel"], id, caller, self.lease)
        self._cancelling = True
        if row is None:
            await conn.execute(self._queries["mark_cancel"], id)
            # Who adds it at this moment may have looked for the mark just before it was there; then the item is here.
            row = await conn.fetchrow(self._queries["request_cancel"], id, caller, self.lease)
            if row is None:
                return None
        return _item(row) if row["worker"] == caller else None

    async def pending_cancellations(self, conn: Connection, ids: Sequence[str]) -> list[str]:
        """Those ids whose cancellation was asked for before they were added: to be asked once more."""
        return [row["id"] for row in await conn.fetch(self._queries["pending_cancellations"], list(ids))]

    async def counts(self) -> Counts:
        """For metrics and autoscaling."""
        async with self._connection() as conn:
            row = await conn.fetchrow(self._queries["counts"])
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        return Counts(row["queued"], row["running"], float(row["queued_seconds"]))

    async def purge(self, age: timedelta) -> int:
        """Forgets items that were finished more than `age` ago; how many."""
        gone = 0
        while True:
            async with self._connection() as conn:
                step = cast(int, await conn.fetchval(self._queries["purge"], age, PURGE_STEP))
            gone += step
            if step < PURGE_STEP:
                return gone

    def _connection(self) -> "PoolAcquireContext[asyncpg.Record]":
        return self._pool.acquire(timeout=CONNECTION_SECONDS)


def _item(row: asyncpg.Record) -> QueueItem:
    return QueueItem(
        id=row["id"],
        project=row["project"],
        kind=row["kind"],
        payload=row["payload"],
        attempt=row["attempt"],
        worker=row["worker"],
        cancelled=row["cancelled"],
    )


def _fence(item: QueueItem) -> tuple[str, str, int]:
    return item.id, item.worker, item.attempt
