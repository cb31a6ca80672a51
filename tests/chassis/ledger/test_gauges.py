"""What waits in a service can be read from its metrics."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from chassis.ledger.gauges import Outgoing, Queue, measure
from chassis.ledger.item import Counts
from chassis.metrics import exposition
from tests.chassis.ledger.conftest import Bench, event
from tests.chassis.waiting import until


def levels(service: str) -> dict[str, float]:
    """The gauges of a service, by name."""
    lines = (line.rpartition(" ") for line in exposition()[0].decode().splitlines())
    mine = f'{{service="{service}"}}'
    return {name.removesuffix(mine): float(value) for name, _, value in lines if name.endswith(mine)}


@asynccontextmanager
async def measuring(service: str, ledger: Queue, outbox: Outgoing) -> AsyncIterator[None]:
    task = asyncio.create_task(measure(service, ledger, outbox, every=timedelta(milliseconds=20)))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_waits_is_measured(bench: Bench) -> None:
    async with measuring("measured", bench.ledger, bench.outbox):
        await bench.add("a", "b", estimate_s=20)
        await bench.add("c", estimate_s=2.5)
        await bench.ledger.emit(await bench.claim(), event("a"))
        expected = {
            "bitmill_ledger_queued": 2.0,
            "bitmill_ledger_running": 1.0,
            "bitmill_ledger_queued_seconds": 22.5,
            "bitmill_outbox_backlog": 1.0,
            "bitmill_outbox_quarantined": 0.0,
        }
        await until(lambda: levels("measured") == expected)


class Away:
    """Postgres, away the first time that it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def counts(self) -> Counts:
        self.asked += 1
        if self.asked == 1:
            raise ConnectionRefusedError
        return Counts(queued=7, running=0, queued_seconds=7.0)

    async def backlog(self) -> int:
        return 0

    async def quarantined(self) -> int:
        return 0


async def test_measuring_outlives_an_outage() -> None:
    away = Away()
    async with measuring("outlived", away, away):
        await until(lambda: levels("outlived").get("bitmill_ledger_queued") == 7)
