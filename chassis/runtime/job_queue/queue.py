"""The queue of one service: adding items, ending them, and cancelling. What its SQL guarantees: `job_queue.sql`."""

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import orjson

from chassis.adapters.postgres.pool import Connection, Pool
from chassis.core import tracing
from chassis.runtime.job_queue.claims import CONNECTION_SECONDS, Claims, fence, item_of
from chassis.runtime.job_queue.clock import QueueClock
from chassis.runtime.job_queue.item import FinalState, JointWrite, LeaseLost, NewItem, QueueItem, Write
from chassis.runtime.job_queue.joint_ends import JointEnds
from chassis.runtime.job_queue.lease import LEASE, SUSPECT_PAUSE
from chassis.runtime.outbox import Outbox
from schemas.events import Event
from schemas.storable import storable_text

MAX_REASON_CHARS = 2000
MAX_ESTIMATE_S = 1e9
"""Sums over many items stay within the range of the column's type."""


class JobQueue(Claims):
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
        super().__init__(pool, lease=lease, suspect_pause=suspect_pause, connection_s=connection_s)
        self._outbox = outbox
        self._joint_ends = JointEnds(pool, connection_s)
        self._cancelling = False
        self.clock = QueueClock(pool, lease, connection_s)

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
        """Queues items in the caller's transaction; the ids that were new, or are queued for a later run."""
        columns: tuple[list[Any], ...] = (
            [item.id for item in items],
            [item.project for item in items],
            [item.kind for item in items],
            [orjson.dumps(item.payload).decode() for item in items],
            [item.priority for item in items],
            [min(item.estimate_s, MAX_ESTIMATE_S) for item in items],
            [item.not_before_ms for item in items],
            [item.traceparent or tracing.traceparent(item.id) for item in items],
            [item.run for item in items],
        )
        added = [row["id"] for row in await conn.fetch(self._queries["add"], *columns)]
        if any(item.run > 1 for item in items):
            added += [row["id"] for row in await conn.fetch(self._queries["add_again"], *columns)]
        return added

    def wake(self) -> None:
        """Wakes the runners of this process; those of other processes look once per poll interval."""
        self.added.notify()
        if self._cancelling:
            self._cancelling = False
            self.cancelled.notify()

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
            if not await conn.fetchval(self._queries["lock_claimed"], *fence(item)):
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
            if not await conn.fetchval(self._queries["finish"], *fence(item), state, final):
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

    async def request_erasure(self, conn: Connection, projects: Mapping[str, str]) -> None:
        """Has those of the items that have ended erased (see `erasures`), in the caller's transaction.

        `projects` has the project of each item by its id; items of another project stay as they are.
        """
        await conn.execute(self._queries["request_erasure"], list(projects), list(projects.values()))

    async def retry(
        self,
        item: QueueItem,
        delay: timedelta,
        reason: str,
        *events: Event,
        counts: bool = True,
        deferred: str | None = None,
        also: Write | None = None,
    ) -> None:
        """Puts the item back, due after `delay`, with its events and what `also` writes, all or nothing.

        For `counts` and `deferred` see `Retry`. Raises `LeaseLost`.
        """
        # The reason may quote what a foreign server sent.
        last_error = storable_text(reason, MAX_REASON_CHARS)
        async with self._connection() as conn, conn.transaction():
            if not await conn.fetchval(self._queries["retry"], *fence(item), delay, last_error, counts, deferred):
                raise LeaseLost(item)
            if also is not None:
                await also(conn)
            await self._outbox.put(conn, *events)
        if events:
            self._outbox.wake()
        self.wake()

    async def request_cancel(
        self,
        conn: Connection,
        *ids: str,
        runs: Mapping[str, int] = MappingProxyType({}),
        project: str | None = None,
    ) -> list[QueueItem]:
        """Requests cancellations. Items that were still queued are returned, claimed for the caller, who finishes them:

            for item in await queue.request_cancel(conn, *ids):   # after the commit, if `conn` is in a transaction
                await queue.finish(item, "cancelled", event_of(item))

        If the caller ends in between, a runner closes them through `on_cancel`. A running one is stopped by its worker
        within a heartbeat. Unknown ids are remembered, because the item may be added later. `runs` are the runs that
        are meant, by id, 1 by default: an item that is in a later one is left alone, and so is one of another project
        than `project` if that is given.
        """
        caller = f"cancel-{os.urandom(8).hex()}"
        asked = sorted(set(ids))
        wanted = [runs.get(id, 1) for id in asked]
        rows = await conn.fetch(self._queries["request_cancel"], asked, caller, self.lease, wanted, project)
        self._cancelling = True
        unknown = sorted(set(asked).difference(row["id"] for row in rows))
        if unknown:
            of_runs = [runs.get(id, 1) for id in unknown]
            await conn.execute(self._queries["remember_cancellations"], unknown, of_runs, project)
            # Who adds one at this moment may have looked for its cancellation just before; then the item is here now.
            rows += await conn.fetch(self._queries["request_cancel"], unknown, caller, self.lease, of_runs, project)
        return [item_of(row) for row in rows if row["worker"] == caller]

    async def pending_cancellations(self, conn: Connection, ids: Sequence[str]) -> list[str]:
        """Those ids whose cancellation was requested before they were added: `request_cancel` is to be called again.

        Not those that have been added for a later run since.
        """
        return [row["id"] for row in await conn.fetch(self._queries["pending_cancellations"], list(ids))]

    async def _fenced(self, query: str, item: QueueItem, *arguments: object) -> None:
        async with self._connection() as conn:
            if not await conn.fetchval(self._queries[query], *fence(item), *arguments):
                raise LeaseLost(item)
