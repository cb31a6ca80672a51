"""A reader that goes on after the last job it has seen misses none, while two replicas project jobs in any order."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random

import pytest

from chassis.adapters.postgres import open_pool
from chassis.core.ids import new_id
from schemas.events import JobCreated, JobProgressed, JobSucceeded
from schemas.jobs import Job
from services.catalog.app import SPEC
from services.catalog.filters import jobs_query
from services.catalog.projection import Projection
from services.catalog.store import Store
from tests.services.catalog import factories
from tests.services.catalog.conftest import Tables

JOBS = 300


async def page(tables: Tables, project: str, **query: str) -> list[str]:
    """The ids of one page."""
    _, jobs = await tables.queries.jobs(project, jobs_query(list(query.items())))
    return [job.id for job in jobs]


async def all_ids(tables: Tables, project: str, order: str) -> list[str]:
    ids: list[str] = []
    while found := await page(tables, project, order=order, limit="100", **({"after": ids[-1]} if ids else {})):
        ids += found
    return ids


@asynccontextmanager
async def replicas(dsn: str, count: int) -> AsyncIterator[Sequence[Projection]]:
    """Projections with connections of their own."""
    pools = [await open_pool(dsn, SPEC.name, size=4) for _ in range(count)]
    try:
        yield [Projection(Store(pool), lambda names: None) for pool in pools]
    finally:
        for pool in pools:
            await pool.close()


def batches_of(jobs: Sequence[Job], random: Random) -> list[list[Job]]:
    """The jobs in batches, as partitions deliver them: each in order, all of them interleaved and some twice."""
    partitions: list[list[Job]] = [[] for _ in range(6)]
    for job in jobs:
        random.choice(partitions).append(job)
    batches = []
    for partition in partitions:
        while partition:
            size = random.randint(1, 12)
            batches.append(partition[:size])
            partition[:size] = []
    random.shuffle(batches)
    return batches + random.sample(batches, len(batches) // 4)


@pytest.mark.parametrize("seed", range(5))
async def test_a_reader_that_follows_sees_every_job_once_in_the_order_of_the_list(
    tables: Tables, database_url: str, project: str, seed: int
) -> None:
    random = Random(seed)
    jobs = [factories.queued(project) for _ in range(JOBS)]
    batches = batches_of(jobs, random)
    seen: list[str] = []
    done = asyncio.Event()

    async def follow() -> None:
        while True:
            ended = done.is_set()
            after = {"after": seen[-1]} if seen else {}
            found = await page(tables, project, order="asc", limit="7", **after)
            seen.extend(found)
            if ended and not found:
                return

    async def project_some(projection: Projection) -> None:
        while batches:
            batch = batches.pop()
            await projection.jobs(factories.prepared([JobCreated(job=job) for job in batch]))
            if random.random() < 0.3:
                # Results and progress of known jobs move nothing; a result may also come before its job.
                later = random.choice(jobs)
                half, end = later.start(later.created_at + 1), factories.snapshots(later)[-1]
                await projection.progress(factories.prepared([JobProgressed(job=half)]))
                await projection.jobs(factories.prepared([JobSucceeded(job=end)]))

    reading = asyncio.create_task(follow())
    async with replicas(database_url, 2) as both:
        await asyncio.gather(*(project_some(each) for each in both for _ in range(3)))
    done.set()
    await asyncio.wait_for(reading, 60)
    assert sorted(seen) == sorted(job.id for job in jobs), "every job, and each once"
    assert await all_ids(tables, project, "asc") == seen
    assert await all_ids(tables, project, "desc") == seen[::-1]


async def test_a_position_is_visible_before_any_higher_one(tables: Tables, database_url: str, project: str) -> None:
    first, second = factories.queued(project), factories.queued(project)
    async with replicas(database_url, 2) as (one, other):
        pool = tables.pool
        async with pool.acquire() as connection, connection.transaction():
            # As a replica that has given a position and not committed yet.
            await connection.execute("INSERT INTO job_positions VALUES ($1, 1)", project)
            waiting = asyncio.create_task(one.jobs(factories.prepared([JobCreated(job=first)])))
            # Another project's jobs do not wait for it.
            elsewhere = factories.queued(new_id("prj"))
            await asyncio.wait_for(other.jobs(factories.prepared([JobCreated(job=elsewhere)])), 60)
            assert not waiting.done()
        await asyncio.wait_for(waiting, 60)
        await other.jobs(factories.prepared([JobCreated(job=second)]))
    rows = await tables.pool.fetch("SELECT id, position FROM jobs WHERE project = $1 ORDER BY position", project)
    assert [tuple(row) for row in rows] == [(first.id, 2), (second.id, 3)]


async def test_jobs_of_a_batch_are_in_the_order_of_their_ids(tables: Tables, project: str) -> None:
    jobs = [factories.queued(project, id=factories.old_id("task" if n % 2 else "job", n)) for n in range(20)]
    await tables.projection.jobs(factories.prepared([JobCreated(job=job) for job in jobs[::-1]]))
    ids = [job.id for job in jobs]
    assert await page(tables, project, order="asc", limit="100") == ids
    assert await page(tables, project, order="desc", after=ids[5]) == ids[4::-1]
    assert await page(tables, project, order="asc", after=ids[5], before=ids[9]) == ids[6:9]
    assert await page(tables, project, order="desc", before=ids[9], limit="2") == ids[11:9:-1]


async def test_a_job_that_comes_late_follows_those_that_were_seen(tables: Tables, project: str) -> None:
    jobs = [factories.queued(project, id=factories.old_id("job", n)) for n in range(3)]
    for job in (jobs[1], jobs[2]):
        await tables.projection.jobs(factories.prepared([JobCreated(job=job)]))
    await tables.projection.jobs(factories.prepared([JobCreated(job=jobs[0])]))
    assert await page(tables, project, order="asc", after=jobs[2].id) == [jobs[0].id]
    await tables.projection.jobs(factories.prepared([JobSucceeded(job=factories.snapshots(jobs[1])[-1])]))
    assert await page(tables, project, order="asc", after=jobs[2].id) == [jobs[0].id], "a change moves no job"


async def test_an_id_that_is_not_in_the_list_leaves_out_nothing_that_follows_it(tables: Tables, project: str) -> None:
    jobs = [factories.queued(project, id=factories.old_id("job", 10 * n)) for n in range(5)]
    for job in jobs:
        await tables.projection.jobs(factories.prepared([JobCreated(job=job)]))
    between, after_all, before_all = (factories.old_id("job", at) for at in (15, 1000, -1000))
    ids = [job.id for job in jobs]
    assert await page(tables, project, order="asc", after=between) == ids[2:]
    assert await page(tables, project, order="asc", before=between) == ids[:2]
    assert await page(tables, project, order="desc", after=between) == ids[1::-1]
    assert await page(tables, project, order="asc", after=after_all) == []
    assert await page(tables, project, order="asc", after=before_all) == ids
    assert await page(tables, project, order="desc", after=before_all) == []
    assert await page(tables, new_id("prj"), order="asc", after=ids[0]) == []


async def test_jobs_of_before_positions_keep_the_order_of_their_ids_and_come_first(
    tables: Tables, project: str
) -> None:
    old = [factories.queued(project, id=factories.old_id("job", n)) for n in range(4)]
    await tables.projection.jobs(factories.prepared([JobCreated(job=job) for job in old]))
    await tables.pool.execute("UPDATE jobs SET position = 0 WHERE project = $1", project)
    new = factories.queued(project, id=factories.old_id("job", -5))
    await tables.projection.jobs(factories.prepared([JobCreated(job=new)]))
    ids = [job.id for job in (*old, new)]
    assert await page(tables, project, order="asc", limit="2") == ids[:2]
    assert await page(tables, project, order="asc", after=ids[1]) == ids[2:]
    assert await page(tables, project, order="desc", after=ids[2]) == ids[1::-1]


async def test_rows_of_a_process_of_the_previous_release_get_positions(tables: Tables, project: str) -> None:
    # Its statement, without the column.
    insert = """
    INSERT INTO jobs (id, project, kind, status, input, rank, updated_at, job)
    VALUES ($1, $2, 'video', 'queued', 'u', 0, 1, $3::json)
    """
    jobs = [factories.queued(project) for _ in range(3)]
    await tables.projection.jobs(factories.prepared([JobCreated(job=jobs[0])]))
    await tables.pool.execute(insert, jobs[1].id, project, jobs[1].model_dump(mode="json"))
    await tables.projection.jobs(factories.prepared([JobCreated(job=jobs[2])]))
    rows = await tables.pool.fetch("SELECT id FROM jobs WHERE project = $1 ORDER BY position", project)
    assert [row["id"] for row in rows] == [job.id for job in jobs]
