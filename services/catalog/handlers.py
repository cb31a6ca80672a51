"""Kafka in: every event becomes rows."""

from collections.abc import Sequence

from faststream.kafka import KafkaBroker

from chassis.adapters.kafka.consumer import subscribe
from schemas.events import KeyChanged, ProjectChanged
from schemas.topics import (
    JOB_CREATED,
    JOB_PROGRESS,
    JOB_RESULTS,
    KEY_CHANGED,
    MEDIA_CHANGED,
    MEDIA_CREATED,
    PROJECT_CHANGED,
)
from services.catalog.projection import Projection
from services.catalog.snapshots import (
    JobSnapshot,
    MediaSnapshot,
    NewMedia,
    PurgedJob,
    job_notice,
    job_snapshot,
    media_snapshot,
    new_media,
)


def register(broker: KafkaBroker, projection: Projection | None = None) -> None:
    """Subscribes to what this service reads. `projection` is None where the subscriptions are only documented."""

    @subscribe(broker, MEDIA_CREATED, prepare=new_media, consumers=2)
    async def on_media_created(created: Sequence[NewMedia]) -> None:
        if projection is not None:
            await projection.media_created(created)

    @subscribe(broker, MEDIA_CHANGED, prepare=media_snapshot)
    async def on_media_changed(snapshots: Sequence[MediaSnapshot]) -> None:
        if projection is not None:
            await projection.media_changed(snapshots)

    @subscribe(broker, JOB_CREATED, prepare=job_notice)
    async def on_job_created(notices: Sequence[JobSnapshot | PurgedJob]) -> None:
        if projection is not None:
            await projection.jobs([each for each in notices if isinstance(each, JobSnapshot)])
            # Afterwards: nothing follows the removal of a job.
            await projection.jobs_purged([each for each in notices if isinstance(each, PurgedJob)])

    @subscribe(broker, JOB_RESULTS, prepare=job_snapshot, consumers=2)
    async def on_job_results(snapshots: Sequence[JobSnapshot]) -> None:
        """Workers of an earlier release send progress here, too."""
        if projection is not None:
            await projection.jobs(snapshots)

    @subscribe(broker, JOB_PROGRESS, prepare=job_snapshot)
    async def on_job_progress(snapshots: Sequence[JobSnapshot]) -> None:
        if projection is not None:
            await projection.progress(snapshots)

    @subscribe(broker, KEY_CHANGED)
    async def on_key_changed(events: Sequence[KeyChanged]) -> None:
        if projection is not None:
            await projection.keys(events)

    @subscribe(broker, PROJECT_CHANGED)
    async def on_project_changed(events: Sequence[ProjectChanged]) -> None:
        if projection is not None:
            await projection.projects(events)
