"""Erasing ended items before their retention is over: what they have stored is deleted, all but their ids forgotten.

The request is a mark in the row, so that a crash loses none: the next pass of any replica finds what is left. Two
replicas may erase the same items at the same time.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NoReturn

from chassis.adapters.failure_policy import describe
from chassis.adapters.postgres import Pool, sql
from chassis.core import logs
from chassis.core.metrics import counter
from chassis.runtime.job_queue.queue import JobQueue

BATCH = 100
LOOK_EVERY = timedelta(seconds=30)
"""For requests that another replica has read, and for those that failed."""

log = logs.get_logger(__name__)
_erased = counter("bitmill_items_erased", "Ended items of a job queue that were erased on request.", ("service",))


class Erasures:
    """Erases what `JobQueue.request_erasure` marks. `delete` deletes what the given rows have stored.

    The rows have `id` and `final_events`. An exception of `delete` keeps them until the next pass; it may be called
    again with the same rows.
    """

    def __init__(
        self,
        pool: Pool,
        queue: JobQueue,
        service: str,
        delete: Callable[[Sequence[Mapping[str, Any]]], Awaitable[None]],
        *,
        batch: int = BATCH,
        look_every: timedelta = LOOK_EVERY,
    ) -> None:
        self._pool = pool
        self._queue = queue
        self._service = service
        self._delete = delete
        self._batch = batch
        self._look_every = look_every
        self._queries = sql.load("chassis.runtime.job_queue")

    async def run(self) -> NoReturn:
        """Erases until cancelled."""
        while True:
            subscription = self._queue.erasures.subscribe()
            try:
                await self.erase()
            except Exception as error:  # noqa: BLE001 - a dependency may fail with any exception; the next pass follows
                log.warning("erasure_failed", error=describe(error))
            await subscription.wait(self._look_every)

    async def erase(self) -> int:
        """One pass; how many items were erased."""
        erased = 0
        while rows := await self._pool.fetch(self._queries["to_erase"], self._batch):
            # Without a transaction: it may take long, and would hold the connection and the rows' locks.
            await self._delete([dict(row) for row in rows])
            ids = [row["id"] for row in rows]
            await self._pool.execute(self._queries["erase"], ids)
            erased += len(ids)
            _erased.labels(self._service).inc(len(ids))
            log.info("items_erased", ids=ids)
        return erased
