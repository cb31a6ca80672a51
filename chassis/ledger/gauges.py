"""What waits in a service, for Prometheus: the same gauges for every service that has a ledger."""

from datetime import timedelta
from typing import Protocol

from chassis import logs
from chassis.ledger.item import Counts
from chassis.metrics import gauge
from chassis.regularly import regularly

MEASURE_EVERY = timedelta(seconds=5)

log = logs.get(__name__)


class Queue(Protocol):
    """The part of `chassis.ledger.Ledger` that is measured."""

    async def counts(self) -> Counts: ...


class Outgoing(Protocol):
    """The part of `chassis.outbox.Outbox` that is measured."""

    async def backlog(self) -> int: ...

    async def quarantined(self) -> int: ...


async def measure(service: str, ledger: Queue, outbox: Outgoing, every: timedelta = MEASURE_EVERY) -> None:
    """Keeps the gauges of a service's ledger and outbox until cancelled."""
    queued = gauge("bitmill_ledger_queued", "Items that wait for a worker.").labels(service)
    running = gauge("bitmill_ledger_running", "Items that are worked on.").labels(service)
    seconds = gauge("bitmill_ledger_queued_seconds", "Estimated seconds of work that wait.").labels(service)
    backlog = gauge("bitmill_outbox_backlog", "Events that wait to be published.").labels(service)
    quarantined = gauge("bitmill_outbox_quarantined", "Events that Kafka will not take.").labels(service)

    async def look() -> None:
        counts = await ledger.counts()
        queued.set(counts.queued)
        running.set(counts.running)
        seconds.set(counts.queued_seconds)
        backlog.set(await outbox.backlog())
        quarantined.set(await outbox.quarantined())

    await regularly(look, every, log, "measuring")
