"""Kafka in: jobs to do, and wishes about them."""

from faststream.kafka import KafkaBroker

from chassis.adapters.kafka.consumer import subscribe
from schemas.events import CancelRequested, JobCreated, MediaCreated
from schemas.topics import JOB_CONTROL, JOB_CREATED, MEDIA_CREATED
from worker.enqueue import JobIntake


def register(broker: KafkaBroker, intake: JobIntake | None = None) -> None:
    """Subscribes to what this service reads. Without `intake` only to describe it: documents are made so."""

    @subscribe(broker, JOB_CREATED, "thumbnailer")
    async def on_job_created(event: JobCreated) -> None:
        if intake is not None:
            await intake.accept(event.job)

    @subscribe(broker, MEDIA_CREATED, "thumbnailer")
    async def on_media_created(event: MediaCreated) -> None:
        if intake is not None:
            await intake.accept(*event.jobs)

    @subscribe(broker, JOB_CONTROL, "thumbnailer")
    async def on_cancel_requested(event: CancelRequested) -> None:
        if intake is not None:
            await intake.cancel(event.job_id)
