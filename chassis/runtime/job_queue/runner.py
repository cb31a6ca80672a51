"""The runner: claims items and makes attempts at them, at most `slots` at a time, and of a project not all of them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from chassis.core import logs
from chassis.core.concurrency import abandon_after
from chassis.core.ids import new_process_name
from chassis.core.retry import Backoff
from chassis.runtime.job_queue.attempt import Attempt, AttemptLimits, Handlers
from chassis.runtime.job_queue.attempt_span import record_claim
from chassis.runtime.job_queue.item import Cause, ClaimedItems, Complete, Outcome, QueueItem
from chassis.runtime.job_queue.lease import Heartbeats
from chassis.runtime.job_queue.queue import JobQueue

_SHORTEST_PAUSE = timedelta(milliseconds=10)
"""An item can be due and yet be locked by another claimer at this moment."""

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class RunnerTimes:
    """The runner's intervals and bounds."""

    poll: timedelta = timedelta(seconds=2)
    """How often an idle runner looks: for items that other processes queue, and for leases that run out."""
    watch_clock: timedelta = timedelta(seconds=5)
    """How often Postgres' clock is compared with what it showed before."""
    claim_s: float = 10.0
    """For a claim, which takes milliseconds. After it the connection is discarded."""


class SlotStuck(Exception):
    """Work goes on although the lease of its item is over, or was given up because it does not end."""


