"""What ingest forgets after its retention, on a real Postgres."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from chassis.adapters.postgres import Pool
from chassis.core.ids import new_id, now_ms
from chassis.runtime.outbox import Outbox
from chassis.runtime.purge import PurgeLimits, Purger
from schemas.api import VideoJobRequest
from schemas.jobs import Job
from services.ingest import keys
from services.ingest.app import RETENTION
from services.ingest.idempotency import IdempotencyKey
from services.ingest.jobs import JobWriter, new_job
from services.ingest.store import Store

KEEP = timedelta(days=20)


@pytest.fixture
async def pool(fresh_dsn: str) -> AsyncIterator[Pool]:
    async with keys.database(fresh_dsn, migrate_first=True) as pool:
        yield pool


async def purge(pool: Pool) -> dict[str, int]:
    return await Purger(pool, "ingest", RETENTION, lambda _: KEEP, limits=PurgeLimits(rows=2)).purge()


async def accept(pool: Pool) -> Job:
    request = VideoJobRequest(input="https://example.com/a.mov", kind="video")
    job = new_job(request, id=new_id("job"), project=new_id("prj"), at=1000)
    await JobWriter(Store(pool), Outbox(pool, "ingest")).accept(job)
    return job


async def test_jobs_go_some_time_after_their_end_and_never_before_it(pool: Pool) -> None:
    old = [await accept(pool) for _ in range(5)]
    young, without_end = await accept(pool), await accept(pool)
    for job, days in [*((job, 21) for job in old), (young, 19)]:
        ended_at = now_ms() - days * 24 * 3600 * 1000
        await pool.execute("UPDATE jobs SET ended = 'succeeded', ended_at = $2 WHERE id = $1", job.id, ended_at)
    assert (await purge(pool))["jobs"] == 5
    left = {row["id"] for row in await pool.fetch("SELECT id FROM jobs")}
    assert left == {young.id, without_end.id}


async def test_idempotency_keys_go_once_they_have_expired(pool: Pool) -> None:
    store = Store(pool)
    for name, expires_in_ms in (("old-1", -3), ("old-2", -2), ("old-3", -1), ("valid", 3_600_000)):
        key = IdempotencyKey("/jobs", name, b"fingerprint", now_ms() + expires_in_ms)
        async with store.transaction() as conn:
            await store.use_key(conn, key, project="prj_a", resource_id="job_a", at=now_ms(), response=None)
    assert (await purge(pool))["idempotency_keys"] == 3
    assert [row["key"] for row in await pool.fetch("SELECT key FROM idempotency_keys")] == ["valid"]
