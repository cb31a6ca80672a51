"""Tells which jobs are next, so that customers see the place of theirs in the queue.

Of the workers of a service one at a time reads the order of the queue, at most once a second and only while something
waits, and publishes it by the lossy publisher: a report that is lost is replaced by the next one.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from chassis.adapters.kafka.producer import LossyPublisher
from chassis.core import logs
from chassis.core.concurrency import WakeSignal
from chassis.core.retry import Backoff
from schemas.events import QueueOrdered

EVERY = timedelta(seconds=1)
IDLE = timedelta(seconds=15)
"""How soon a worker takes over from one that died while jobs waited."""

log = logs.get_logger(__name__)


class Order(Protocol):
    """The part of `chassis.runtime.job_queue.order.QueueOrder` that is used here."""

    async def read_in_turn(self, every: timedelta) -> list[str] | None: ...


class QueueReports:
    """The reports of one worker process; `added` is notified when the process has added jobs to the queue."""

    def __init__(
        self,
        order: Order,
        added: WakeSignal,
        publisher: LossyPublisher,
        service: str,
        now_ms: Callable[[], int],
        *,
        every: timedelta = EVERY,
        idle: timedelta = IDLE,
    ) -> None:
        self._order = order
        self._added = added
        self._publisher = publisher
        self._service = service
        self._now_ms = now_ms
        self._every = every
        self._idle = idle
        self._reported: list[str] = []

    async def run(self) -> None:
        """Reports until cancelled, through any outage of Postgres."""
        backoff = Backoff(log, "report_queue_order")
        while True:
            added = self._added.subscribe()
            try:
                waiting = await self._report()
            except Exception as error:  # noqa: BLE001 - Postgres may fail with any exception
                await backoff.sleep(error)
                continue
            backoff.reset()
            if waiting:
                await asyncio.sleep(self._every.total_seconds())
            elif await added.wait(self._idle):
                # Most jobs are claimed at once, and need no report.
                await asyncio.sleep(self._every.total_seconds() / 4)

    async def _report(self) -> bool:
        """Whether jobs wait, as far as this process knows."""
        ids = await self._order.read_in_turn(self._every)
        if ids is None:
            return True
        if ids or self._reported:
            self._publisher.publish(QueueOrdered(service=self._service, at=self._now_ms(), job_ids=ids))
        self._reported = ids
        return bool(ids)
