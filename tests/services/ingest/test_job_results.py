"""Results of jobs, applied in batches."""

from collections.abc import AsyncIterator

import pytest

from chassis.adapters.kafka import codec
from chassis.adapters.postgres import Pool
from chassis.core.ids import new_id
from chassis.runtime.job_queue import JobQueue
from chassis.runtime.outbox import Outbox
from schemas.api import MediaRequest, VideoJobRequest
from schemas.events import MediaUpdated
from schemas.faults import Fault
from schemas.files import File, Output
from schemas.ids import derived
from schemas.jobs import Job
from schemas.media import MediaItem
from schemas.topics import MEDIA_CHANGED
from services.ingest import keys, transitions
from services.ingest.jobs import JobWriter, new_job
from services.ingest.media_items import MediaWriter
from services.ingest.store import Store
from tests.services.ingest.parts import job_results


@pytest.fixture
async def pool(fresh_dsn: str) -> AsyncIterator[Pool]:
    async with keys.database(fresh_dsn, migrate_first=True) as pool:
        yield pool


async def active_item(pool: Pool, project: str) -> MediaItem:
    store, outbox = Store(pool), Outbox(pool, "ingest")
    request = MediaRequest(url="https://example.com/a.png")
    item = transitions.accepted(request, id=new_id("med"), project=project, at=1)
    await MediaWriter(store, JobQueue(pool, outbox), outbox).accept(item, request)
    original = File(
        id=derived("file", item.id, "original"),
        key=f"{project}/media/original.png",
        kind="image",
        format="png",
        content_type="image/png",
        filesize=1,
    )
    active = transitions.stored(item, original, 2)
    async with store.transaction() as conn:
        assert await store.update_media(conn, active)
    await pool.execute("DELETE FROM outbox")
    return active


def succeeded(item: MediaItem, ref: str, *, project: str | None = None) -> Job:
    id = derived("job", item.id, ref)
    job = Job.queued(
        id=id,
        project=project or item.project,
        kind="image",
        input="i",
        options={},
        metadata={},
        at=3,
        media_id=item.id,
        ref=ref,
    )
    output = Output(
        id=derived("file", id, "output"),
        key=f"{job.project}/jobs/{ref}.jpg",
        kind="image",
        format="jpeg",
        content_type="image/jpeg",
        filesize=5,
        path=f"{item.id}/{ref}.jpg",
    )
    return job.succeed(output, 4)


async def published(pool: Pool) -> list[MediaItem]:
    items = []
    for row in await pool.fetch("SELECT headers, value FROM outbox ORDER BY id"):
        event = codec.decode(MEDIA_CHANGED, [(name, text.encode()) for name, text in row["headers"]], row["value"])
        assert isinstance(event, MediaUpdated)
        items.append(event.media)
    return items


async def test_a_batch_attaches_all_outputs_and_publishes_each_item_once(pool: Pool) -> None:
    store = Store(pool)
    first, second = await active_item(pool, new_id("prj")), await active_item(pool, new_id("prj"))
    jobs = [succeeded(first, "poster"), succeeded(second, "poster"), succeeded(first, "small")]
    results = job_results(pool)
    await results.apply([*jobs, jobs[0]], at=5)
    events = {item.id: item for item in await published(pool)}
    assert {id: (item.version, [file.ref for file in item.files]) for id, item in events.items()} == {
        first.id: (4, ["poster", "small"]),
        second.id: (3, ["poster"]),
    }
    assert [await store.media_item(item.id) for item in (first, second)] == [events[first.id], events[second.id]]
    await results.apply(jobs, at=6)
    assert len(await published(pool)) == 2


async def test_a_result_of_another_project_changes_nothing(pool: Pool) -> None:
    item = await active_item(pool, "prj_1")
    await job_results(pool).apply([succeeded(item, "poster", project="prj_2")], at=5)
    assert await published(pool) == []
    assert await Store(pool).media_item(item.id) == item


async def test_the_first_end_of_a_job_is_recorded_and_none_of_another_project(pool: Pool) -> None:
    outbox = Outbox(pool, "ingest")
    request = VideoJobRequest(input="https://example.com/a.mov", kind="video")
    jobs = [new_job(request, id=new_id("job"), project="prj_1", at=1) for _ in range(3)]
    for job in jobs:
        await JobWriter(Store(pool), outbox).accept(job)
    failed = jobs[0].fail(Fault(kind="input_empty", message="m"), 5)
    unknown = new_job(request, id=new_id("job"), project="prj_1", at=1).cancel(6)
    foreign = jobs[2].model_copy(update={"project": "prj_2"}).cancel(6)
    results = job_results(pool)
    await results.apply([failed, jobs[1].cancel(7), unknown, foreign], at=8)
    await results.apply([jobs[0].cancel(9)], at=9)
    rows = await pool.fetch(
        "SELECT id, ended, ended_at FROM jobs ORDER BY array_position($1, id)", [j.id for j in jobs]
    )
    assert [(row["ended"], row["ended_at"]) for row in rows] == [("failed", 5), ("cancelled", 7), (None, None)]
