"""POST /jobs/{id}/cancel and DELETE /jobs/{id}: what is requested of the workers, and what the customer reads."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from chassis.adapters.postgres import Pool
from chassis.core.ids import new_id, now_ms
from chassis.runtime.outbox import Outbox
from schemas.api import VideoJobRequest
from schemas.events import CancelRequested, JobCancelled
from schemas.files import Output
from schemas.jobs import Job
from services.ingest import keys
from services.ingest.cancellations import Cancellations, JobEnded, UnknownJob
from services.ingest.jobs import JobWriter, new_job
from services.ingest.store import Store
from tests.services.ingest.parts import job_results
from tests.services.ingest.support import EventLog, RunningIngest
from tests.services.ingest.test_jobs_http import GOOD
from tests.support.waiting import until

PROJECT = new_id("prj")


@pytest.fixture
async def pool(fresh_dsn: str) -> AsyncIterator[Pool]:
    async with keys.database(fresh_dsn, migrate_first=True) as pool:
        yield pool


async def accepted(pool: Pool) -> Job:
    request = VideoJobRequest(input="https://example.com/a.mov", kind="video")
    job = new_job(request, id=new_id("job"), project=PROJECT, at=now_ms())
    await JobWriter(Store(pool), Outbox(pool, "ingest")).accept(job)
    return job


def cancellations(pool: Pool, *pauses_s: float) -> Cancellations:
    return Cancellations(Store(pool), Outbox(pool, "ingest"), pauses_s)


async def end(pool: Pool, job: Job) -> None:
    await job_results(pool).apply([job], now_ms())


def succeeded(job: Job) -> Job:
    file = {"id": new_id("file"), "key": "k", "kind": "video", "format": "mp4", "content_type": "video/mp4"}
    return job.succeed(Output.model_validate({**file, "path": "a.mp4", "filesize": 1}), now_ms())


@pytest.mark.parametrize(("method", "path"), [("POST", "/jobs/{}/cancel"), ("DELETE", "/jobs/{}")])
async def test_a_cancellation_is_published_and_its_end_is_the_response(
    ingest: RunningIngest, events: EventLog, method: str, path: str
) -> None:
    id = (await ingest.post("/jobs", GOOD)).body["id"]
    first = await ingest.send(method, path.format(id))
    assert (first.status, first.body) == (202, {"id": id, "status": "cancelling"})
    requested = await events.first(CancelRequested, id)
    assert (requested.job_id, requested.project) == (id, ingest.project)
    queued = Job.queued(
        id=id, project=ingest.project, kind="video", input="https://e.com/a", options={}, metadata={}, at=now_ms()
    )
    await ingest.publish(JobCancelled(job=queued.cancel(now_ms())))

    async def ended() -> bool:
        return await ingest.pool.fetchval("SELECT ended FROM jobs WHERE id = $1", id) is not None

    await until(ended)
    again = await ingest.send(method, path.format(id))
    assert (again.status, again.body) == (200, {"id": id, "status": "cancelled"})


async def test_a_job_that_has_ended_otherwise_is_refused_with_its_status(pool: Pool) -> None:
    job = await accepted(pool)
    await end(pool, succeeded(job))
    with pytest.raises(JobEnded) as refused:
        await cancellations(pool).request(job.id, PROJECT, now_ms())
    assert refused.value.status == "succeeded"
    assert await pool.fetchval("SELECT count(*) FROM outbox WHERE topic = 'job.control'") == 0


async def test_jobs_of_others_and_what_is_no_id_are_not_found(ingest: RunningIngest) -> None:
    id = (await ingest.post("/jobs", GOOD)).body["id"]
    other = await keys.create_key(ingest.pool, "stranger")
    stranger = await ingest.send("POST", f"/jobs/{id}/cancel", Authorization=f"Bearer {other.text}")
    assert (stranger.status, stranger.body["kind"]) == (404, "job_not_found")
    assert await ingest.pool.fetchval("SELECT cancel_requested_at FROM jobs WHERE id = $1", id) is None
    for id in (new_id("job"), "job_%00", "nonsense", "job_" + "a" * 5000):
        unknown = await ingest.send("DELETE", f"/jobs/{id}")
        assert (unknown.status, unknown.body["kind"]) == (404, "job_not_found"), id
    assert (await ingest.send("DELETE", "/tasks/nonsense")).body["kind"] == "task_not_found"
    assert (await ingest.send("DELETE", f"/jobs/{new_id('job')}", Authorization="")).status == 401


@pytest.mark.parametrize("status", ["cancelled", "succeeded"])
async def test_an_end_that_comes_while_the_request_waits_is_the_response(pool: Pool, status: str) -> None:
    job = await accepted(pool)
    request = asyncio.create_task(cancellations(pool, *[0.05] * 1000).request(job.id, PROJECT, now_ms()))

    async def stored() -> bool:
        return bool(await pool.fetchval("SELECT count(*) FROM outbox WHERE topic = 'job.control'"))

    await until(stored)
    await end(pool, job.cancel(now_ms()) if status == "cancelled" else succeeded(job))
    if status == "cancelled":
        assert await request == {"id": job.id, "status": "cancelled"}
    else:
        with pytest.raises(JobEnded):
            await request


async def test_a_request_that_fails_stores_nothing(pool: Pool) -> None:
    with pytest.raises(UnknownJob):
        await cancellations(pool).request(new_id("job"), PROJECT, now_ms())
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 0
