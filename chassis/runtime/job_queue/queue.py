"""The queue: the only module with its SQL. The guarantees of the queries are described in `job_queue.sql`."""

import os
import time
from collections.abc import Sequence
from dataclasses import fields
from datetime import timedelta
from typing import Any, Unpack

import asyncpg
import orjson
from asyncpg.pool import PoolAcquireContext

from chassis.adapters.postgres import sql
from chassis.adapters.postgres.pool import Connection, Pool
from chassis.core import tracing
from chassis.core.concurrency import WakeSignal
from chassis.core.metrics import clear_gauges, gauge
from chassis.runtime.job_queue.item import (
    SUSPECT_AFTER_WAITING,
    Claimed,
    ClaimedItems,
    ClaimOptions,
    Counts,
    FinalState,
    Heartbeat,
    JointWrite,
    LeaseLost,
    NewItem,
    QueueItem,
    Write,
)
from chassis.runtime.job_queue.joint_ends import JointEnds
from chassis.runtime.job_queue.lease import LEASE, NEVER, SUSPECT_PAUSE, PostgresContact
from chassis.runtime.outbox import Outbox
from schemas.events import Event
from schemas.storable import storable_text

UNLIMITED = 2**31 - 1
MAX_CLAIMS = 32
"""Items of one claim; as many of each project are looked at."""
MAX_REASON_CHARS = 2000
MAX_ESTIMATE_S = 1e9
"""Sums over many items stay within the range of the column's type."""
CLOCK_TOLERANCE = timedelta(seconds=10)
"""By which Postgres' clock may be set back without further ado: everything then waits for so long at most."""
CHARGE_LIMIT_S = 300.0
"""Of the estimated work of one item in the order of the projects; an estimate may be wrong."""
CONNECTION_SECONDS = 5.0
"""For getting a connection, and for giving it back: one that hangs is then discarded instead of given back."""
_ITEM_COLUMNS = tuple(field.name for field in fields(QueueItem))
_GAUGES = {
    "bitmill_job_queue_queued": "Items that wait for a worker.",
    "bitmill_job_queue_running": "Items that are worked on.",
    "bitmill_job_queue_queued_seconds": "Estimated seconds of work that wait.",
    "bitmill_job_queue_running_seconds": "Estimated seconds of the running items.",
    "bitmill_job_queue_oldest_seconds": "For how long the item has been due that has been due the longest.",
    "bitmill_job_queue_expired": "Running items whose lease has run out, and that nobody has claimed yet.",
}
"""Name, which ends with the field of `Counts` -> help."""


