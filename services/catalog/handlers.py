"""Kafka in: everything that happened becomes rows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import asyncpg
from faststream.kafka import KafkaBroker

from chassis.adapters.kafka.consumer import subscribe
from chassis.adapters.kafka.errors import RecordRejected
from schemas.events import JobCreated, JobProgressed, KeyChanged, MediaCreated
from schemas.topics import JOB_CREATED, JOB_PROGRESS, JOB_RESULTS, KEY_CHANGED, MEDIA_CHANGED, MEDIA_CREATED
from services.catalog.projection import JobResults, MediaChanges, Projection


def register(broker: KafkaBroker, projection: Projection | None = None) -> None:
    """Subscribes to what this service reads. Without `projection` only to describe it: documents are made so."""

    @subscribe(broker, MEDIA_CREATED)
    async def on_media_created(events: Sequence[MediaCreated]) -> None:
        for event in events:
            if projection is not None:
                with _unstorable_rejected():
                    await projection.media_created(event)

    @subscribe(broker, MEDIA_CHANGED)
    async def on_media_changed(events: Sequence[MediaChanges]) -> None:
        for event in events:
            if projection is not None:
                with _unstorable_rejected():
                    await projection.media_changed(event)

    @subscribe(broker, JOB_CREATED)
    async def on_job_created(events: Sequence[JobCreated]) -> None:
        for event in events:
            if projection is not None:
                with _unstorable_rejected():
                    await projection.job(event)

    @subscribe(broker, JOB_RESULTS)
    async def on_job_result(events: Sequence[JobResults]) -> None:
        for event in events:
            if projection is not None:
                with _unstorable_rejected():
                    await projection.job(event)

    @subscribe(broker, JOB_PROGRESS)
    async def on_job_progress(events: Sequence[JobProgressed]) -> None:
        for event in events:
            if projection is not None:
                with _unstorable_rejected():
                    await projection.job(event)

    @subscribe(broker, KEY_CHANGED)
    async def on_key_changed(events: Sequence[KeyChanged]) -> None:
        for event in events:
            if projection is not None:
                with _unstorable_rejected():
                    await projection.key(event)


@contextmanager
def _unstorable_rejected() -> Iterator[None]:
    """Values that no column holds (a number beyond 64 bits, U+0000) go to the dead letters: again is no better."""
    try:
        yield
    except (asyncpg.DataError, asyncpg.ProgramLimitExceededError) as error:
        raise RecordRejected(f"cannot be stored: {error}") from error
