"""Inputs that are media items, files and delivery addresses of the project: found, refused, or waited for."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chassis.adapters.postgres import Connection, Pool
from chassis.core.ids import new_id, now_ms
from chassis.runtime.job_queue import JobQueue
from schemas.api import MediaRequest
from schemas.events import CancelRequested, JobCreated
from schemas.faults import Fault
from schemas.files import File
from schemas.ids import derived
from schemas.jobs import Job
from schemas.media import MediaItem
from services.ingest import keys, transitions
from services.ingest.inputs import InputRefused
from services.ingest.media_items import MediaWriter
from services.ingest.store import Store
from tests.services.ingest.parts import (
    BASE,
    accept,
    attachments,
    cancellations,
    end,
    inputs,
    media_changes,
    outbox,
    published,
    retries,
    with_output,
)
from tests.support.waiting import until

PROJECT = new_id("prj")


@pytest.fixture
async def pool(fresh_dsn: str) -> AsyncIterator[Pool]:
    async with keys.database(fresh_dsn, migrate_first=True) as pool:
        yield pool


async def imported(pool: Pool, **fields: Any) -> MediaItem:
    """An item whose file is being fetched."""
    request = MediaRequest(url="https://example.com/a.mp4", **fields)
    item = transitions.accepted(request, id=new_id("med"), project=PROJECT, at=now_ms())
    await MediaWriter(Store(pool), JobQueue(pool, outbox(pool)), outbox(pool)).accept(item, request)
    return item


def original_of(item: MediaItem) -> File:
    id = derived("file", item.id, "original")
    key = f"{PROJECT}/media/{item.id}/{id}-1.mp4"
    return File(id=id, key=key, kind="video", format="mp4", content_type="video/mp4", filesize=3)


async def end_import(pool: Pool, item: MediaItem, error: Fault | None = None) -> MediaItem:
    """What an import writes at its end."""
    at = now_ms()
    ended = transitions.failed(item, error, at) if error else transitions.stored(item, original_of(item), at)
    async with Store(pool).transaction() as conn:
        assert await Store(pool).update_media(conn, ended)
        if ended.original_path is not None:
            await Store(pool).reserve_name(conn, PROJECT, ended.original_path, ended.id)
        await attachments(pool).of_item(conn, ended, at)
        await inputs(pool).release(conn, [ended.id])
    return ended


async def announced(pool: Pool, id: str) -> list[Job]:
    return [each.job for each in await published(pool) if isinstance(each, JobCreated) and each.job.id == id]


async def refusal(pool: Pool, project: str = PROJECT, **body: Any) -> str:
    with pytest.raises(InputRefused) as refused:
        await accept(pool, project, **body)
    assert await pool.fetchval("SELECT count(*) FROM jobs WHERE project = $1", project) == 0
    return str(refused.value)


async def test_every_name_of_an_original_is_the_stored_file(pool: Pool) -> None:
    item = await end_import(pool, await imported(pool, folder="clips", filename="a"))
    original = original_of(item)
    for input in (item.id, original.id, f"{BASE}/{PROJECT}/clips/a?expiry=1&signature=x"):
        job = await accept(pool, PROJECT, input=input)
        (created,) = await announced(pool, job.id)
        assert (created.source, created.waits_for, created.input) == (original, None, input)
    task = await accept(pool, PROJECT, input={"url": item.id}, kind="probe")
    assert [each.source for each in await announced(pool, task.id)] == [original]


async def test_every_name_of_an_output_is_the_stored_file(pool: Pool) -> None:
    first = await accept(pool, PROJECT, input="https://example.com/a.mp4")
    ended = with_output(first)
    assert ended.output is not None
    await end(pool, ended)
    for input in (ended.output.id, f"{BASE}/{PROJECT}/{first.id}/video.mp4"):
        job = await accept(pool, PROJECT, input=input)
        (created,) = await announced(pool, job.id)
        assert created.source is not None
        assert (created.source.id, created.source.key) == (ended.output.id, ended.output.key)


async def test_what_is_deleted_foreign_or_unknown_is_refused(pool: Pool) -> None:
    item = await end_import(pool, await imported(pool, filename="a"))
    stranger = new_id("prj")
    for input in (item.id, original_of(item).id, f"{BASE}/{PROJECT}/media/a"):
        assert "this project" in await refusal(pool, stranger, input=input)
    await media_changes(pool).delete(item.id, PROJECT)
    for input in (item.id, original_of(item).id, f"{BASE}/{PROJECT}/media/a", new_id("med"), new_id("file")):
        assert "this project" in await refusal(pool, input=input)
    for path in (f"{new_id('job')}/video.mp4", "media/never.mp4", f"media/{item.id}/poster.jpg", "a%00b"):
        assert "this project has no file" in await refusal(pool, input=f"{BASE}/{PROJECT}/{path}")
    assert "input.url" in await refusal(pool, input={"url": item.id}, kind="probe")
    failed = await end_import(pool, await imported(pool), Fault(kind="input_empty", message="m"))
    assert "import" in await refusal(pool, input=failed.id)


async def test_a_job_waits_for_the_import_of_its_input(pool: Pool) -> None:
    item = await imported(pool)
    job = await accept(pool, PROJECT, input=item.id)
    (waiting,) = await announced(pool, job.id)
    assert (waiting.waits_for, waiting.source) == (item.id, None)
    ended = await end_import(pool, item)
    (released,) = await announced(pool, job.id)
    assert (released.waits_for, released.source) == (None, ended.original)
    await end_import(pool, await imported(pool))
    assert await announced(pool, job.id) == []


async def test_a_job_waits_for_the_job_whose_output_is_its_input(pool: Pool) -> None:
    first = await accept(pool, PROJECT, input="https://example.com/a.mp4")
    address = f"{BASE}/{PROJECT}/{first.id}/video.mp4"
    second = await accept(pool, PROJECT, input=address)
    assert [each.waits_for for each in await announced(pool, second.id)] == [first.id]
    await end(pool, with_output(first))
    (released,) = await announced(pool, second.id)
    assert released.source is not None and released.waits_for is None
    assert released.source.id == derived("file", first.id, "output")


@pytest.mark.parametrize("how", ["import failed", "item deleted", "job failed", "job cancelled"])
async def test_a_job_whose_input_will_never_come_ends_with_the_reason(pool: Pool, how: str) -> None:
    item = await imported(pool)
    first = await accept(pool, PROJECT, input="https://example.com/a.mp4")
    waits_for_item = "job" not in how
    job = await accept(pool, PROJECT, input=item.id if waits_for_item else f"{BASE}/{PROJECT}/{first.id}/video.mp4")
    await published(pool)
    fault = Fault(kind="input_empty", message="m")
    match how:
        case "import failed":
            await end_import(pool, item, fault)
        case "item deleted":
            await media_changes(pool).delete(item.id, PROJECT)
        case "job failed":
            await end(pool, first.start(now_ms()).fail(fault, now_ms()))
        case _:
            await end(pool, first.cancel(now_ms()))
    (released,) = await announced(pool, job.id)
    assert released.input_fault is not None and released.waits_for is None
    assert released.input_fault.kind == "input_gone"


async def test_a_job_that_waits_is_cancelled_at_once(pool: Pool) -> None:
    item = await imported(pool)
    job = await accept(pool, PROJECT, input=item.id)
    await published(pool)
    assert await cancellations(pool).request(job.id, PROJECT, now_ms()) == {"id": job.id, "status": "cancelling"}
    created, cancelled = await published(pool)
    assert isinstance(created, JobCreated) and created.job.waits_for is None
    assert isinstance(cancelled, CancelRequested) and cancelled.job_id == job.id
    # The import goes on, and nothing is announced a second time.
    await end_import(pool, item)
    assert await announced(pool, job.id) == []


async def test_a_retried_job_looks_for_its_input_again(pool: Pool) -> None:
    item = await imported(pool)
    job = await accept(pool, PROJECT, input=item.id)
    await media_changes(pool).delete(item.id, PROJECT)
    (failed,) = [each for each in await announced(pool, job.id) if each.input_fault is not None]
    await end(pool, failed.start(now_ms()).fail(failed.input_fault, now_ms()) if failed.input_fault else failed)
    again = await retries(pool).request(job.id, PROJECT, now_ms())
    assert again.input_fault is not None
    await end(pool, again.start(now_ms()).fail(again.input_fault, now_ms()))
    # Restored meanwhile, with its file.
    stored = transitions.restored(transitions.deleted(transitions.stored(item, original_of(item), 1), 2), 3)
    async with Store(pool).transaction() as conn:
        await Store(pool).update_media_items(conn, [stored])
    again = await retries(pool).request(job.id, PROJECT, now_ms())
    assert (again.run, again.input_fault, again.source) == (3, None, original_of(item))


async def test_a_wait_whose_end_is_under_way_is_not_missed(pool: Pool) -> None:
    first = await accept(pool, PROJECT, input="https://example.com/a.mp4")
    address = f"{BASE}/{PROJECT}/{first.id}/video.mp4"
    async with pool.acquire() as conn, conn.transaction():
        # The end of the job that is waited for is written and not committed.
        await Store(pool).end_jobs(conn, [with_output(first)])
        accepting = asyncio.create_task(accept(pool, PROJECT, input=address))
        await until(lambda: another_waits(conn))
    job = await accepting
    (created,) = await announced(pool, job.id)
    assert created.waits_for is None and created.source is not None


async def another_waits(conn: Connection) -> bool:
    return bool(
        await conn.fetchval(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid"
        )
    )


async def test_the_output_of_a_job_of_an_earlier_release_is_fetched_by_its_address(pool: Pool) -> None:
    first = await accept(pool, PROJECT, input="https://example.com/a.mp4")
    await end(pool, with_output(first))
    await pool.execute("UPDATE jobs SET output = NULL")
    job = await accept(pool, PROJECT, input=f"{BASE}/{PROJECT}/{first.id}/video.mp4")
    (created,) = await announced(pool, job.id)
    assert (created.source, created.waits_for, created.input_fault) == (None, None, None)
