"""Jobs that are removed for good: their rows and names go, and no event that comes later brings them back."""

import asyncio

import pytest

from chassis.core.ids import new_id
from schemas.events import JobCreated, JobEvent, JobProgressed, JobSucceeded
from schemas.jobs import Job
from services.catalog.filters import jobs_query
from services.catalog.snapshots import PurgedJob
from tests.services.catalog import factories
from tests.services.catalog.conftest import Tables


def life(project: str, **fields: str) -> list[JobEvent]:
    """The events of a job that succeeds."""
    job = factories.queued(project, at=factories.OLD_MS, **fields)
    started = job.start(factories.OLD_MS + 1)
    return [
        JobCreated(job=job),
        JobProgressed(job=started),
        JobSucceeded(job=started.succeed(factories.output(job), factories.OLD_MS + 2)),
    ]


async def project_all(tables: Tables, events: list[JobEvent]) -> Job:
    await tables.projection.jobs(factories.prepared(events))
    return events[-1].job


async def names(tables: Tables, project: str) -> list[str]:
    rows = await tables.pool.fetch("SELECT path FROM files WHERE project = $1", project)
    return [row["path"] for row in rows]


async def test_a_purged_job_and_the_name_of_its_output_are_gone(tables: Tables, project: str) -> None:
    job, other = await project_all(tables, life(project)), await project_all(tables, life(project))
    await tables.projection.jobs_purged([PurgedJob(job.id, project)])
    assert await tables.queries.job(job.id, project) is None
    assert job.output is not None and other.output is not None
    assert await tables.queries.file(project, job.output.path) is None
    assert await tables.queries.file(project, other.output.path) is not None
    page, _ = await tables.queries.jobs(project, jobs_query([("metadata.user_id", "123")]))
    assert page.ids == [other.id]
    heard = await tables.pool.fetch("SELECT DISTINCT job_id FROM job_events WHERE project = $1", project)
    assert [row["job_id"] for row in heard] == [other.id]


async def test_the_file_of_a_media_item_stays(tables: Tables, project: str) -> None:
    job = await project_all(tables, life(project, media_id=new_id("med"), ref="poster"))
    await tables.projection.jobs_purged([PurgedJob(job.id, project)])
    assert await tables.queries.job(job.id, project) is None
    assert job.output is not None
    assert await names(tables, project) == [job.output.path]


@pytest.mark.parametrize("read_before", range(4))
async def test_events_that_are_read_after_the_purge_bring_nothing_back(
    tables: Tables, project: str, read_before: int
) -> None:
    events = life(project)
    job = events[0].job
    await tables.projection.jobs(factories.prepared(events[:read_before]))
    for _ in range(2):
        await tables.projection.jobs_purged([PurgedJob(job.id, project)])
        await tables.projection.jobs(factories.prepared(events))
    assert await tables.queries.job(job.id, project) is None
    assert await names(tables, project) == []


async def test_a_purge_in_the_name_of_another_project_changes_nothing(tables: Tables, project: str) -> None:
    job = await project_all(tables, life(project))
    await tables.projection.jobs_purged([PurgedJob(job.id, new_id("prj"))])
    assert await tables.queries.job(job.id, project) is not None
    late = life(project)
    await tables.projection.jobs_purged([PurgedJob(late[0].job.id, new_id("prj"))])
    await project_all(tables, late)
    assert await tables.queries.job(late[0].job.id, project) is not None


async def test_a_purge_and_the_events_of_the_job_at_the_same_time_leave_nothing(tables: Tables, project: str) -> None:
    for _ in range(20):
        events = life(project)
        await asyncio.gather(
            tables.projection.jobs(factories.prepared(events[:1])),
            tables.projection.jobs_purged([PurgedJob(events[0].job.id, project)]),
            tables.projection.jobs(factories.prepared(events[2:])),
        )
    rows = await tables.pool.fetchval("SELECT count(*) FROM jobs WHERE project = $1", project)
    assert rows == 0
    assert await names(tables, project) == []