class JobQueue:
    """The queue of one service. After the commit of a transaction that called `add…` or `request_cancel`: `wake()`."""

    def __init__(
        self,
        pool: Pool,
        outbox: Outbox,
        *,
        lease: timedelta = LEASE,
        suspect_pause: timedelta = SUSPECT_PAUSE,
        connection_s: float = CONNECTION_SECONDS,
    ) -> None:
        self._pool = pool
        self._outbox = outbox
        self._connection_s = connection_s
        self._queries = sql.load("chassis.runtime.job_queue")
        self._joint_ends = JointEnds(pool, connection_s)
        self._cancelling = False
        self.lease = lease
        self._suspect_pause = suspect_pause
        self.contact = PostgresContact(lease)
        self.added = WakeSignal()
        """Notified when there may be an item to claim."""
        self.cancelled = WakeSignal()
        """Notified when a running item may have been cancelled: heartbeats are then sent at once."""

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
        item = NewItem(id, project, kind, payload, priority, estimate_s, not_before_ms)
        return bool(await self.add_many(conn, [item]))

    async def add_many(self, conn: Connection, items: Sequence[NewItem]) -> list[str]:
        """Queues items in the caller's transaction, in one statement; the ids that were new."""
        columns: tuple[list[Any], ...] = (
            [item.id for item in items],
            [item.project for item in items],
            [item.kind for item in items],
            [orjson.dumps(item.payload).decode() for item in items],
            [item.priority for item in items],
            [min(item.estimate_s, MAX_ESTIMATE_S) for item in items],
            [item.not_before_ms for item in items],
            [item.traceparent or tracing.traceparent(item.id) for item in items],
        )
        return [row["id"] for row in await conn.fetch(self._queries["add"], *columns)]

    def wake(self) -> None:
        """Wakes the runners of this process; those of other processes look once per poll interval."""
        self.added.notify()
        if self._cancelling:
            self._cancelling = False
            self.cancelled.notify()

    async def claim(self, worker: str) -> QueueItem | None:
        """Claims the next item, if any. `worker` must be unique among all processes."""
        return (await self.claim_next(worker)).item

    async def claim_next(self, worker: str, **options: Unpack[ClaimOptions]) -> Claimed:
        """`claim`, with the time until the next item is due."""
        items, next_due, limited = await self.claim_many(worker, 1, **options)
        return Claimed(items[0] if items else None, next_due, limited)

    async def claim_many(self, worker: str, most: int, **options: Unpack[ClaimOptions]) -> ClaimedItems:
        """Claims up to `most` items, at most `MAX_CLAIMS`, in the order in which as many claims would get them."""
        sent = time.monotonic()
        async with self._connection() as conn:
            rows = await conn.fetch(
                self._queries["claim"],
                worker,
                self.lease,
                options.get("valid_until", NEVER),
                options.get("expired", True),
                options.get("per_project", UNLIMITED),
                SUSPECT_AFTER_WAITING,
                list(options.get("full_projects", ())),
                list(options.get("held", ())),
                self._suspect_pause,
                CHARGE_LIMIT_S,
                min(most, MAX_CLAIMS),
            )
        first = rows[0]
        self.contact.responded(first["at"], _since(sent))
        items = [_item(row) for row in rows if row["id"] is not None]
        due_s = first["next_due_s"]
        due = None if due_s is None else timedelta(seconds=max(0.0, due_s))
        return ClaimedItems(items, due, first["limited"])

    async def heartbeat(self, item: QueueItem) -> Heartbeat:
        """Extends the lease, even one that ran out, as long as no other worker claimed the item."""
        sent = time.monotonic()
        async with self._connection() as conn:
            row = await conn.fetchrow(self._queries["heartbeat"], *_fence(item), self.lease)
        if row is None:
            return "lost"
        self.contact.responded(row["at"], _since(sent))
        return "cancelled" if row["cancelled"] else "held"

    async def retract_crash(self, item: QueueItem) -> bool:
        """Says that the worker of this claim, whose lease was lost, has not crashed; whether it was taken for that."""
        async with self._connection() as conn:
            return bool(await conn.fetchval(self._queries["retract_crash"], item.id, str(item.attempt)))

    async def start_alone(self, item: QueueItem) -> None:
        """Records that the worker works on nothing else from now on. Raises `LeaseLost`."""
        await self._fenced("start_alone", item)

    async def set_waiting(self, item: QueueItem, waiting: bool) -> None:
        """Records whether the attempt waits (for its input, for a slot) or works on the item. Raises `LeaseLost`."""
        await self._fenced("set_waiting", item, waiting)

    async def set_step(self, item: QueueItem, step: str) -> None:
        """Records the step that the attempt has reached, in the row and in `item`. Raises `LeaseLost`."""
        await self._fenced("set_step", item, step)
        item.step = step

    async def emit(self, item: QueueItem, *events: Event) -> None:
        """Publishes events of an attempt that is under way. Raises `LeaseLost`."""
        async with self._connection() as conn, conn.transaction():
            if not await conn.fetchval(self._queries["lock_claimed"], *_fence(item)):
                raise LeaseLost(item)
            await self._outbox.put(conn, *events)
        self._outbox.wake()

    async def finish(self, item: QueueItem, state: FinalState, *events: Event, also: Write | None = None) -> None:
        """Ends the item for good, with its events and with what `also` writes, all or nothing. Raises `LeaseLost`.

        The row keeps the events, so that `repeat_final_events` can publish them again. Ends with a `JointWrite` and
        without events share a transaction with others of the same moment.
        """
        if isinstance(also, JointWrite) and not events:
            await self._joint_ends.finish(item, state, also)
            return
        rows = self._outbox.rows(*events) if events else None
        async with self._connection() as conn, conn.transaction():
            final = rows.records_json() if rows else None
            if not await conn.fetchval(self._queries["finish"], *_fence(item), state, final):
                raise LeaseLost(item)
            if also is not None:
                await also(conn)
            if rows:
                await conn.execute(rows.statement, *rows.columns)
        self._outbox.wake()

    async def repeat_final_events(self, conn: Connection, ids: Sequence[str]) -> list[str]:
        """Publishes once more, with the same ids, the events of those items that have ended; the events' subjects.

        In the caller's transaction. Nothing is published of items that ended before their rows kept the events.
        """
        return [row["id"] for row in await conn.fetch(self._queries["repeat_final_events"], list(ids))]

    async def retry(
        self,
        item: QueueItem,
        delay: timedelta,
        reason: str,
        *events: Event,
        counts: bool = True,
        deferred: bool = False,
        also: Write | None = None,
    ) -> None:
        """Puts the item back, due after `delay`, with its events and what `also` writes, all or nothing.

        For `counts` and `deferred` see `Retry`. Raises `LeaseLost`.
        """
        # The reason may quote what a foreign server sent.
        last_error = storable_text(reason, MAX_REASON_CHARS)
        async with self._connection() as conn, conn.transaction():
            if not await conn.fetchval(self._queries["retry"], *_fence(item), delay, last_error, counts, deferred):
                raise LeaseLost(item)
            if also is not None:
                await also(conn)
            await self._outbox.put(conn, *events)
        if events:
            self._outbox.wake()
        self.wake()

    async def is_lost(self, item: QueueItem) -> bool:
        """Whether the claim is over without having ended the item as `done`, so that it never will."""
        async with self._connection() as conn:
            return bool(await conn.fetchval(self._queries["is_lost"], *_fence(item)))

    async def release(self, item: QueueItem) -> None:
        """Puts the item back as if it had not been claimed. Nothing happens where the lease was lost."""
        async with self._connection() as conn:
            await conn.execute(self._queries["release"], *_fence(item))

    async def request_cancel(self, conn: Connection, *ids: str) -> list[QueueItem]:
        """Requests cancellations. Items that were still queued are returned, claimed for the caller, who finishes them:

            for item in await queue.request_cancel(conn, *ids):   # after the commit, if `conn` is in a transaction
                await queue.finish(item, "cancelled", event_of(item))

        If the caller ends in between, a runner closes them through `on_cancel`. A running one is stopped by its worker
        within a heartbeat. Unknown ids are remembered, because the item may be added later.
        """
        caller = f"cancel-{os.urandom(8).hex()}"
        asked = sorted(set(ids))
        rows = await conn.fetch(self._queries["request_cancel"], asked, caller, self.lease)
        self._cancelling = True
        unknown = sorted(set(asked).difference(row["id"] for row in rows))
        if unknown:
            await conn.execute(self._queries["remember_cancellations"], unknown)
            # Who adds one at this moment may have looked for its cancellation just before; then the item is here now.
            rows += await conn.fetch(self._queries["request_cancel"], unknown, caller, self.lease)
        return [_item(row) for row in rows if row["worker"] == caller]

    async def pending_cancellations(self, conn: Connection, ids: Sequence[str]) -> list[str]:
        """Those ids whose cancellation was requested before they were added: `request_cancel` is to be called again."""
        return [row["id"] for row in await conn.fetch(self._queries["pending_cancellations"], list(ids))]

    async def watch_clock(self) -> timedelta | None:
        """Moves the times of the queue if Postgres' clock was set back since the last call; by how much, or None."""
        async with self._connection() as conn:
            difference: timedelta | None = await conn.fetchval(
                self._queries["watch_clock"], self.lease, CLOCK_TOLERANCE
            )
        return difference

    async def counts(self) -> Counts:
        """For metrics and autoscaling."""
        async with self._connection() as conn:
            row = await conn.fetchrow(self._queries["counts"])
        assert row is not None  # noqa: S101 - aggregates always have one row
        return Counts(
            queued=row["queued"],
            running=row["running"],
            queued_seconds=float(row["queued_seconds"]),
            running_seconds=float(row["running_seconds"]),
            oldest_seconds=row["oldest_seconds"],
            expired=row["expired"],
        )

    async def set_gauges(self, service: str) -> None:
        """Measures the queue of `service` for Prometheus."""
        counts = await self.counts()
        for name, help in _GAUGES.items():
            gauge(name, help).labels(service).set(getattr(counts, name.removeprefix("bitmill_job_queue_")))

    def clear_gauges(self, service: str) -> None:
        """Shows no values any more: another replica measures."""
        clear_gauges(_GAUGES, service)

    async def _fenced(self, query: str, item: QueueItem, *arguments: object) -> None:
        async with self._connection() as conn:
            if not await conn.fetchval(self._queries[query], *_fence(item), *arguments):
                raise LeaseLost(item)

    def _connection(self) -> "PoolAcquireContext[asyncpg.Record]":
        return self._pool.acquire(timeout=self._connection_s)


def _item(row: asyncpg.Record) -> QueueItem:
    return QueueItem(**{name: row[name] for name in _ITEM_COLUMNS})


def _since(sent: float) -> timedelta:
    return timedelta(seconds=time.monotonic() - sent)


def _fence(item: QueueItem) -> tuple[str, str, int]:
    return item.id, item.worker, item.attempt
