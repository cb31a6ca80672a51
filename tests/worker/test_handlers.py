"""Batches of Kafka events on real Postgres: what they leave in the job queue and in the outbox."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chassis.adapters.postgres import Pool, migrate, open_pool
from chassis.core.ids import new_id
from chassis.runtime.job_queue import Complete, JobQueue, QueueItem
from chassis.runtime.outbox import Outbox
from schemas.events import JobCancelled, JobCreated
from schemas.jobs import Job, Priority
from tests.services.worker_harness import queued_job
from worker.app import worker_service
from worker.handlers import JobIntake

SERVICE = worker_service("transcoder")


@pytest.fixture
async def pool(fresh_dsn: str) -> AsyncIterator[Pool]:
    await migrate(fresh_dsn, SERVICE.name, SERVICE.all_migrations)
    async with await open_pool(fresh_dsn, SERVICE.name) as opened:
        yield opened


@pytest.fixture
def intake(pool: Pool) -> JobIntake:
    async def on_cancel(item: QueueItem) -> Complete:
        job = Job.model_validate(item.payload)
        return Complete("cancelled", [JobCancelled(job=job.cancel(job.updated_at + 1))])

    return JobIntake(pool, JobQueue(pool, Outbox(pool, SERVICE.name)), ("video",), lambda *_: 7.0, on_cancel)


async def rows(pool: Pool) -> dict[str, Any]:
    return {row["id"]: row for row in await pool.fetch("SELECT * FROM job_queue")}


async def test_a_batch_of_five_hundred_is_queued_once(pool: Pool, intake: JobIntake) -> None:
    jobs = [queued_job("video", "https://example.com/a.mp4", {}) for _ in range(500)]
    await intake.enqueue([*jobs, jobs[0]])
    await intake.enqueue(jobs[100:])
    found = await rows(pool)
    assert set(found) == {job.id for job in jobs}
    row = found[jobs[0].id]
    assert (row["project"], row["kind"], row["state"], row["estimate"]) == (jobs[0].project, "video", "queued", 7.0)


async def test_jobs_of_another_kind_are_left_to_their_worker(pool: Pool, intake: JobIntake) -> None:
    await intake.enqueue([queued_job("image", "https://example.com/a.png", {})])
    assert await rows(pool) == {}


async def test_jobs_of_a_project_are_claimed_by_their_priority_and_projects_in_turn(
    pool: Pool, intake: JobIntake
) -> None:
    def made(project: str, priority: Priority) -> Job:
        job = queued_job("video", "https://example.com/a.mp4", {})
        return job.model_copy(update={"project": project, "priority": priority})

    first, other = new_id("prj"), new_id("prj")
    priorities: tuple[Priority, ...] = ("low", "normal", "high", "low", "high", "normal")
    await intake.enqueue([made(first, priority) for priority in priorities])
    await intake.enqueue([made(other, "low") for _ in range(2)])
    queue, claimed = JobQueue(pool, Outbox(pool, SERVICE.name)), []
    while (item := await queue.claim("w1")) is not None:
        claimed.append((item.project, item.payload["priority"]))
        await queue.finish(item, "done")
    assert [priority for project, priority in claimed if project == first] == [
        *("high", "high", "normal", "normal", "low", "low")
    ]
    assert {project for project, _ in claimed[:2]} == {first, other}, "the other project does not wait for high ones"
    assert {project for project, _ in claimed[2:4]} == {first, other}


async def test_metadata_keeps_its_order_in_the_queue(pool: Pool, intake: JobIntake) -> None:
    metadata = {"zebra": "1", "a": "2", "mm": "3"}
    await intake.enqueue([queued_job("video", "https://example.com/a.mp4", {}, metadata=metadata)])
    (row,) = (await rows(pool)).values()
    assert list(row["payload"]["metadata"]) == ["zebra", "a", "mm"]


async def test_cancellations_end_queued_jobs_with_one_event_each(pool: Pool, intake: JobIntake) -> None:
    jobs = [queued_job("video", "https://example.com/a.mp4", {}) for _ in range(3)]
    await intake.enqueue(jobs)
    await intake.cancel([jobs[0].id, jobs[1].id, jobs[0].id])
    await intake.cancel([jobs[0].id])
    states = {id: row["state"] for id, row in (await rows(pool)).items()}
    assert states == {jobs[0].id: "cancelled", jobs[1].id: "cancelled", jobs[2].id: "queued"}
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 2


async def test_a_job_that_is_announced_again_is_not_queued_again_and_its_end_is_published_again(
    pool: Pool, intake: JobIntake
) -> None:
    """The end's record may be lost as well as that of the job; the second has the same id."""
    open, ended = (queued_job("video", "https://example.com/a.mp4", {}) for _ in range(2))
    await intake.created([JobCreated(job=open), JobCreated(job=ended)])
    await intake.cancel([ended.id])
    before = await rows(pool)
    (end,) = await pool.fetch("DELETE FROM outbox RETURNING topic, key, value, headers")
    await intake.created([JobCreated(job=job) for job in (open, ended)])
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 0, "a redelivery is no second announcement"
    await intake.created([JobCreated(job=job, repeated=True) for job in (open, ended)])
    assert await pool.fetch("SELECT topic, key, value, headers FROM outbox") == [end]
    assert await rows(pool) == before


