"""What waits in a service, for Prometheus: the same gauges for every service that has a queue."""

from datetime import timedelta
from typing import Protocol

from chassis.core import logs
from chassis.core.metrics import gauge
from chassis.core.retry import run_periodically
from chassis.runtime.job_queue.item import Counts
from chassis.runtime.outbox import OutboxCounts

MEASURE_EVERY = timedelta(seconds=5)

log = logs.get_logger(__name__)


class Queue(Protocol):
    """The part of `chassis.runtime.job_queue.JobQueue` that is measured."""

    async def counts(self) -> Counts: ...


class Outgoing(Protocol):
    """The part of `chassis.runtime.outbox.Outbox` that is measured."""

    async def counts(self) -> OutboxCounts: ...


async def measure(service: str, queue: Queue, outbox: Outgoing, every: timedelta = MEASURE_EVERY) -> None:
    """Keeps the gauges of a service's queue and outbox until cancelled."""
    queued = gauge("bitmill_job_queue_queued", "Items that wait for a worker.").labels(service)
    running = gauge("bitmill_job_queue_running", "Items that are worked on.").labels(service)
    seconds = gauge("bitmill_job_queue_queued_seconds", "Estimated seconds of work that wait.").labels(service)
    backlog = gauge("bitmill_outbox_backlog", "Events that wait to be published.").labels(service)
    quarantined = gauge("bitmill_outbox_quarantined", "Events that Kafka will not take.").labels(service)

    async def look() -> None:
        counts = await queue.counts()
        queued.set(counts.queued)
        running.set(counts.running)
        seconds.set(counts.queued_seconds)
        outgoing = await outbox.counts()
        backlog.set(outgoing.backlog)
        quarantined.set(outgoing.quarantined)

    await run_periodically(look, every, log, "measuring")