class Runner:
    """Makes attempts at the items of a queue: at most `slots` at a time, of one project at most `slots_per_project`.

    Where work waits for servers of others, it needs many slots, and the second bound keeps one project from taking them
    all. With short work a claim takes longer than the work: then `claims_at_a_time` lets a claim take as many items as
    slots are free, up to that number. What needs processor and memory is done in `WorkSlots`, of which there are fewer.

    `work` makes one attempt and returns its outcome. The failure policy decides about its exceptions: an outage is
    retried with a growing delay without limit, a rejection ends the item, anything else is retried until
    `policy.attempts`. A `Retry` that counts is granted until `max_attempts`. Then `exhausted(item, cause)` returns the
    end; also, with `Poisoned`, for an item whose workers crashed each time that it ran alone. `on_cancel(item)` returns
    the end of an item whose cancellation was requested. `work` is cancelled when the lease is lost, when the item is
    cancelled, and at shutdown: it must then end its children and return soon.

    `drain` stops claiming and lets work end; `has_begun(item_id)` says whether an attempt has done work that would be
    lost. `full_projects` gives the projects of which nothing is to be claimed at the moment. `worker` has to be unique
    among all processes; by default it is generated.
    """

    def __init__(
        self,
        queue: JobQueue,
        work: Callable[[QueueItem], Awaitable[Outcome]],
        *,
        slots: int,
        slots_per_project: int | None = None,
        claims_at_a_time: int = 1,
        exhausted: Callable[[QueueItem, Cause], Awaitable[Complete]],
        on_cancel: Callable[[QueueItem], Awaitable[Complete]],
        limits: AttemptLimits | None = None,
        times: RunnerTimes | None = None,
        has_begun: Callable[[str], bool] = lambda _: True,
        full_projects: Callable[[], Sequence[str]] = tuple,
        worker: str | None = None,
    ) -> None:
        self._queue = queue
        self._handlers = Handlers(work, exhausted, on_cancel)
        self._slots = slots
        self._limits = limits or AttemptLimits()
        self._slots_per_project = slots_per_project or slots
        self._claims_at_a_time = claims_at_a_time
        self._limited = False
        self._times = times or RunnerTimes()
        self._has_begun = has_begun
        self._full_projects = full_projects
        self._draining = asyncio.Event()
        self._heartbeats = Heartbeats(queue.renew, queue.cancelled, queue.lease)
        self._attempts: dict[asyncio.Task[None], Attempt] = {}
        self._abandoned: list[Attempt] = []
        """Attempts that were given up, because their work did not end when it was stopped."""
        self.worker = worker or new_process_name()

    @property
    def slots(self) -> int:
        """How many items it works on at most at a time."""
        return self._slots

    @property
    def slots_used(self) -> int:
        """How many items it works on."""
        return len(self._attempts)

    async def run(self) -> None:
        """Runs until cancelled: then the work is stopped, and items that did not end are back in the queue."""
        claiming = asyncio.create_task(self._claim_items())
        draining = asyncio.create_task(self._draining.wait())
        watching = asyncio.create_task(
            self._queue.clock.watch(self._times.watch_clock, self._times.claim_s, self._queue.wake)
        )
        renewing = asyncio.create_task(self._heartbeats.run())
        try:
            await asyncio.wait([claiming, draining], return_when=asyncio.FIRST_COMPLETED)
            if claiming.done():
                claiming.result()
            claiming.cancel()
            await asyncio.Event().wait()  # until cancelled
        finally:
            tasks = [claiming, draining, watching, *self._attempts]
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def drain(self, timeout: timedelta) -> None:
        """Claims nothing any more, and returns once no attempt works, at latest after `timeout`.

        Attempts that have not begun to work are stopped at once, and their items are back in the queue.
        """
        self._draining.set()
        waiting = [
            task
            for task, attempt in self._attempts.items()
            # A result may wait for Postgres to be back.
            if not attempt.decided and not self._has_begun(attempt.item_id)
        ]
        for task in waiting:
            task.cancel()
        log.info("queue_draining", working=len(self._attempts) - len(waiting), released=len(waiting))
        if self._attempts:
            await asyncio.wait(self._attempts, timeout=timeout.total_seconds())
        log.info("queue_drained", unfinished=len(self._attempts))

    async def check(self) -> None:
        """Raises `SlotStuck` where a slot outlives the lease of its item. A health check."""
        self._abandoned = [attempt for attempt in self._abandoned if attempt.is_working()]
        seconds = [attempt.overdue_s() for attempt in (*self._attempts.values(), *self._abandoned)]
        stuck = [each for each in seconds if each > 0]
        if stuck:
            raise SlotStuck(
                f"{len(stuck)} of {self._slots} slots: the lease ended {max(stuck):.0f} s ago, the work has not"
            )

    async def _claim_items(self) -> None:
        while True:
            if len(self._attempts) >= self._slots:
                await asyncio.wait(self._attempts, return_when=asyncio.FIRST_COMPLETED)
                continue
            for item in await self._claim():
                self._start(item)

    def _start(self, item: QueueItem) -> None:
        attempt = Attempt(self._queue, self._handlers, item, self._limits, self._heartbeats)
        task = asyncio.create_task(attempt.run())
        self._attempts[task] = attempt
        task.add_done_callback(self._on_ended)

    def _on_ended(self, task: "asyncio.Task[None]") -> None:
        attempt = self._attempts.pop(task)
        if attempt.is_working():
            self._abandoned.append(attempt)
        if self._limited:
            # Its project may have a further item now.
            self._queue.wake()

    async def _claim(self) -> Sequence[QueueItem]:
        """Waits for the next items, also while Postgres is away."""
        backoff = Backoff(log, "queue_claim")
        while True:
            subscription = self._queue.added.subscribe()
            # What ends during the claim makes room that the claim may not have seen: it is to wake the next one.
            self._limited = True
            try:
                items, next_due, self._limited = await self._claim_once()
            except Exception as error:  # noqa: BLE001 - without claims there is nothing else to do
                await backoff.sleep(error)
                continue
            backoff.reset()
            if items:
                return items
            pause = self._times.poll if next_due is None else min(self._times.poll, next_due)
            await subscription.wait(max(_SHORTEST_PAUSE, pause))

    async def _claim_once(self) -> ClaimedItems:
        # A claim that a shutdown interrupts may have been committed.
        contact, started_ns = self._queue.contact, time.time_ns()
        claiming = self._queue.claim_many(
            self.worker,
            min(self._claims_at_a_time, self._slots - len(self._attempts)),
            valid_until=contact.valid_until(),
            expired=contact.is_established(),
            per_project=self._slots_per_project,
            full_projects=self._full_projects(),
            held=[attempt.item_id for attempt in self._attempts.values()],
        )
        claim = asyncio.create_task(abandon_after(self._times.claim_s, claiming))
        try:
            claimed = await asyncio.shield(claim)
        except asyncio.CancelledError:
            with suppress(Exception):
                await abandon_after(self._limits.shutdown_write_s, self._release(claim))
            raise
        for item in claimed.items:
            record_claim(item, started_ns)
        return claimed

    async def _release(self, claim: "asyncio.Task[ClaimedItems]") -> None:
        for item in (await claim).items:
            await self._queue.release(item)