async def test_a_job_that_ended_before_ends_were_kept_is_left_alone(pool: Pool, intake: JobIntake) -> None:
    job = queued_job("video", "https://example.com/a.mp4", {})
    await intake.created([JobCreated(job=job)])
    await pool.execute("UPDATE job_queue SET state = 'done', finished_at = now()")
    await intake.created([JobCreated(job=job, repeated=True)])
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 0


async def test_a_job_that_ended_is_queued_for_its_next_run_and_each_run_ends_once(
    pool: Pool, intake: JobIntake
) -> None:
    job = queued_job("video", "https://example.com/a.mp4", {})
    await intake.created([JobCreated(job=job)])
    await intake.cancel([job.id])
    again = job.run_again(2, [], job.updated_at + 5)
    await intake.created([JobCreated(job=again), JobCreated(job=job)])
    row = (await rows(pool))[job.id]
    assert (row["state"], row["run"], row["payload"]["run"], row["cancel_requested"]) == ("queued", 2, 2, False)
    await intake.cancel([job.id])
    assert (await rows(pool))[job.id]["state"] == "queued", "the cancellation of the first run, again"
    await intake.created([JobCreated(job=job, repeated=True), JobCreated(job=again, repeated=True)])
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 1
    await intake.cancel([job.id], {job.id: 2})
    assert (await rows(pool))[job.id]["state"] == "cancelled"
    values = await pool.fetch("SELECT value FROM outbox ORDER BY id")
    assert [json.loads(each["value"])["job"]["run"] for each in values] == [1, 2]


async def test_the_cancellation_of_a_run_may_come_before_the_run(pool: Pool, intake: JobIntake) -> None:
    job = queued_job("video", "https://example.com/a.mp4", {})
    await intake.created([JobCreated(job=job)])
    await intake.cancel([job.id])
    await intake.cancel([job.id], {job.id: 2})
    await intake.created([JobCreated(job=job.run_again(2, [], job.updated_at + 5))])
    row = (await rows(pool))[job.id]
    assert (row["state"], row["run"]) == ("cancelled", 2)


async def test_a_cancellation_may_come_before_its_job(pool: Pool, intake: JobIntake) -> None:
    job = queued_job("video", "https://example.com/a.mp4", {})
    await intake.cancel([job.id])
    await intake.enqueue([job])
    assert (await rows(pool))[job.id]["state"] == "cancelled"


async def test_a_cancellation_of_another_project_cancels_nothing(pool: Pool, intake: JobIntake) -> None:
    """Records of `job.control` that name another project's job, before and after the job itself."""
    early, queued, own = (queued_job("video", "https://example.com/a.mp4", {}) for _ in range(3))
    other = new_id("prj")
    await intake.enqueue([queued, own])
    await intake.cancel_of_projects([(other, early.id, 1), (other, queued.id, 1), (own.project, own.id, 1)])
    await intake.enqueue([early])
    states = {id: (row["state"], row["cancel_requested"]) for id, row in (await rows(pool)).items()}
    assert states == {early.id: ("queued", False), queued.id: ("queued", False), own.id: ("cancelled", True)}
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 1


async def test_a_next_run_of_another_project_changes_no_job(pool: Pool, intake: JobIntake) -> None:
    job = queued_job("video", "https://example.com/a.mp4", {})
    await intake.created([JobCreated(job=job)])
    await intake.cancel([job.id])
    before = await rows(pool)
    forged = job.run_again(2, [], job.updated_at + 5).model_copy(update={"project": new_id("prj")})
    await intake.created([JobCreated(job=forged)])
    assert await rows(pool) == before
