"""The outputs of jobs whose retention is over, on a real Postgres and both kinds of storage."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from chassis.adapters.postgres import Pool, migrate, open_pool
from chassis.adapters.storage import Storage, StorageUnavailable
from chassis.core.ids import new_id, now_ms
from chassis.runtime.job_queue import JobQueue
from chassis.runtime.outbox import Outbox
from chassis.runtime.purge import Purger
from schemas.events import JobFailed, JobSucceeded
from schemas.faults import Fault
from schemas.jobs import Job
from services.transcoder.app import Transcoder
from tests.chassis.adapters.storage.conftest import s3_endpoint, storage
from tests.services.catalog import factories
from worker.expired_outputs import expired_outputs

__all__ = ["s3_endpoint", "storage"]


class AwayStorage:
    """Deletes nothing."""

    async def delete(self, key: str) -> None:
        raise StorageUnavailable(key)


@pytest.fixture
async def pool(fresh_dsn: str) -> AsyncIterator[Pool]:
    await migrate(fresh_dsn, "transcoder", Transcoder.spec.all_migrations)
    async with await open_pool(fresh_dsn, "transcoder", size=4) as opened:
        yield opened


async def ended(pool: Pool, job: Job, event: JobSucceeded | JobFailed) -> None:
    """A row of a job that ended long ago."""
    queue = JobQueue(pool, Outbox(pool, "transcoder"))
    async with pool.acquire() as conn:
        await queue.add(conn, id=job.id, project=job.project, kind="video", payload=job.model_dump(mode="json"))
    item = await queue.claim("w1")
    assert item is not None
    await queue.finish(item, "done" if isinstance(event, JobSucceeded) else "failed", event)
    await pool.execute("UPDATE job_queue SET finished_at = now() - interval '100 days' WHERE id = $1", job.id)


async def stored(storage: Storage, tmp_path: Path, pool: Pool, **fields: str) -> str:
    """The key of the output of a job that succeeded long ago."""
    job = factories.queued(new_id("prj"), **fields)
    output = factories.output(job)
    file = tmp_path / "output.mp4"
    file.write_bytes(b"an output")
    await storage.put(output.key, file, "video/mp4")
    await ended(pool, job, JobSucceeded(job=job.start(now_ms()).succeed(output, now_ms() + 1)))
    return output.key


def purger(pool: Pool, storage: Storage) -> Purger:
    hooks = {"job_queue": expired_outputs(storage, "transcoder")}
    return Purger(pool, "transcoder", Transcoder.spec.all_retention, lambda _: timedelta(days=90), hooks=hooks)


async def test_the_output_of_a_job_goes_with_it_and_that_of_a_media_item_stays(
    storage: Storage, tmp_path: Path, pool: Pool
) -> None:
    alone = await stored(storage, tmp_path, pool)
    attached = await stored(storage, tmp_path, pool, media_id=new_id("med"), ref="poster")
    failed = factories.queued(new_id("prj"))
    fault = Fault(kind="input_empty", message="no bytes")
    await ended(pool, failed, JobFailed(job=failed.start(now_ms()).fail(fault, now_ms() + 1)))
    assert (await purger(pool, storage).purge())["job_queue"] == 3
    assert await storage.stat(alone) is None
    assert await storage.stat(attached) is not None


async def test_a_job_is_remembered_until_its_output_could_be_deleted(
    storage: Storage, tmp_path: Path, pool: Pool
) -> None:
    key = await stored(storage, tmp_path, pool)
    away = {"job_queue": expired_outputs(AwayStorage(), "transcoder")}  # type: ignore[arg-type]
    retention = Transcoder.spec.all_retention
    await Purger(pool, "transcoder", retention, lambda _: timedelta(days=90), hooks=away).purge()
    assert await pool.fetchval("SELECT count(*) FROM job_queue") == 1
    await purger(pool, storage).purge()
    assert await pool.fetchval("SELECT count(*) FROM job_queue") == 0
    assert await storage.stat(key) is None
