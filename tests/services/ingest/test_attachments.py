"""Jobs whose output becomes a file of a media item: exactly one file for each job, whatever happens meanwhile."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from chassis.adapters.postgres import Pool
from chassis.core.ids import now_ms
from schemas.events import CancelRequested, JobCreated, MediaCreated, MediaDeleted, MediaEvent
from schemas.faults import Fault
from schemas.ids import derived
from schemas.media import MediaItem, label_of
from services.ingest import keys
from services.ingest.inputs import MAX_FILES, InputRefused
from services.ingest.store import Store
from tests.services.ingest.parts import BASE, accept, end, media_changes, published, retries, with_output
from tests.services.ingest.test_inputs import PROJECT, another_waits, end_import, imported
from tests.support.waiting import until

INPUT = "https://example.com/b.mp4"


@pytest.fixture
async def pool(fresh_dsn: str) -> AsyncIterator[Pool]:
    async with keys.database(fresh_dsn, migrate_first=True) as pool:
        yield pool


async def item_of(pool: Pool, id: str) -> MediaItem:
    item = await Store(pool).media_item(id)
    assert item is not None
    return item


async def files_of(pool: Pool, id: str) -> dict[str, str | None]:
    """The labels by the ids of the files."""
    return {made.file.id: label_of(made.ref) for made in (await item_of(pool, id)).files}


def output_of(job_id: str) -> str:
    return derived("file", job_id, "output")


async def test_the_output_is_a_file_under_its_label_or_without_one(pool: Pool) -> None:
    item = await end_import(pool, await imported(pool))
    named = await accept(pool, PROJECT, input=INPUT, media_id=item.id, label="hd")
    plain = await accept(pool, PROJECT, input={"url": INPUT}, kind="import", media_id=item.id)
    assert (named.ref, plain.ref) == ("hd", output_of(plain.id))
    for _ in range(2):  # a result may come twice
        await end(pool, with_output(named), with_output(plain))
    assert await files_of(pool, item.id) == {output_of(named.id): "hd", output_of(plain.id): None}


async def test_a_label_goes_to_the_younger_job_and_the_older_file_stays(pool: Pool) -> None:
    item = await end_import(pool, await imported(pool))
    jobs = [await accept(pool, PROJECT, input=INPUT, media_id=item.id, label="hd") for _ in range(3)]
    for job in (jobs[1], jobs[0], jobs[2], jobs[1]):
        await end(pool, with_output(job))
    assert await files_of(pool, item.id) == {
        output_of(jobs[0].id): None,
        output_of(jobs[1].id): None,
        output_of(jobs[2].id): "hd",
    }


@pytest.mark.parametrize("failed", [False, True])
async def test_an_output_that_is_made_before_the_import_has_ended_joins_at_its_end(pool: Pool, failed: bool) -> None:
    item = await imported(pool)
    job = await accept(pool, PROJECT, input=INPUT, media_id=item.id, label="hd")
    await end(pool, with_output(job))
    assert await files_of(pool, item.id) == {}
    await published(pool)
    await end_import(pool, item, Fault(kind="input_empty", message="m") if failed else None)
    assert await files_of(pool, item.id) == {output_of(job.id): "hd"}
    events = [each.media for each in await published(pool) if isinstance(each, MediaEvent)]
    assert [(each.status, len(each.files)) for each in events] == [("failed" if failed else "active", 1)]


async def test_a_deleted_item_cancels_its_jobs_and_keeps_an_output_that_was_made_already(pool: Pool) -> None:
    item = await end_import(pool, await imported(pool))
    job = await accept(pool, PROJECT, input=INPUT, media_id=item.id, label="hd")
    await published(pool)
    await media_changes(pool).delete(item.id, PROJECT)
    cancelled = [each.job_id for each in await published(pool) if isinstance(each, CancelRequested)]
    assert cancelled == [job.id]
    # It had succeeded just before.
    await end(pool, with_output(job))
    (event,) = await published(pool)
    assert isinstance(event, MediaDeleted) and len(event.media.files) == 1
    restored = await media_changes(pool).restore(item.id, PROJECT)
    assert [made.file.id for made in restored.files] == [output_of(job.id)]


async def test_the_jobs_of_a_deleted_item_end_also_where_they_wait_for_another_one(pool: Pool) -> None:
    item, other = await end_import(pool, await imported(pool)), await imported(pool)
    job = await accept(pool, PROJECT, input=other.id, media_id=item.id)
    await published(pool)
    await media_changes(pool).delete(item.id, PROJECT)
    events = await published(pool)
    assert [each.job.waits_for for each in events if isinstance(each, JobCreated)] == [None]
    assert [each.job_id for each in events if isinstance(each, CancelRequested)] == [job.id]


async def test_a_job_that_is_retried_has_one_file(pool: Pool) -> None:
    item = await end_import(pool, await imported(pool))
    job = await accept(pool, PROJECT, input=INPUT, media_id=item.id, label="hd")
    await end(pool, job.start(now_ms()).fail(Fault(kind="internal_error", message="m"), now_ms()))
    again = await retries(pool).request(job.id, PROJECT, now_ms())
    assert (again.media_id, again.ref) == (item.id, "hd")
    await end(pool, with_output(again))
    await end(pool, with_output(again))
    assert await files_of(pool, item.id) == {output_of(job.id): "hd"}


async def test_accepting_a_job_and_recording_the_end_of_its_input_lock_in_the_same_order(pool: Pool) -> None:
    item = await end_import(pool, await imported(pool))
    first = await accept(pool, PROJECT, input=INPUT, media_id=item.id)
    second = {"input": f"{BASE}/{PROJECT}/{first.id}/video.mp4", "media_id": item.id}
    async with pool.acquire() as conn, conn.transaction():
        await Store(pool).end_jobs(conn, [with_output(first)])
        accepting = asyncio.create_task(accept(pool, PROJECT, **second))
        await until(lambda: another_waits(conn))
        # With the item locked by the one that waits, Postgres would end one of them here.
        assert await Store(pool).lock_media_items(conn, [item.id])
    assert (await accepting).media_id == item.id


async def test_an_item_takes_so_many_files_and_no_more(pool: Pool) -> None:
    item = await end_import(pool, await imported(pool))
    for _ in range(MAX_FILES):
        await accept(pool, PROJECT, input=INPUT, media_id=item.id)
    with pytest.raises(InputRefused) as refused:
        await accept(pool, PROJECT, input=INPUT, media_id=item.id)
    assert refused.value.fault.field == "media_id"


async def test_an_item_that_is_deleted_or_foreign_is_refused(pool: Pool) -> None:
    item = await end_import(pool, await imported(pool))
    assert [each for each in await published(pool) if isinstance(each, MediaCreated)] == []
    with pytest.raises(InputRefused):
        await accept(pool, "prj_other", input=INPUT, media_id=item.id)
    await media_changes(pool).delete(item.id, PROJECT)
    with pytest.raises(InputRefused) as refused:
        await accept(pool, PROJECT, input=INPUT, media_id=item.id)
    assert refused.value.fault.field == "media_id"
