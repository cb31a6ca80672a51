"""The runner: a number of slots, each busy with one item after another."""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from chassis.core import logs
from chassis.core.concurrency import abandon_after
from chassis.core.retry import Backoff
from chassis.runtime.job_queue.attempt import SHUTDOWN_WRITE_SECONDS, Handlers, execute
from chassis.runtime.job_queue.item import Complete, Outcome, QueueItem
from chassis.runtime.job_queue.queue import JobQueue

POLL = timedelta(seconds=1)
"""For items that other processes queue, and for leases that run out."""
CLAIM_SECONDS = 10.0
"""A claim takes milliseconds; after this long its connection is dead."""
KEEP_FINISHED = timedelta(days=30)
"""Longer than any topic keeps the message that would bring the item again."""
PURGE_EVERY = timedelta(hours=1)

log = logs.get_logger(__name__)


class Runner:
    """Carries out the items of a queue, at most `slots` at a time.

    `work` does one item and says how it ended; anything it raises is our fault and is retried, with a growing delay,
    until `max_attempts`. Then `exhausted(item, reason)` gives the end; also, with the reason "poisoned", for an item
    whose workers died each time. `on_cancel(item)` gives the end of an item that nobody wants any more. `work` is
    cancelled when the lease is lost, when the item is cancelled, and at shutdown: it must then end its children and
    return soon. `worker` has to be unique among all processes; by default it is made up.
    """

    def __init__(
        self,
        queue: JobQueue,
        work: Callable[[QueueItem], Awaitable[Outcome]],
        *,
        slots: int,
        exhausted: Callable[[QueueItem, str], Awaitable[Complete]],
        on_cancel: Callable[[QueueItem], Awaitable[Complete]],
        worker: str | None = None,
    ) -> None:
        self._queue = queue
        self._handlers = Handlers(work, exhausted, on_cancel)
        self._slots = slots
        self.worker = worker or f"{socket.gethostname()}-{os.getpid()}-{os.urandom(4).hex()}"

    async def run(self) -> None:
        """Until cancelled: then the work is stopped, and what was not finished is back in the queue."""
        free = asyncio.Semaphore(self._slots)
        busy: set[asyncio.Task[None]] = set()
        tidying = asyncio.create_task(self._tidy())
        try:
            while True:
                await free.acquire()
                claimed_at, item = await self._next()
                task = asyncio.create_task(execute(self._queue, self._handlers, item, claimed_at))
                busy.add(task)
                task.add_done_callback(busy.discard)
                task.add_done_callback(lambda _: free.release())
        finally:
            for task in (tidying, *busy):
                task.cancel()
            await asyncio.gather(tidying, *busy, return_exceptions=True)

    async def _next(self) -> tuple[float, QueueItem]:
        backoff = Backoff(log, "claiming work")
        while True:
            subscription = self._queue.added.subscribe()
            claimed_at = time.monotonic()
            try:
                item = await self._claim()
                if item is not None:
                    return claimed_at, item
                due = await abandon_after(CLAIM_SECONDS, self._queue.next_due())
            except Exception as error:  # noqa: BLE001 - Postgres is away, in any of its many words
                await backoff.sleep(error)
                continue
            backoff.reset()
            # Never 0: an item can be due and yet locked by another claimer at this moment.
            await subscription.wait(max(timedelta(milliseconds=10), min(POLL, due if due is not None else POLL)))

    async def _claim(self) -> QueueItem | None:
        # A claim that is cut off by a shutdown may have happened in Postgres all the same.
        claim = asyncio.create_task(abandon_after(CLAIM_SECONDS, self._queue.claim(self.worker)))
        try:
            return await asyncio.shield(claim)
        except asyncio.CancelledError:
            with suppress(Exception):
                await abandon_after(SHUTDOWN_WRITE_SECONDS, self._give_back(claim))
            raise

    async def _give_back(self, claim: "asyncio.Task[QueueItem | None]") -> None:
        item = await claim
        if item is not None:
            await self._queue.release(item)

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(PURGE_EVERY.total_seconds())
            try:
                gone = await self._queue.purge(KEEP_FINISHED)
            except Exception as error:  # noqa: BLE001 - the next hour comes
                log.warning("old items not forgotten", reason=f"{type(error).__name__}: {error}")
            else:
                log.debug("old items forgotten", items=gone)
