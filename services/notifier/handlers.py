"""Kafka in: finished jobs become webhook deliveries."""

from collections.abc import Sequence

from faststream.kafka import KafkaBroker

from chassis.adapters.kafka.consumer import subscribe
from schemas.events import JobCancelled, JobFailed, JobSucceeded
from schemas.topics import JOB_RESULTS
from services.notifier.deliveries import DeliveryQueue


def register(broker: KafkaBroker, deliveries: DeliveryQueue) -> None:
    """Subscribes to what this service reads; `deliveries` is used only once a record arrives."""

    @subscribe(broker, JOB_RESULTS)
    async def on_job_finished(events: Sequence[JobSucceeded | JobFailed | JobCancelled]) -> None:
        await deliveries.add_for([event.job for event in events])
