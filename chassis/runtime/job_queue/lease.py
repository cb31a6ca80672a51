"""How long a claim is held, how it is renewed, and when the lease of another worker counts as expired."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

from chassis.core import logs
from chassis.core.concurrency import WakeSignal, abandon_after
from chassis.core.retry import Backoff
from chassis.runtime.job_queue.item import QueueItem, Renewal

LEASE = timedelta(seconds=15)
"""How long the item of a killed worker waits for another. Shorter means more heartbeats."""
SUSPECT_PAUSE = timedelta(seconds=15)
"""How much longer it waits after a second crash; twice that after a third, four times after further ones."""
HEARTBEAT_EVERY = 1 / 3
"""Of a lease; as are the next two."""
HEARTBEAT_TIMEOUT = 1 / 5
HEARTBEAT_LONGEST_PAUSE = 1 / 15
"""After a failed heartbeat."""
NEVER = datetime(9999, 1, 1, tzinfo=UTC)
_SHORTEST_GAP = timedelta(seconds=2.5)

StopReason: TypeAlias = Literal["lost", "cancelled"]

log = logs.get_logger(__name__)


class PostgresContact:
    """When Postgres last responded to this process, and since when without a gap, by Postgres' clock.

    A lease can expire while its worker runs: Postgres or the network was away, the process was suspended, or Postgres'
    clock was set. Every process sees a gap then. For a grace period after the gap no process claims items with expired
    leases, so that the running workers can renew theirs. A worker that has noticed nothing, because only the clock was
    set, sends its next heartbeat when that is due anyway: so the period is the time between two heartbeats and the
    timeout of one. After an outage a timeout and a short pause are enough. A claim that was sent before
    the gap and executed after it claims nothing: it is valid for as long as a gap may be (`valid_until`). An outage
    that is shorter than a gap cannot make a lease expire.
    """

    def __init__(self, lease: timedelta) -> None:
        # A worker without a free slot sends only heartbeats, a third of a lease apart.
        self._longest_gap = max(0.4 * lease, _SHORTEST_GAP)
        self._grace = lease * (HEARTBEAT_EVERY + HEARTBEAT_TIMEOUT)
        self._heartbeat_timeout = lease * HEARTBEAT_TIMEOUT
        self._since: datetime | None = None
        self._last: datetime | None = None

    def responded(self, at: datetime, took: timedelta = timedelta(0)) -> None:
        """Postgres responded after `took`, and its clock showed `at`.

        A clock that was set back counts as a gap as well. So does a response that took longer than a heartbeat may:
        leases run out then although their workers live.
        """
        gap = self._last is None or at < self._last or at - self._last > self._longest_gap
        if gap or took >= self._heartbeat_timeout:
            self._since = at
        self._last = at

    def is_established(self) -> bool:
        """Whether the grace period is over: items with expired leases can be claimed."""
        return self._last is not None and self._since is not None and self._last - self._since >= self._grace

    def valid_until(self) -> datetime:
        """When a claim that is sent now becomes invalid."""
        return NEVER if self._last is None else self._last + self._longest_gap


class HeldLease:
    """The lease of an item that is worked on, as far as this process knows."""

    def __init__(self, item: QueueItem, lease: timedelta) -> None:
        self.item = item
        self.ends = time.monotonic() + lease.total_seconds()
        self.stopped: asyncio.Future[StopReason] = asyncio.get_running_loop().create_future()
        """Why the work is to stop. The lease is not renewed any more."""

    def overdue_s(self) -> float:
        """For how many seconds the lease has been over; not positive while it is held."""
        return time.monotonic() - self.ends


class Heartbeats:
    """Renews the leases of all items that a worker has, in one statement, however many they are and however few
    connections there are.

    `renew` has a result for each item: one that another worker has claimed, or that is to be cancelled, stops, and the
    others go on. Only a response of Postgres stops an item, never an error. One whose row is locked, probably by its
    own end, is asked for again soon. `cancelled` is notified when an item may have been cancelled: heartbeats are then
    sent at once.
    """

    def __init__(
        self,
        renew: Callable[[Sequence[QueueItem]], Coroutine[Any, Any, Sequence[Renewal]]],
        cancelled: WakeSignal,
        lease: timedelta,
    ) -> None:
        self._renew = renew
        self._cancelled = cancelled
        self._lease = lease
        self._held: set[HeldLease] = set()

    @contextmanager
    def of(self, lease: HeldLease) -> Iterator[None]:
        """Renews the lease inside the block."""
        self._held.add(lease)
        try:
            yield
        finally:
            self._held.discard(lease)

    async def run(self) -> None:
        """Sends heartbeats until cancelled."""
        pause = self._lease * HEARTBEAT_EVERY
        backoff = Backoff(
            log, "queue_item_heartbeat", longest_s=(self._lease * HEARTBEAT_LONGEST_PAUSE).total_seconds()
        )
        while True:
            subscription = self._cancelled.subscribe()
            if not backoff.failures:
                await subscription.wait(pause)
            try:
                all_renewed = await self._renew_all()
            except Exception as error:  # noqa: BLE001 - the leases are renewed once Postgres is back
                await backoff.sleep(error)
                continue
            backoff.reset()
            pause = self._lease * (HEARTBEAT_EVERY if all_renewed else HEARTBEAT_LONGEST_PAUSE)

    async def _renew_all(self) -> bool:
        """Whether every lease that is still held has been renewed."""
        held = list(self._held)
        if not held:
            return True
        timeout_s = (self._lease * HEARTBEAT_TIMEOUT).total_seconds()
        sent = time.monotonic()
        results = await abandon_after(timeout_s, self._renew([each.item for each in held]))
        for each, result in zip(held, results, strict=True):
            if result == "held":
                each.ends = sent + self._lease.total_seconds()
            elif result != "locked":
                self._held.discard(each)
                each.stopped.set_result(result)
        return all(result != "locked" or each not in self._held for each, result in zip(held, results, strict=True))
