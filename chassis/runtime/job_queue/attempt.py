"""One claimed item, from the claim to the row's next state.

The outcome is decided first (by the service's functions), written last (by the queue, fenced). In between the lease
is renewed; who cannot prove the lease any longer stops the work, because another worker may have begun it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from chassis.adapters.failure_policy import is_outage
from chassis.core import logs
from chassis.core.concurrency import abandon_after
from chassis.core.retry import Backoff
from chassis.runtime.job_queue.item import Complete, Heartbeat, LeaseLost, Outcome, QueueItem, Retry
from chassis.runtime.job_queue.queue import JobQueue

BACKOFF = (timedelta(seconds=1), timedelta(seconds=5), timedelta(seconds=25))
"""Between attempts that failed by our own fault."""
LAST_RESORT = timedelta(seconds=60)
"""When even the closing of a hopeless item fails: it must neither spin nor be forgotten."""
WRITE_SECONDS = 30.0
"""For one try at writing an outcome, on a connection that may hang; then comes the next."""
SHUTDOWN_WRITE_SECONDS = 2.0
"""At shutdown: for writing what is already decided, or for giving the lease back."""
POISONED = "poisoned"

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class Handlers:
    """What a service does with its items: see `Runner`."""

    work: Callable[[QueueItem], Awaitable[Outcome]]
    exhausted: Callable[[QueueItem, str], Awaitable[Complete]]
    on_cancel: Callable[[QueueItem], Awaitable[Complete]]


class _CancelWanted(Exception):
    """A customer no longer wants this item."""


async def execute(queue: JobQueue, handlers: Handlers, item: QueueItem, claimed_at: float) -> None:
    """Never raises but when cancelled, and then the item is back in the queue. `claimed_at`: `time.monotonic()`."""
    with logs.bind_context(project=item.project, **{_field(item.id): item.id}):
        try:
            await _attempt(queue, handlers, item, claimed_at)
        except asyncio.CancelledError:
            await _release(queue, item)
            raise
        except LeaseLost as lost:
            log.warning("lease lost, nothing written", attempt=item.attempt, reason=str(lost))
        except Exception:
            log.exception("an item could be neither finished nor retried", attempt=item.attempt)
            with suppress(Exception):
                await queue.retry(item, LAST_RESORT, "could not be closed")


async def _attempt(queue: JobQueue, handlers: Handlers, item: QueueItem, claimed_at: float) -> None:
    try:
        outcome = await _decide(queue, handlers, item, claimed_at)
        await _record_outcome(queue, item, outcome)
    except LeaseLost:
        raise
    except Exception as error:
        log.exception("attempt failed", attempt=item.attempt, of=queue.max_attempts)
        reason = f"{type(error).__name__}: {error}"
        await _record_outcome(queue, item, await _retry_or_fail(queue, handlers, item, Retry(_backoff(item), reason)))


async def _decide(queue: JobQueue, handlers: Handlers, item: QueueItem, claimed_at: float) -> Outcome:
    if item.cancelled:
        return await handlers.on_cancel(item)
    if item.attempt > queue.max_attempts:
        return await handlers.exhausted(item, POISONED)
    try:
        outcome = await _watched(queue, handlers, item, claimed_at)
    except _CancelWanted:
        return await handlers.on_cancel(item)
    return outcome if isinstance(outcome, Complete) else await _retry_or_fail(queue, handlers, item, outcome)


async def _retry_or_fail(queue: JobQueue, handlers: Handlers, item: QueueItem, later: Retry) -> Outcome:
    """Another attempt, or the end where there were enough."""
    if item.attempt < queue.max_attempts:
        return later
    return await handlers.exhausted(item, later.reason)


async def _watched(queue: JobQueue, handlers: Handlers, item: QueueItem, claimed_at: float) -> Outcome:
    """The work, as long as the lease holds and nobody cancels it."""
    work = asyncio.ensure_future(handlers.work(item))
    heartbeat = asyncio.create_task(_heartbeat_loop(queue, item, claimed_at))
    try:
        await asyncio.wait([work, heartbeat], return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            work.cancel()
            await asyncio.wait([work])
            if heartbeat.result() == "lost":
                raise LeaseLost(item)
            if work.cancelled() or work.exception() is not None:
                raise _CancelWanted
            # It was done in the very moment in which it was cancelled: what is done is done.
        return work.result()
    finally:
        heartbeat.cancel()
        work.cancel()
        await asyncio.gather(work, heartbeat, return_exceptions=True)


async def _heartbeat_loop(queue: JobQueue, item: QueueItem, proven_at: float) -> Heartbeat:
    """Renews the lease until it is lost or the item is cancelled. A lease that cannot be renewed in time is lost."""
    lease = queue.lease.total_seconds()
    backoff = Backoff(log, "heartbeat", longest_s=lease / 6)
    while True:
        subscription = queue.cancelled.subscribe()
        if not backoff.failures:
            await subscription.wait(queue.lease / 3)
        began = time.monotonic()
        left = proven_at + lease - began
        try:
            verdict = await abandon_after(left, queue.heartbeat(item))
        except Exception as error:  # noqa: BLE001 - whatever it is, the lease was not renewed
            if proven_at + lease <= time.monotonic():
                return "lost"
            await backoff.sleep(error, at_most_s=proven_at + lease - time.monotonic())
            continue
        backoff.reset()
        if verdict != "held":
            return verdict
        proven_at = began


async def _record_outcome(queue: JobQueue, item: QueueItem, outcome: Outcome) -> None:
    """Writes the outcome, however long Postgres is away; a shutdown waits for it, but not for long."""
    writing = asyncio.create_task(_write(queue, item, outcome))
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        await asyncio.wait([writing], timeout=SHUTDOWN_WRITE_SECONDS)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        raise


async def _write(queue: JobQueue, item: QueueItem, outcome: Outcome) -> None:
    backoff = Backoff(log, "writing an outcome")
    while True:
        try:
            match outcome:
                case Complete(state, events, also):
                    await abandon_after(WRITE_SECONDS, queue.finish(item, state, *events, also=also))
                case Retry(delay, reason):
                    await abandon_after(WRITE_SECONDS, queue.retry(item, delay, reason))
            return
        except LeaseLost:
            raise
        except Exception as error:
            # Repeating it is safe: if the lost connection took a commit with it, the fence says so.
            if not is_outage(error):
                raise
            await backoff.sleep(error)


async def _release(queue: JobQueue, item: QueueItem) -> None:
    try:
        await abandon_after(SHUTDOWN_WRITE_SECONDS, queue.release(item))
    except Exception as error:  # noqa: BLE001 - the lease runs out by itself
        log.warning("lease not given back", reason=f"{type(error).__name__}: {error}")


def _backoff(item: QueueItem) -> timedelta:
    return BACKOFF[min(item.attempt, len(BACKOFF)) - 1]


def _field(item_id: str) -> str:
    """The log field of an item: the one that its kind of id has everywhere."""
    return {"job": "job_id", "task": "job_id", "med": "media_id"}.get(item_id.partition("_")[0], "item_id")
