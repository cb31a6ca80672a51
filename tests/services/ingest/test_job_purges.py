"""DELETE /jobs/{id}?purge=true, and the retention of a project: what is removed, what the other services are told."""

from collections.abc import AsyncIterator

import pytest

from chassis.adapters.postgres import Pool
from chassis.core.ids import new_id, now_ms
from chassis.runtime.outbox import Outbox
from schemas.events import JobFailed, JobPurged
from services.ingest import keys
from services.ingest.job_purges import JobPurges
from services.ingest.projects import DEFAULT, set_project
from services.ingest.store import Store
from tests.services.ingest.support import EventLog, RunningIngest
from tests.services.ingest.test_jobs_http import GOOD
from tests.services.ingest.test_retries import FAULT
from tests.services.ingest.test_retries import published as taken
from tests.support.waiting import until

DAY_S = 24 * 3600
ENDED = """
    INSERT INTO jobs (id, project, request, created_at, ended, ended_at)
    SELECT $1 || n, $1, '{}', 0, 'succeeded', $3 FROM generate_series(1, $2::integer) AS n
"""


@pytest.fixture
async def pool(fresh_dsn: str) -> AsyncIterator[Pool]:
    async with keys.database(fresh_dsn, migrate_first=True) as pool:
        yield pool


async def ended_job(ingest: RunningIngest, events: EventLog) -> str:
    """The id of a job that has failed."""
    id: str = (await ingest.post("/jobs", GOOD)).body["id"]
    await end(ingest, events, id)
    return id


async def end(ingest: RunningIngest, events: EventLog, id: str) -> None:
    """Has a job fail."""
    created = await until(lambda: next(iter(events.of(id)), None), within=60)
    await ingest.publish(JobFailed(job=created.job.start(now_ms()).fail(FAULT, now_ms() + 1)))

    async def ended() -> bool:
        return await ingest.pool.fetchval("SELECT ended FROM jobs WHERE id = $1", id) is not None

    await until(ended)


async def test_a_job_that_has_ended_is_removed_and_the_others_are_told(ingest: RunningIngest, events: EventLog) -> None:
    id = await ended_job(ingest, events)
    other = await keys.create_key(ingest.pool, "purges what is not its own")
    stranger = await ingest.send("DELETE", f"/jobs/{id}?purge=true", Authorization=f"Bearer {other.text}")
    assert (stranger.status, stranger.body["kind"]) == (404, "job_not_found")
    response = await ingest.send("DELETE", f"/jobs/{id}?purge=true")
    assert (response.status, response.body) == (200, {"id": id, "status": "purged"})
    purged = await events.first(JobPurged, id)
    assert purged.project == ingest.project
    again = await ingest.send("DELETE", f"/jobs/{id}?purge=true")
    assert (again.status, again.body["kind"]) == (404, "job_not_found")
    assert (await ingest.send("POST", f"/jobs/{id}/retry")).status == 404
    assert [type(event) for event in events.of(id)].count(JobPurged) == 1


async def test_a_job_that_has_not_ended_is_not_removed(ingest: RunningIngest) -> None:
    id = (await ingest.post("/jobs", GOOD)).body["id"]
    early = await ingest.send("DELETE", f"/jobs/{id}?purge=true")
    assert (early.status, early.body["kind"]) == (409, "job_not_ended")
    assert await ingest.pool.fetchval("SELECT cancel_requested_at FROM jobs WHERE id = $1", id) is None
    task = await ingest.send("DELETE", f"/tasks/{new_id('task')}?purge=true")
    assert (task.status, task.body["kind"]) == (404, "task_not_found")


async def test_any_other_value_of_purge_is_refused(ingest: RunningIngest) -> None:
    id = (await ingest.post("/jobs", GOOD)).body["id"]
    unclear = await ingest.send("DELETE", f"/jobs/{id}?purge=yes")
    assert (unclear.status, unclear.fields) == (400, {"purge"})
    assert (await ingest.send("DELETE", f"/jobs/{id}?purge=false")).status == 202, "cancelled"


async def test_a_project_may_keep_its_jobs_for_a_shorter_time(pool: Pool) -> None:
    short, usual = [(await keys.create_key(pool, name)).key.project for name in ("short", "usual")]
    now = now_ms()
    for project in (short, usual):
        await pool.execute(ENDED, project, 5, now - 3 * DAY_S * 1000)
    await pool.execute("UPDATE jobs SET ended_at = $1 WHERE id = $2", now, f"{short}5")
    await pool.execute("UPDATE jobs SET ended = NULL, ended_at = NULL WHERE id = $1", f"{short}4")
    purges = JobPurges(Store(pool), Outbox(pool, "ingest"), batch=2)
    assert await purges.expired() == 0, "nobody has a retention of its own"
    await set_project(pool, short, retain_jobs_s=2 * DAY_S)
    await pool.execute("DELETE FROM outbox")
    assert await purges.expired() == 3
    left = {row["id"] for row in await pool.fetch("SELECT id FROM jobs")}
    assert left == {f"{short}4", f"{short}5", *(f"{usual}{n}" for n in range(1, 6))}
    rows = await pool.fetch("SELECT convert_from(key, 'UTF8') AS key FROM outbox WHERE topic = 'job.created'")
    assert sorted(row["key"] for row in rows) == [f"{short}{n}" for n in (1, 2, 3)]
    await set_project(pool, short, retain_jobs_s=DEFAULT)
    await pool.execute("UPDATE jobs SET ended_at = 0 WHERE ended IS NOT NULL")
    assert await purges.expired() == 0, "the installation's again"


async def test_nothing_expires_while_kafka_is_behind(pool: Pool) -> None:
    project = (await keys.create_key(pool, "short")).key.project
    await pool.execute(ENDED, project, 3, 0)
    await set_project(pool, project, retain_jobs_s=DAY_S)
    assert await JobPurges(Store(pool), Outbox(pool, "ingest"), max_unpublished=0).expired() == 0
    assert await taken(pool)
    assert await JobPurges(Store(pool), Outbox(pool, "ingest"), max_unpublished=0).expired() == 3
