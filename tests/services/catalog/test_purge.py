"""What the catalog forgets after its retention, and what it keeps, on a real Postgres."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from chassis.adapters.postgres import Pool, migrate, open_pool
from chassis.core.ids import new_id, now_ms
from chassis.runtime.purge import Purger
from schemas.events import JobCreated, JobSucceeded, MediaCreated, MediaDeleted
from schemas.ids import typeid, uuid7
from schemas.jobs import Job
from services.catalog.app import RETENTION, SPEC
from services.catalog.projection import Projection
from services.catalog.store import Store
from tests.services.catalog import factories

KEEP = timedelta(days=8)
DAY_MS = 24 * 3600 * 1000


@dataclass(frozen=True)
class Tables:
    """The catalog's, in a database of the test's own: others would be purged as well."""

    pool: Pool
    projection: Projection


@pytest.fixture
async def tables(fresh_dsn: str) -> AsyncIterator[Tables]:
    await migrate(fresh_dsn, SPEC.name, SPEC.all_migrations)
    async with await open_pool(fresh_dsn, SPEC.name, size=4) as pool:
        yield Tables(pool, Projection(Store(pool), lambda names: None))


async def add(tables: Tables, *jobs: Job) -> None:
    events = [JobCreated(job=job) if job.status == "queued" else JobSucceeded(job=job) for job in jobs]
    await tables.projection.jobs(factories.prepared(events))


def ended(project: str, *, created_days_ago: float, ended_days_ago: float, **fields: object) -> Job:
    at = factories.OLD_MS
    id = typeid("job", uuid7(now_ms() - int(created_days_ago * DAY_MS), b"0123456789"))
    job = factories.queued(project, id=id, at=at, **fields)
    end = now_ms() - int(ended_days_ago * DAY_MS)
    return job.start(at + 1).succeed(factories.output(job), end)


async def purge(tables: Tables) -> dict[str, int]:
    return await Purger(tables.pool, "catalog", RETENTION, lambda _: KEEP).purge()


async def test_a_job_and_the_name_of_its_output_go_some_time_after_its_end(tables: Tables) -> None:
    project = new_id("prj")
    old = ended(project, created_days_ago=10, ended_days_ago=9)
    just_ended = ended(project, created_days_ago=11, ended_days_ago=1)
    waiting = factories.queued(project, id=typeid("job", uuid7(now_ms() - 20 * DAY_MS, b"abcdefghij")))
    await add(tables, old, just_ended, waiting)
    purged = await purge(tables)
    assert (purged["jobs"], purged["files"]) == (1, 1)
    rows = await tables.pool.fetch("SELECT id FROM jobs WHERE project = $1", project)
    assert {row["id"] for row in rows} == {just_ended.id, waiting.id}
    owners = await tables.pool.fetch("SELECT owner FROM files WHERE project = $1", project)
    assert [row["owner"] for row in owners] == [just_ended.id]


async def test_the_files_of_a_media_item_outlive_the_jobs_that_made_them(tables: Tables) -> None:
    project = new_id("prj")
    item = factories.item(project)
    await tables.projection.media_created(factories.prepared([MediaCreated(media=item, jobs=[])]))
    poster = ended(project, created_days_ago=10, ended_days_ago=9, media_id=item.id, ref="poster")
    await add(tables, poster)
    before = await tables.pool.fetch("SELECT path FROM files WHERE project = $1 ORDER BY path", project)
    assert (await purge(tables))["jobs"] == 1
    after = await tables.pool.fetch("SELECT path FROM files WHERE project = $1 ORDER BY path", project)
    assert len(after) == 2 and after == before


async def test_the_mark_of_a_deleted_item_goes_with_all_its_names_and_items_stay(tables: Tables) -> None:
    project = new_id("prj")
    kept, gone = factories.item(project), factories.item(project)
    await tables.projection.media_created(
        factories.prepared([MediaCreated(media=item, jobs=[]) for item in (kept, gone)])
    )
    await add(tables, ended(project, created_days_ago=1, ended_days_ago=0, media_id=gone.id, ref="poster"))
    deleted = gone.model_copy(update={"version": 2, "status": "deleted"})
    await tables.projection.media_changed(factories.prepared([MediaDeleted(media=deleted)]))
    assert (await purge(tables))["media"] >= 1
    rows = await tables.pool.fetch("SELECT id FROM media WHERE project = $1", project)
    assert [row["id"] for row in rows] == [kept.id]
    names = await tables.pool.fetch("SELECT owner FROM files WHERE project = $1", project)
    assert [row["owner"] for row in names] == [kept.id]


async def test_progress_still_updates_the_row_of_a_job_in_place(tables: Tables) -> None:
    """An index of a column that progress changes would make each report write to all indexes."""
    rows = await tables.pool.fetch(
        """
        SELECT indexdef FROM pg_indexes WHERE schemaname = 'catalog' AND tablename = 'jobs'
        """
    )
    assert not [row["indexdef"] for row in rows if "updated_at" in row["indexdef"] or "(job" in row["indexdef"]]
