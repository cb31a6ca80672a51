"""A worker reports which jobs are next: while some wait, once more when none does, and again after an outage."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from chassis.core.concurrency import WakeSignal
from schemas.events import Event, QueueOrdered
from tests.support.waiting import until
from worker.queue_reports import QueueReports

EVERY = timedelta(milliseconds=20)
NEVER = timedelta(hours=1)


class Order:
    """What is read in turn; an exception is raised, None is another worker's turn."""

    def __init__(self) -> None:
        self.ids: list[str] | Exception | None = []
        self.reads = 0

    async def read_in_turn(self, every: timedelta) -> list[str] | None:
        assert every == EVERY
        self.reads += 1
        if isinstance(self.ids, Exception):
            raise self.ids
        return self.ids


class Published:
    """A LossyPublisher that keeps what it gets."""

    def __init__(self) -> None:
        self.reports: list[list[str]] = []

    def publish(self, event: Event) -> None:
        assert isinstance(event, QueueOrdered) and (event.service, event.at) == ("transcoder", 7)
        self.reports.append(list(event.job_ids))


@asynccontextmanager
async def reporting(order: Order, added: WakeSignal) -> AsyncIterator[Published]:
    published = Published()
    reports = QueueReports(order, added, published, "transcoder", lambda: 7, every=EVERY, idle=NEVER)
    task = asyncio.create_task(reports.run())
    try:
        yield published
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_reports_begin_when_jobs_are_added_and_end_when_none_waits() -> None:
    order, added = Order(), WakeSignal()
    async with reporting(order, added) as published:
        await until(lambda: order.reads == 1)
        order.ids = ["job_1", "job_2"]
        added.notify()
        await until(lambda: len(published.reports) >= 3)
        order.ids = []
        await until(lambda: published.reports[-1] == [])
        reads = order.reads
        added.notify()  # a job that is claimed at once
        await until(lambda: order.reads > reads)
    assert published.reports[0] == ["job_1", "job_2"]
    assert published.reports.count([]) == 1


async def test_another_workers_turn_is_not_reported_and_an_outage_ends_nothing() -> None:
    order, added = Order(), WakeSignal()
    order.ids = None
    async with reporting(order, added) as published:
        await until(lambda: order.reads >= 3)
        assert published.reports == []
        order.ids = ConnectionError("Postgres is away")
        reads = order.reads
        await until(lambda: order.reads > reads)
        order.ids = ["job_1"]
        await until(lambda: published.reports[:1] == [["job_1"]], within=60)
