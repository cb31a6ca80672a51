"""POST /jobs/{id}/retry: which jobs run again, what is announced, and which ends count."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from chassis.adapters.kafka import codec
from chassis.adapters.postgres import Pool
from chassis.core.ids import new_id, now_ms
from chassis.runtime.job_queue import JobQueue
from chassis.runtime.outbox import Outbox
from schemas.api import VideoJobRequest
from schemas.events import CancelRequested, Event, JobCreated, JobFailed
from schemas.faults import Fault
from schemas.files import File
from schemas.ids import derived
from schemas.jobs import EarlierRun, Job
from schemas.topics import TOPICS
from services.ingest import keys
from services.ingest.announcements import Announcements
from services.ingest.cancellations import Cancellations, UnknownJob
from services.ingest.jobs import JobWriter, new_job
from services.ingest.retries import JobNotFailed, TooManyRuns
from services.ingest.store import Store
from tests.services.ingest.parts import inputs, job_results, retries
from tests.services.ingest.support import EventLog, RunningIngest
from tests.services.ingest.test_job_results import active_item, succeeded
from tests.services.ingest.test_jobs_http import GOOD
from tests.support.waiting import until

PROJECT = new_id("prj")
FAULT = Fault(kind="input_empty", message="The input has no bytes.")
_TOPICS = {topic.name: topic for topic in TOPICS}


@pytest.fixture
async def pool(fresh_dsn: str) -> AsyncIterator[Pool]:
    async with keys.database(fresh_dsn, migrate_first=True) as pool:
        yield pool


async def accepted(pool: Pool) -> Job:
    request = VideoJobRequest(input="https://example.com/a.mov", kind="video", metadata={"z": "1", "a": "2"})
    job = new_job(request, id=new_id("job"), project=PROJECT, at=now_ms())
    await JobWriter(Store(pool), Outbox(pool, "ingest")).accept(job)
    return job


async def retry(pool: Pool, job: Job) -> Job:
    return await retries(pool).request(job.id, PROJECT, now_ms())


async def end(pool: Pool, job: Job) -> None:
    await job_results(pool).apply([job], now_ms())


async def ended(pool: Pool, job: Job) -> str | None:
    found: str | None = await pool.fetchval("SELECT ended FROM jobs WHERE id = $1", job.id)
    return found


async def published(pool: Pool) -> list[Event]:
    """What is in the outbox, which becomes empty."""
    rows = await pool.fetch("DELETE FROM outbox RETURNING topic, headers, value")
    events = []
    for row in rows:
        headers = [(name, text.encode()) for name, text in row["headers"]]
        event = codec.decode(_TOPICS[row["topic"]], headers, row["value"])
        assert isinstance(event, Event)
        events.append(event)
    return events


async def test_a_failed_job_is_announced_for_its_next_run_with_how_it_ended(
    ingest: RunningIngest, events: EventLog
) -> None:
    first = (await ingest.post("/jobs", GOOD)).body
    created = (await events.first(JobCreated, first["id"])).job
    early = await ingest.send("POST", f"/jobs/{first['id']}/retry")
    assert (early.status, early.body["kind"]) == (409, "job_not_failed")
    started = created.start(now_ms())
    failed = started.fail(FAULT, now_ms() + 1)
    await ingest.publish(JobFailed(job=failed))

    async def known() -> bool:
        return await ended(ingest.pool, created) == "failed"

    await until(known)
    response = await ingest.send("POST", f"/jobs/{first['id']}/retry")
    assert response.status == 200
    body = response.body
    changed = {"updated_at": body["updated_at"], "run": 2, "earlier_runs": body["earlier_runs"]}
    assert body == first | changed, "the same job, queued"
    (earlier,) = body["earlier_runs"]
    assert earlier == {
        "run": 1,
        "status": "failed",
        "error": {"kind": "input_empty", "message": "The input has no bytes."},
        "started_at": started.started_at,
        "finished_at": failed.finished_at,
    }
    assert body["updated_at"] > failed.updated_at

    async def announced() -> list[Job] | None:
        found = [event.job for event in events.of(created.id) if isinstance(event, JobCreated)]
        return found if len(found) > 1 else None

    _, again = await until(announced)
    assert again == created.run_again(2, [EarlierRun(**earlier)], body["updated_at"])
    repeated = await ingest.send("POST", f"/jobs/{first['id']}/retry")
    assert (repeated.status, repeated.body["kind"]) == (409, "job_not_failed")


async def test_jobs_of_others_and_what_is_no_id_are_not_found(ingest: RunningIngest) -> None:
    id = (await ingest.post("/jobs", GOOD)).body["id"]
    await ingest.pool.execute("UPDATE jobs SET ended = 'failed', ended_at = 1 WHERE id = $1", id)
    other = await keys.create_key(ingest.pool, "stranger of retries")
    stranger = await ingest.send("POST", f"/jobs/{id}/retry", Authorization=f"Bearer {other.text}")
    assert (stranger.status, stranger.body["kind"]) == (404, "job_not_found")
    for unknown in (new_id("job"), "nonsense", "job_" + "a" * 5000):
        assert (await ingest.send("POST", f"/jobs/{unknown}/retry")).status == 404
    assert (await ingest.send("POST", "/tasks/nonsense/retry")).body["kind"] == "task_not_found"
    assert (await ingest.send("POST", f"/jobs/{id}/retry", Authorization="")).status == 401
    assert await ingest.pool.fetchval("SELECT run FROM jobs WHERE id = $1", id) == 1


async def test_of_many_requests_at_a_time_one_begins_a_run(pool: Pool) -> None:
    job = await accepted(pool)
    await end(pool, job.fail(FAULT, now_ms()))
    found = await asyncio.gather(*(retry(pool, job) for _ in range(8)), return_exceptions=True)
    assert [each.run for each in found if isinstance(each, Job)] == [2]
    assert sum(isinstance(each, JobNotFailed) for each in found) == 7
    assert len([event for event in await published(pool) if isinstance(event, JobCreated) and event.job.run == 2]) == 1


async def test_what_has_succeeded_does_not_run_again(pool: Pool) -> None:
    job = await accepted(pool)
    await pool.execute("UPDATE jobs SET ended = 'succeeded', ended_at = 1 WHERE id = $1", job.id)
    with pytest.raises(JobNotFailed) as refused:
        await retry(pool, job)
    assert refused.value.status == "succeeded"
    with pytest.raises(UnknownJob):
        await retries(pool).request(job.id, new_id("prj"), now_ms())


async def test_each_run_has_one_end_and_ends_of_earlier_runs_change_nothing(pool: Pool) -> None:
    job = await accepted(pool)
    first = job.start(now_ms()).fail(FAULT, now_ms())
    await end(pool, first)
    second = await retry(pool, job)
    await end(pool, first)
    assert await ended(pool, job) is None, "the end of the first run came again"
    await end(pool, second.cancel(now_ms()))
    await end(pool, second.fail(FAULT, now_ms()))
    assert await ended(pool, job) == "cancelled", "the first end of the run stays"
    third = await retry(pool, job)
    assert [(run.run, run.status, run.error) for run in third.earlier_runs] == [
        (1, "failed", FAULT),
        (2, "cancelled", None),
    ]


async def test_a_run_is_cancelled_and_announced_again_as_what_it_is(pool: Pool) -> None:
    job = await accepted(pool)
    cancellations = Cancellations(Store(pool), Outbox(pool, "ingest"), ())
    await cancellations.request(job.id, PROJECT, now_ms())
    await end(pool, job.cancel(now_ms()))
    second = await retry(pool, job)
    await published(pool)
    await pool.execute("UPDATE jobs SET announced_at = now() - interval '1 hour'")
    outbox = Outbox(pool, "ingest")
    announcements = Announcements(Store(pool), JobQueue(pool, outbox), outbox, inputs(pool), [timedelta(minutes=1)])
    await announcements.repeat()
    assert await published(pool) == [JobCreated(job=second, repeated=True)], "the first run's cancellation is over"
    await cancellations.request(job.id, PROJECT, 7)
    assert await published(pool) == [CancelRequested(job_id=job.id, project=PROJECT, at=7, run=2)]


async def test_a_job_of_before_the_migration_runs_again_without_the_cause(pool: Pool) -> None:
    job = await accepted(pool)
    await pool.execute("UPDATE jobs SET ended = 'failed', ended_at = 5 WHERE id = $1", job.id)
    again = await retry(pool, job)
    assert again.earlier_runs == [EarlierRun(run=1, status="failed", finished_at=5)]


async def test_a_job_runs_so_many_times_at_most(pool: Pool) -> None:
    job = await accepted(pool)
    await end(pool, job.fail(FAULT, now_ms()))
    await end(pool, (await retry(pool, job)).fail(FAULT, now_ms()))
    with pytest.raises(TooManyRuns):
        await retries(pool, max_runs=2).request(job.id, PROJECT, now_ms())


async def test_the_poster_of_an_item_is_attached_by_a_later_run(pool: Pool) -> None:
    item = await active_item(pool, PROJECT)
    assert isinstance(item.original, File)
    poster = Job.queued(
        id=derived("job", item.id, "poster"),
        project=PROJECT,
        kind="image",
        input="i",
        options={"format": "jpeg"},
        metadata={},
        at=3,
        media_id=item.id,
        ref="poster",
        source=item.original,
    )
    store = Store(pool)
    async with store.transaction() as conn:
        await store.add_jobs(conn, [poster])
    await end(pool, poster.fail(FAULT, 4))
    again = await retry(pool, poster)
    assert (again.media_id, again.ref, again.source, again.run) == (item.id, "poster", item.original, 2)
    output = succeeded(item, "poster").output
    assert output is not None
    await end(pool, again.succeed(output, now_ms()))
    changed = await store.media_item(item.id)
    assert changed is not None and [each.ref for each in changed.files] == ["poster"]
