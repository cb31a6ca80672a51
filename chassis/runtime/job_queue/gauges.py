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


async def set_gauges(service: str, queue: Queue, outbox: Outgoing) -> None:
    """Measures a service's job queue and outbox once."""
    counts, outgoing = await queue.counts(), await outbox.counts()
    for name, help, value in (
        ("bitmill_job_queue_queued", "Items that wait for a worker.", counts.queued),
        ("bitmill_job_queue_running", "Items that are worked on.", counts.running),
        ("bitmill_job_queue_queued_seconds", "Estimated seconds of work that wait.", counts.queued_seconds),
        ("bitmill_outbox_backlog", "Events that wait to be published.", outgoing.backlog),
        ("bitmill_outbox_quarantined", "Events that Kafka refuses.", outgoing.quarantined),
    ):
        gauge(name, help).labels(service).set(value)


async def measure(service: str, queue: Queue, outbox: Outgoing, every: timedelta = MEASURE_EVERY) -> None:
    """Keeps the gauges until cancelled."""
    await run_periodically(lambda: set_gauges(service, queue, outbox), every, log, "queue gauges")
