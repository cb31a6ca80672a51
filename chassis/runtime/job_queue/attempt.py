"""One claimed item, from the claim to the row's next state.

First the outcome is decided, by the service's functions and the failure policy; then it is written, fenced by the
claim. Meanwhile heartbeats renew the lease. The work is stopped when Postgres says that the claim is another's, or that
the item is to be cancelled, and at shutdown. It goes on while Postgres is away: nobody else can claim meanwhile, and if
only this process cannot reach Postgres, the fence rejects its outcome.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from chassis.adapters.failure_policy import FailurePolicy, GiveUp, RetryAfter, classify, describe, is_outage
from chassis.core import logs
from chassis.core.concurrency import abandon_after
from chassis.core.retry import Backoff
from chassis.core.tracing import Span
from chassis.runtime.job_queue.attempt_span import attempt_span, count_outcome, show_outcome
from chassis.runtime.job_queue.item import Cause, Complete, LastAttempt, LeaseLost, Outcome, Poisoned, QueueItem, Retry
from chassis.runtime.job_queue.lease import Heartbeats, HeldLease
from chassis.runtime.job_queue.queue import JobQueue
from schemas.ids import log_field

POLICY = FailurePolicy(attempts=5, first_delay_s=1.0, longest_delay_s=30.0)

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class Handlers:
    """What a service does with its items: see `Runner`."""

    work: Callable[[QueueItem], Awaitable[Outcome]]
    exhausted: Callable[[QueueItem, Cause], Awaitable[Complete]]
    on_cancel: Callable[[QueueItem], Awaitable[Complete]]


@dataclass(frozen=True)
class AttemptLimits:
    """The bounds of an attempt: see `Runner`."""

    max_attempts: int = 3
    """Attempts that end in a `Retry` that counts. Errors that `work` raises follow `policy`."""
    policy: FailurePolicy = POLICY
    write_s: float = 30.0
    """For one try at writing an outcome, on a connection that may hang; then comes the next."""
    shutdown_write_s: float = 2.0
    """At shutdown: for writing an outcome that is decided already, or for releasing the item."""
    discard_s: float = 10.0
    """For removing what an attempt has made whose outcome was not written, and for `JobQueue.retract_crash`."""
    cancel_again_s: float = 5.0
    """Work that is stopped is cancelled again so often, because code that it calls may lose a cancellation."""
    stop_s: float = 60.0
    """After it work that was stopped is given up: the attempt ends without it."""


class Attempt:
    """An attempt at `item`."""

    def __init__(
        self, queue: JobQueue, handlers: Handlers, item: QueueItem, limits: AttemptLimits, heartbeats: Heartbeats
    ) -> None:
        self._queue = queue
        self._handlers = handlers
        self._item = item
        self._limits = limits
        self._heartbeats = heartbeats
        self._lease = HeldLease(item, queue.lease)
        self._working: asyncio.Future[Outcome] | None = None
        self._given_up = False
        self._decided = False
        self._span = Span()
        self._unwritten: Complete | None = None

    @property
    def item_id(self) -> str:
        return self._item.id

    @property
    def decided(self) -> bool:
        """Whether the work has ended, and its outcome is being written."""
        return self._decided

    def overdue_s(self) -> float:
        """For how many seconds the lease has been over, as far as this process knows; not positive while it is held."""
        return self._lease.overdue_s()

    def is_working(self) -> bool:
        """Whether the work has not ended; also after `run`, where the work was given up."""
        return self._working is not None and not self._working.done()

    async def run(self) -> None:
        """To be run as a task. Raises nothing but CancelledError; the item is then back in the queue."""
        item = self._item
        logs.bind_task(**{"project": item.project, "attempt": item.attempt, log_field(item.id): item.id})
        with attempt_span(item) as span, self._heartbeats.of(self._lease):
            self._span = span
            try:
                await self._run()
            except asyncio.CancelledError:
                await self._release()
                raise
            except LeaseLost as error:
                span.fail(error)
                count_outcome("lost")
                log.warning("queue_item_lease_lost", attempt=item.attempt)
                await self._retract_crash()
            except Exception as error:
                span.fail(error)
                count_outcome("abandoned")
                # The item could be neither ended nor put back: its lease expires.
                log.exception("queue_item_abandoned", attempt=item.attempt)
            finally:
                await self._discard_unwritten()

    async def _run(self) -> None:
        try:
            await self._write(await self._outcome())
        except LeaseLost:
            raise
        except Exception as error:  # noqa: BLE001 - of the work, or of the writes of the outcome
            try:
                await self._write(await self._after(error))
            except LeaseLost:
                raise
            except Exception as second:
                # Raised by `exhausted`, or by its writes: the item is retried later, with a growing delay.
                log.exception("queue_item_close_failed", attempt=self._item.attempt)
                delay = timedelta(seconds=self._limits.policy.delay_s(self._item.postponements + 1))
                await self._write(Retry(delay, describe(second), counts=False))

    async def _outcome(self) -> Outcome:
        item = self._item
        if item.cancelled:
            return await self._handlers.on_cancel(item)
        if item.poisoned:
            log.error("queue_item_quarantined", attempt=item.attempt, crashed=item.crashed)
            return await self._handlers.exhausted(item, Poisoned())
        outcome = await self._work()
        if outcome == "cancelled":
            return await self._handlers.on_cancel(item)
        if isinstance(outcome, Retry) and outcome.counts and item.failures + 1 >= self._limits.max_attempts:
            return await self._handlers.exhausted(item, LastAttempt(outcome.reason, outcome.fault))
        return outcome

    async def _after(self, error: Exception) -> Outcome:
        """What follows from an error that the attempt raised."""
        item = self._item
        earlier = item.postponements if classify(error) == "outage" else item.failures
        match self._limits.policy.decide(error, earlier + 1):
            case RetryAfter(delay_s, counts):
                if counts:
                    log.error("queue_item_attempt_failed", attempt=item.attempt, failures=earlier + 1, exc_info=error)
                else:
                    log.warning("queue_item_postponed", attempt=item.attempt, error=describe(error))
                return Retry(timedelta(seconds=delay_s), describe(error), counts=counts)
            case GiveUp(_, reason):
                log.error("queue_item_given_up", attempt=item.attempt, failures=earlier + 1, exc_info=error)
                return await self._handlers.exhausted(item, LastAttempt(reason))

    async def _work(self) -> Outcome | Literal["cancelled"]:
        """The outcome of the service's work, or `cancelled`. Raises LeaseLost."""
        work = self._working = asyncio.ensure_future(self._handlers.work(self._item))
        try:
            ends: tuple[asyncio.Future[Any], ...] = (work, self._lease.stopped)
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if work.cancelled():
                raise RuntimeError("the work cancelled itself")
            if work.done():
                return work.result()
            await self._stop(work)
            if self._lease.stopped.result() == "lost":
                raise LeaseLost(self._item)
            # Work that succeeded although it was being stopped keeps its result.
            succeeded = work.done() and not work.cancelled() and work.exception() is None
            return work.result() if succeeded else "cancelled"
        finally:
            await self._stop(work)

    async def _stop(self, work: "asyncio.Future[Outcome]") -> None:
        """Cancels the work until it ends, at most for `stop_s`."""
        give_up_at = time.monotonic() + self._limits.stop_s
        while not work.done() and not self._given_up and time.monotonic() < give_up_at:
            work.cancel()
            await asyncio.wait([work], timeout=min(self._limits.cancel_again_s, self._limits.stop_s))
        # Reads the exception of work that failed while it was stopped, or asyncio would report it.
        work.add_done_callback(lambda done: done.cancelled() or done.exception())
        if not work.done() and not self._given_up:
            self._given_up = True
            log.critical("queue_item_work_stuck", attempt=self._item.attempt, seconds=self._limits.stop_s)

    async def _write(self, outcome: Outcome) -> None:
        """Writes the outcome, however long Postgres is away; a shutdown waits `shutdown_write_s` for it."""
        self._decided = True
        show_outcome(self._span, outcome)
        if isinstance(outcome, Complete) and outcome.discard is not None:
            self._unwritten = outcome
        writing = asyncio.create_task(self._write_with_retries(outcome))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait([writing], timeout=self._limits.shutdown_write_s)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            raise
        if isinstance(outcome, Complete) and outcome.after_commit is not None:
            outcome.after_commit()

    async def _write_with_retries(self, outcome: Outcome) -> None:
        backoff = Backoff(log, "queue_item_outcome")
        while True:
            try:
                await abandon_after(self._limits.write_s, self._write_once(outcome))
            except Exception as error:
                # Safe to repeat: if the lost connection did commit the write, the fence rejects the second one.
                if not is_outage(error):
                    raise
                await backoff.sleep(error)
            else:
                if outcome is self._unwritten:
                    self._unwritten = None
                return

    async def _write_once(self, outcome: Outcome) -> None:
        match outcome:
            case Complete(state, events, also):
                await self._queue.finish(self._item, state, *events, also=also)
            case Retry(delay, reason, _, counts, also, events, deferred):
                await self._queue.retry(self._item, delay, reason, *events, counts=counts, deferred=deferred, also=also)

    async def _discard_unwritten(self) -> None:
        outcome, self._unwritten = self._unwritten, None
        if outcome is not None and outcome.discard is not None:
            # Nothing is removed unless Postgres says that the write cannot have been committed, nor will be.
            with suppress(Exception):
                await abandon_after(self._limits.discard_s, self._discard(outcome.discard))

    async def _discard(self, discard: Callable[[], Awaitable[None]]) -> None:
        if await self._queue.is_lost(self._item):
            await discard()

    async def _retract_crash(self) -> None:
        # If it fails, the item runs alone next: that costs time, and is not enough to fail it.
        with suppress(Exception):
            if await abandon_after(self._limits.discard_s, self._queue.retract_crash(self._item)):
                log.info("queue_item_crash_retracted", attempt=self._item.attempt)

    async def _release(self) -> None:
        # If it fails, the lease expires, and another worker runs the item alone.
        with suppress(Exception):
            await abandon_after(self._limits.shutdown_write_s, self._queue.release(self._item))
