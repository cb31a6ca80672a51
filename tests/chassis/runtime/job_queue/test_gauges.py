"""What waits in a service can be read from its metrics."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from chassis.core.metrics import exposition
from chassis.runtime.job_queue.gauges import Outgoing, Queue, measure
from chassis.runtime.job_queue.item import Counts
from chassis.runtime.outbox import OutboxCounts
from tests.chassis.runtime.job_queue.conftest import QueueFixture, event
from tests.support.waiting import until


def levels(service: str) -> dict[str, float]:
    """The gauges of a service, by name."""
    lines = (line.rpartition(" ") for line in exposition()[0].decode().splitlines())
    mine = f'{{service="{service}"}}'
    return {name.removesuffix(mine): float(value) for name, _, value in lines if name.endswith(mine)}


@asynccontextmanager
async def measuring(service: str, queue: Queue, outbox: Outgoing) -> AsyncIterator[None]:
    task = asyncio.create_task(measure(service, queue, outbox, every=timedelta(milliseconds=20)))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_waits_is_measured(fixture: QueueFixture) -> None:
    async with measuring("measured", fixture.queue, fixture.outbox):
        await fixture.add("a", "b", estimate_s=20)
        await fixture.add("c", estimate_s=2.5)
        await fixture.queue.emit(await fixture.claim(), event("a"))
        expected = {
            "bitmill_job_queue_queued": 2.0,
            "bitmill_job_queue_running": 1.0,
            "bitmill_job_queue_queued_seconds": 22.5,
            "bitmill_outbox_backlog": 1.0,
            "bitmill_outbox_quarantined": 0.0,
        }
        await until(lambda: levels("measured") == expected)


class FailsOnce:
    """A queue whose first query fails."""

    def __init__(self) -> None:
        self.asked = 0

    async def counts(self) -> Counts:
        self.asked += 1
        if self.asked == 1:
            raise ConnectionRefusedError
        return Counts(queued=7, running=0, queued_seconds=7.0, running_seconds=0.0)


class EmptyOutbox:
    async def counts(self) -> OutboxCounts:
        return OutboxCounts(0, 0)


async def test_measuring_outlives_an_outage() -> None:
    async with measuring("outlived", FailsOnce(), EmptyOutbox()):
        await until(lambda: levels("outlived").get("bitmill_job_queue_queued") == 7)


async def test_the_queries_of_the_autoscaler_give_the_seconds_of_queued_work(fixture: QueueFixture) -> None:
    text = (Path(__file__).parents[4] / "deploy/kubernetes/scaling.yaml").read_text(encoding="utf-8")
    queries = re.findall(r'query: "(.*)"', text)
    assert len(queries) == 2
    await fixture.add("a", "b", estimate_s=20)
    for query in queries:
        assert await fixture.pool.fetchval(re.sub(r"(transcoder|thumbnailer)\.", "", query)) == 40
