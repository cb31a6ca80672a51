"""One claimed item, from the claim to the row's next state.

The outcome is decided first (by the service's functions), written last (by the ledger, fenced). In between the lease
is renewed; who cannot prove the lease any longer stops the work, because another worker may have begun it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from chassis import logs
from chassis.http.outages import is_outage
from chassis.ledger.item import Done, Heartbeat, Item, Later, LeaseLost, Outcome
from chassis.ledger.ledger import Ledger
from chassis.outage import Outage
from chassis.patience import within

BACKOFF = (timedelta(seconds=1), timedelta(seconds=5), timedelta(seconds=25))
"""Between attempts that failed by our own fault."""
LAST_RESORT = timedelta(seconds=60)
"""When even the closing of a hopeless item fails: it must neither spin nor be forgotten."""
WRITE_SECONDS = 30.0
"""For one try at writing an outcome, on a connection that may hang; then comes the next."""
GOODBYE_SECONDS = 2.0
"""At shutdown: for writing what is already decided, or for giving the lease back."""
POISONED = "poisoned"

log = logs.get(__name__)


@dataclass(frozen=True)
class Handlers:
    """What a service does with its items: see `Runner`."""

    work: Callable[[Item], Awaitable[Outcome]]
    exhausted: Callable[[Item, str], Awaitable[Done]]
    on_cancel: Callable[[Item], Awaitable[Done]]


class _CancelWanted(Exception):
    """A customer no longer wants this item."""


async def carry_out(ledger: Ledger, handlers: Handlers, item: Item, claimed_at: float) -> None:
    """Never raises but when cancelled, and then the item is back in the queue. `claimed_at`: `time.monotonic()`."""
    with logs.bound(project=item.project, **{_field(item.id): item.id}):
        try:
            await _attempt(ledger, handlers, item, claimed_at)
        except asyncio.CancelledError:
            await _release(ledger, item)
            raise
        except LeaseLost as lost:
            log.warning("lease lost, nothing written", attempt=item.attempt, reason=str(lost))
        except Exception:
            log.exception("an item could be neither finished nor retried", attempt=item.attempt)
            with suppress(Exception):
                await ledger.retry(item, LAST_RESORT, "could not be closed")


async def _attempt(ledger: Ledger, handlers: Handlers, item: Item, claimed_at: float) -> None:
    try:
        outcome = await _decide(ledger, handlers, item, claimed_at)
        await _settle(ledger, item, outcome)
    except LeaseLost:
        raise
    except Exception as error:
        log.exception("attempt failed", attempt=item.attempt, of=ledger.max_attempts)
        reason = f"{type(error).__name__}: {error}"
        await _settle(ledger, item, await _tolerated(ledger, handlers, item, Later(_backoff(item), reason)))


async def _decide(ledger: Ledger, handlers: Handlers, item: Item, claimed_at: float) -> Outcome:
    if item.cancelled:
        return await handlers.on_cancel(item)
    if item.attempt > ledger.max_attempts:
        return await handlers.exhausted(item, POISONED)
    try:
        outcome = await _watched(ledger, handlers, item, claimed_at)
    except _CancelWanted:
        return await handlers.on_cancel(item)
    return outcome if isinstance(outcome, Done) else await _tolerated(ledger, handlers, item, outcome)


async def _tolerated(ledger: Ledger, handlers: Handlers, item: Item, later: Later) -> Outcome:
    """Another attempt, or the end where there were enough."""
    if item.attempt < ledger.max_attempts:
        return later
    return await handlers.exhausted(item, later.reason)


async def _watched(ledger: Ledger, handlers: Handlers, item: Item, claimed_at: float) -> Outcome:
    """The work, as long as the lease holds and nobody cancels it."""
    work = asyncio.ensure_future(handlers.work(item))
    heart = asyncio.create_task(_beat(ledger, item, claimed_at))
    try:
        await asyncio.wait([work, heart], return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            work.cancel()
            await asyncio.wait([work])
            if heart.result() == "lost":
                raise LeaseLost(item)
            if work.cancelled() or work.exception() is not None:
                raise _CancelWanted
            # It was done in the very moment in which it was cancelled: what is done is done.
        return work.result()
    finally:
        heart.cancel()
        work.cancel()
        await asyncio.gather(work, heart, return_exceptions=True)


async def _beat(ledger: Ledger, item: Item, proven_at: float) -> Heartbeat:
    """Renews the lease until it is lost or the item is cancelled. A lease that cannot be renewed in time is lost."""
    lease = ledger.lease.total_seconds()
    outage = Outage(log, "heartbeat", longest_s=lease / 6)
    while True:
        heard = ledger.cancelled.listen()
        if not outage.failures:
            await heard.within(ledger.lease / 3)
        began = time.monotonic()
        left = proven_at + lease - began
        try:
            verdict = await within(left, ledger.heartbeat(item))
        except Exception as error:  # noqa: BLE001 - whatever it is, the lease was not renewed
            if proven_at + lease <= time.monotonic():
                return "lost"
            await outage.pause(error, at_most_s=proven_at + lease - time.monotonic())
            continue
        outage.over()
        if verdict != "held":
            return verdict
        proven_at = began


async def _settle(ledger: Ledger, item: Item, outcome: Outcome) -> None:
    """Writes the outcome, however long Postgres is away; a shutdown waits for it, but not for long."""
    writing = asyncio.create_task(_write(ledger, item, outcome))
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        await asyncio.wait([writing], timeout=GOODBYE_SECONDS)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        raise


async def _write(ledger: Ledger, item: Item, outcome: Outcome) -> None:
    outage = Outage(log, "writing an outcome")
    while True:
        try:
            match outcome:
                case Done(state, events, also):
                    await within(WRITE_SECONDS, ledger.finish(item, state, *events, also=also))
                case Later(delay, reason):
                    await within(WRITE_SECONDS, ledger.retry(item, delay, reason))
            return
        except LeaseLost:
            raise
        except Exception as error:
            # Repeating it is safe: if the lost connection took a commit with it, the fence says so.
            if not is_outage(error):
                raise
            await outage.pause(error)


async def _release(ledger: Ledger, item: Item) -> None:
    try:
        await within(GOODBYE_SECONDS, ledger.release(item))
    except Exception as error:  # noqa: BLE001 - the lease runs out by itself
        log.warning("lease not given back", reason=f"{type(error).__name__}: {error}")


def _backoff(item: Item) -> timedelta:
    return BACKOFF[min(item.attempt, len(BACKOFF)) - 1]


def _field(item_id: str) -> str:
    """The log field of an item: the one that its kind of id has everywhere."""
    return {"job": "job_id", "task": "job_id", "med": "media_id"}.get(item_id.partition("_")[0], "item_id")
