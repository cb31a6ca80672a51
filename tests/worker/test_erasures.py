"""Jobs that are purged before their retention is over: their outputs go at once, and their ids stay known."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chassis.adapters.postgres import Pool, migrate, open_pool
from chassis.adapters.storage import Storage, StorageUnavailable
from chassis.core.ids import new_id, now_ms
from chassis.runtime.job_queue import Complete, JobQueue, QueueItem
from chassis.runtime.job_queue.erasures import Erasures
from chassis.runtime.job_queue.inspection import ended_items
from chassis.runtime.outbox import Outbox
from schemas.events import JobCreated, JobPurged, JobSucceeded
from schemas.jobs import Job
from services.transcoder.app import Transcoder
from tests.chassis.adapters.storage.conftest import s3_endpoint, storage
from tests.services.catalog import factories
from worker.expired_outputs import expired_outputs
from worker.handlers import JobIntake

__all__ = ["s3_endpoint", "storage"]


class AwayStorage:
    """Deletes nothing."""

    async def delete(self, key: str) -> None:
        raise StorageUnavailable(key)


class Worker:
    """The Kafka side of a worker, and its erasures."""

    def __init__(self, pool: Pool, storage: Storage, folder: Path) -> None:
        self.pool = pool
        self.storage = storage
        self._folder = folder
        self._queue = JobQueue(pool, Outbox(pool, "transcoder"))
        self.intake = JobIntake(pool, self._queue, ("video",), lambda *_: 1.0, self._never)

    async def succeeded(self, **fields: str) -> Job:
        """A job that was worked on, with its output in the storage."""
        job = factories.queued(new_id("prj"), **fields)
        output = factories.output(job)
        file = self._folder / "output.mp4"
        file.write_bytes(b"an output")
        await self.storage.put(output.key, file, "video/mp4")
        await self.intake.created([JobCreated(job=job)])
        item = await self._queue.claim("w1")
        assert item is not None
        done = job.start(now_ms()).succeed(output, now_ms() + 1)
        await self._queue.finish(item, "done", JobSucceeded(job=done))
        return done

    async def purge(self, job: Job, *, project: str | None = None) -> None:
        await self.intake.purged([JobPurged(job_id=job.id, project=project or job.project, at=now_ms())])

    async def erase(self, storage: Storage | None = None) -> int:
        delete = expired_outputs(storage or self.storage, "transcoder").before
        return await Erasures(self.pool, self._queue, "transcoder", delete, batch=1).erase()

    async def is_stored(self, job: Job) -> bool:
        assert job.output is not None
        return await self.storage.stat(job.output.key) is not None

    async def _never(self, item: QueueItem) -> Complete:
        raise AssertionError(item.id)


@pytest.fixture
async def worker(fresh_dsn: str, storage: Storage, tmp_path: Path) -> AsyncIterator[Worker]:
    await migrate(fresh_dsn, "transcoder", Transcoder.spec.all_migrations)
    async with await open_pool(fresh_dsn, "transcoder", size=4) as pool:
        yield Worker(pool, storage, tmp_path)


async def test_the_output_of_a_purged_job_goes_and_that_of_a_media_item_stays(worker: Worker) -> None:
    alone, kept = await worker.succeeded(), await worker.succeeded()
    attached = await worker.succeeded(media_id=new_id("med"), ref="poster")
    for job in (alone, attached):
        await worker.purge(job)
    assert await worker.erase() == 2
    assert [await worker.is_stored(job) for job in (alone, kept, attached)] == [False, True, True]
    assert await worker.erase() == 0


async def test_nothing_of_a_purged_job_is_left_but_its_id_which_is_not_queued_again(worker: Worker) -> None:
    job = await worker.succeeded(input="https://example.com/private.mov")
    await worker.purge(job)
    await worker.erase()
    row = await worker.pool.fetchrow("SELECT * FROM job_queue WHERE id = $1", job.id)
    assert row is not None
    assert "private" not in str(dict(row))
    assert await ended_items(worker.pool, [job.id]) == {job.id: []}, "known to have nothing stored"
    await worker.intake.created([JobCreated(job=factories.queued(job.project, id=job.id), repeated=True)])
    assert await worker.pool.fetchval("SELECT state FROM job_queue WHERE id = $1", job.id) == "done"


async def test_a_purge_waits_for_a_storage_that_is_away(worker: Worker) -> None:
    job = await worker.succeeded()
    await worker.purge(job)
    with pytest.raises(ExceptionGroup):
        await worker.erase(AwayStorage())  # type: ignore[arg-type]
    assert await worker.erase() == 1
    assert not await worker.is_stored(job)


async def test_a_purge_of_another_project_and_of_a_job_that_has_not_ended_changes_nothing(worker: Worker) -> None:
    job = await worker.succeeded()
    await worker.purge(job, project=new_id("prj"))
    queued = factories.queued(new_id("prj"))
    await worker.intake.created([JobCreated(job=queued)])
    await worker.purge(queued)
    assert await worker.erase() == 0
    assert await worker.is_stored(job)
