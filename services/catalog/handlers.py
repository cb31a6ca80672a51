"""Kafka in: every event becomes rows."""

from collections.abc import Sequence

from faststream.kafka import KafkaBroker

from chassis.adapters.kafka.consumer import subscribe
from schemas.events import JobCreated, JobProgressed, KeyChanged, MediaCreated, ProjectChanged
from schemas.reading import EventWithJson
from schemas.topics import (
    JOB_CREATED,
    JOB_PROGRESS,
    JOB_RESULTS,
    KEY_CHANGED,
    MEDIA_CHANGED,
    MEDIA_CREATED,
    PROJECT_CHANGED,
)
from services.catalog.projection import JobResult, MediaChange, Projection


def register(broker: KafkaBroker, projection: Projection | None = None) -> None:
    """Subscribes to what this service reads. `projection` is None where the subscriptions are only documented."""

    @subscribe(broker, MEDIA_CREATED, consumers=2)
    async def on_media_created(events: Sequence[EventWithJson[MediaCreated]]) -> None:
        if projection is not None:
            await projection.media_created(events)

    @subscribe(broker, MEDIA_CHANGED)
    async def on_media_changed(events: Sequence[EventWithJson[MediaChange]]) -> None:
        if projection is not None:
            await projection.media_changed(events)

    @subscribe(broker, JOB_CREATED)
    async def on_job_created(events: Sequence[EventWithJson[JobCreated]]) -> None:
        if projection is not None:
            await projection.jobs(events)

    @subscribe(broker, JOB_RESULTS, consumers=2)
    async def on_job_results(events: Sequence[EventWithJson[JobResult | JobProgressed]]) -> None:
        """Workers of an earlier release send progress here, too."""
        if projection is not None:
            await projection.jobs(events)

    @subscribe(broker, JOB_PROGRESS)
    async def on_job_progress(events: Sequence[EventWithJson[JobProgressed]]) -> None:
        if projection is not None:
            await projection.progress(events)

    @subscribe(broker, KEY_CHANGED)
    async def on_key_changed(events: Sequence[KeyChanged]) -> None:
        if projection is not None:
            await projection.keys(events)

    @subscribe(broker, PROJECT_CHANGED)
    async def on_project_changed(events: Sequence[ProjectChanged]) -> None:
        if projection is not None:
            await projection.projects(events)
