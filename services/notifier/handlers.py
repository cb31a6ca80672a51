"""Kafka in: finished jobs become delivery rows."""

from faststream.kafka import KafkaBroker

from chassis.adapters.kafka.consumer import subscribe
from schemas.events import JobCancelled, JobFailed, JobSucceeded
from schemas.topics import JOB_RESULTS
from services.notifier.delivery import JobIntake


def register(broker: KafkaBroker, intake: JobIntake) -> None:
    """Subscribes to what this service reads; `intake` is not touched before a record arrives."""

    @subscribe(broker, JOB_RESULTS, "notifier")
    async def on_job_finished(event: JobSucceeded | JobFailed | JobCancelled) -> None:
        await intake.take(event.job)
