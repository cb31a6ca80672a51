"""Kafka in: everything that happened becomes rows."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from faststream.kafka import KafkaBroker

from chassis.adapters.kafka.consumer import subscribe
from chassis.adapters.kafka.errors import Rejected
from schemas.events import JobCreated, JobProgressed, KeyChanged, MediaCreated
from schemas.topics import JOB_CREATED, JOB_PROGRESS, JOB_RESULTS, KEY_CHANGED, MEDIA_CHANGED, MEDIA_CREATED
from services.catalog.projection import JobResults, MediaChanges, Projection


def register(broker: KafkaBroker, projection: Projection | None = None) -> None:
    """Subscribes to what this service reads. Without `projection` only to describe it: documents are made so."""

    @subscribe(broker, MEDIA_CREATED, "catalog")
    async def on_media_created(event: MediaCreated) -> None:
        if projection is not None:
            with _unstorable_rejected():
                await projection.media_created(event)

    @subscribe(broker, MEDIA_CHANGED, "catalog")
    async def on_media_changed(event: MediaChanges) -> None:
        if projection is not None:
            with _unstorable_rejected():
                await projection.media_changed(event)

    @subscribe(broker, JOB_CREATED, "catalog")
    async def on_job_created(event: JobCreated) -> None:
        if projection is not None:
            with _unstorable_rejected():
                await projection.job(event)

    @subscribe(broker, JOB_RESULTS, "catalog")
    async def on_job_result(event: JobResults) -> None:
        if projection is not None:
            with _unstorable_rejected():
                await projection.job(event)

    @subscribe(broker, JOB_PROGRESS, "catalog")
    async def on_job_progress(event: JobProgressed) -> None:
        if projection is not None:
            with _unstorable_rejected():
                await projection.job(event)

    @subscribe(broker, KEY_CHANGED, "catalog")
    async def on_key_changed(event: KeyChanged) -> None:
        if projection is not None:
            with _unstorable_rejected():
                await projection.key(event)


@contextmanager
def _unstorable_rejected() -> Iterator[None]:
    """Values that no column holds (a number beyond 64 bits, U+0000) go to the dead letters: again is no better."""
    try:
        yield
    except (asyncpg.DataError, asyncpg.ProgramLimitExceededError) as error:
        raise Rejected(f"cannot be stored: {error}") from error
