"""What has no end after a while is announced again: when, how often, by whom, and at which cost."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from chassis.adapters.kafka import codec
from chassis.adapters.postgres import Pool
from chassis.core.encryption import Keyring
from chassis.core.ids import new_id
from chassis.runtime.job_queue import JobQueue
from chassis.runtime.outbox import Outbox
from embedded import KafkaServer
from schemas.api import MediaRequest, VideoJobRequest
from schemas.events import (
    CancelRequested,
    Event,
    JobCancelled,
    JobCreated,
    MediaAccepted,
    MediaCreated,
    MediaFailed,
    MediaUpdated,
)
from schemas.faults import Fault
from schemas.files import File
from schemas.ids import derived
from schemas.jobs import Job
from schemas.media import MediaItem
from schemas.topics import TOPICS
from services.ingest import keys, transitions
from services.ingest.announcements import Announced, Announcements, interval, pauses, state_event
from services.ingest.cancellations import Cancellations
from services.ingest.jobs import JobWriter, new_job
from services.ingest.media_items import MediaWriter
from services.ingest.store import QUERIES, Store
from tests.services.ingest.parts import inputs, job_results
from tests.services.ingest.support import EventLog, listening, running
from tests.support.file_server import FileServer
from tests.support.waiting import until

MINUTE = timedelta(minutes=1)
_TOPICS = {topic.name: topic for topic in TOPICS}


@pytest.fixture
async def pool(fresh_dsn: str) -> AsyncIterator[Pool]:
    async with keys.database(fresh_dsn, migrate_first=True) as pool:
        yield pool


def announcing(pool: Pool, *each: timedelta, **limits: int) -> Announcements:
    outbox = Outbox(pool, "ingest")
    return Announcements(Store(pool), JobQueue(pool, outbox), outbox, inputs(pool), each or (MINUTE,), **limits)


async def accept(pool: Pool, count: int = 1, *, silent_for: timedelta = timedelta(0)) -> list[Job]:
    """Accepted jobs, whose events are published."""
    writer = JobWriter(Store(pool), Outbox(pool, "ingest"))
    request = VideoJobRequest(
        input="https://example.com/a.mov?token=secret", kind="video", metadata={"z": "1", "a": "2"}
    )
    jobs = [
        new_job(request, id=new_id("job"), project=new_id("prj"), at=1000 + at, keyring=Keyring([bytes(32)]))
        for at in range(count)
    ]
    for job in jobs:
        await writer.accept(job)
    await silence(pool, silent_for)
    await pool.execute("DELETE FROM outbox")
    return jobs


async def silence(pool: Pool, time: timedelta) -> None:
    """That much time goes by."""
    for table in ("jobs", "media"):
        await pool.execute(f"UPDATE {table} SET announced_at = announced_at - $1::interval", time)


async def published(pool: Pool) -> list[Any]:
    events: list[Event] = []
    rows = await pool.fetch("DELETE FROM outbox RETURNING id, topic, headers, value")
    for row in sorted(rows, key=lambda row: row["id"]):
        headers = [(name, text.encode()) for name, text in row["headers"]]
        event = codec.decode(_TOPICS[row["topic"]], headers, row["value"])
        assert isinstance(event, Event)
        events.append(event)
    return events


def test_pauses_double_up_to_a_day_and_end_before_workers_forget_the_job() -> None:
    found = pauses(timedelta(minutes=10))
    assert found[:4] == tuple(timedelta(minutes=m) for m in (10, 20, 40, 80))
    assert max(found) == timedelta(days=1)
    assert timedelta(days=26) < sum(found, timedelta()) <= timedelta(days=28)
    assert len(pauses(timedelta(days=1))) == 28
    assert pauses(timedelta(days=40)) == (timedelta(days=40),)


def test_passes_are_made_some_times_in_the_first_pause_and_at_least_once_a_minute() -> None:
    assert [interval(timedelta(seconds=s)).total_seconds() for s in (1, 20, 3600)] == [1, 4, 60]


@pytest.mark.parametrize(
    ("status", "event"), [("processing", MediaAccepted), ("failed", MediaFailed), ("active", MediaUpdated)]
)
def test_the_event_of_a_media_item_is_that_of_its_state(status: Any, event: type[Event]) -> None:
    item = MediaItem(id="med_1", project="prj_1", version=1, status=status, created_at=1, updated_at=1)
    assert type(state_event(item)) is event


async def test_a_job_without_an_end_is_announced_again_as_it_was_accepted(pool: Pool) -> None:
    jobs = await accept(pool, 3, silent_for=2 * MINUTE)
    young = await accept(pool)
    assert await announcing(pool).repeat() == Announced(jobs=3)
    events = await published(pool)
    assert {event.job.id: event for event in events} == {job.id: JobCreated(job=job, repeated=True) for job in jobs}
    assert list(events[0].job.metadata) == ["z", "a"]
    assert young[0].id not in {event.job.id for event in events}


async def test_the_pause_grows_and_ends_with_the_list(pool: Pool) -> None:
    await accept(pool, silent_for=MINUTE)
    again = announcing(pool, MINUTE, 3 * MINUTE)
    assert await again.repeat() == Announced(jobs=1)
    await silence(pool, 2 * MINUTE)
    assert await again.repeat() == Announced()
    await silence(pool, MINUTE)
    assert await again.repeat() == Announced(jobs=1)
    await silence(pool, timedelta(days=100))
    assert await again.repeat() == Announced()


async def test_an_ended_job_is_not_announced(pool: Pool) -> None:
    ended, open = await accept(pool, 2, silent_for=MINUTE)
    await job_results(pool).apply([ended.cancel(5)], at=6)
    await announcing(pool).repeat()
    assert [event.job.id for event in await published(pool)] == [open.id]


async def test_a_pass_is_made_in_bounded_batches(pool: Pool) -> None:
    await accept(pool, 7, silent_for=MINUTE)
    again = announcing(pool, batch=2, batches=3)
    assert await again.repeat() == Announced(jobs=6)
    assert await again.repeat() == Announced(jobs=1)
    assert len({event.job.id for event in await published(pool)}) == 7


async def test_one_replica_announces_at_a_time_and_the_other_does_not_wait(pool: Pool) -> None:
    await accept(pool, silent_for=MINUTE)
    store = Store(pool)
    async with store.transaction() as conn:
        assert await store.try_announcing(conn, 0)
        assert await announcing(pool).repeat() == Announced()
    assert await announcing(pool).repeat() == Announced(jobs=1)


async def test_nothing_is_announced_while_kafka_takes_nothing(pool: Pool) -> None:
    await accept(pool, silent_for=MINUTE)
    waiting = [JobCreated(job=job) for job in await accept(pool, 3)]
    async with pool.acquire() as conn:
        await Outbox(pool, "ingest").put(conn, *waiting)
    assert await announcing(pool, max_unpublished=2).repeat() == Announced()
    assert await announcing(pool, max_unpublished=3).repeat() == Announced(jobs=1)


async def test_the_query_reads_no_ended_job(pool: Pool) -> None:
    await pool.execute(
        "INSERT INTO jobs (id, project, request, created_at, ended, announced_at) "
        "SELECT 'job_' || n, 'prj', '{}', n, 'succeeded', now() - interval '1 hour' FROM generate_series(1, 20000) AS n"
    )
    await accept(pool, 5, silent_for=MINUTE)
    await pool.execute("ANALYZE jobs")
    async with pool.acquire() as conn:
        plan = await conn.fetch(f"EXPLAIN (ANALYZE, TIMING OFF) {QUERIES['announce_jobs']}", list(pauses(MINUTE)), 200)
    text = "\n".join(row[0] for row in plan)
    assert "jobs_without_end" in text
    assert "Seq Scan on jobs" not in text


async def imported(pool: Pool, *, fails: bool = False) -> MediaItem:
    """An item whose import has ended, with the event that says so in its queue."""
    store, outbox = Store(pool), Outbox(pool, "ingest")
    queue = JobQueue(pool, outbox)
    request = MediaRequest(url="https://example.com/a.png")
    item = transitions.accepted(request, id=new_id("med"), project=new_id("prj"), at=1)
    await MediaWriter(store, queue, outbox).accept(item, request)
    claimed = await queue.claim("test")
    assert claimed is not None
    file_id = derived("file", item.id, "original")
    original = File(
        id=file_id, key=f"{item.project}/k.png", kind="image", format="png", content_type="image/png", filesize=1
    )
    ended = (
        transitions.failed(item, Fault(kind="input_empty", message="m"), 2)
        if fails
        else transitions.stored(item, original, 2)
    )

    async def write(conn: Any) -> None:
        assert await store.update_media(conn, ended)

    event = MediaFailed(media=ended) if fails else MediaCreated(media=ended)
    await queue.finish(claimed, "failed" if fails else "done", event, also=write)
    await pool.execute("DELETE FROM outbox")
    return ended


async def test_a_media_item_is_announced_a_second_time_and_again_after_each_change(pool: Pool) -> None:
    active, failed = await imported(pool), await imported(pool, fails=True)
    again = announcing(pool)
    assert await again.repeat() == Announced()
    await silence(pool, MINUTE)
    assert await again.repeat() == Announced(media=2)
    events = await published(pool)
    assert [event for event in events if event.media.id == active.id] == [
        MediaCreated(media=active),
        MediaUpdated(media=active),
    ]
    assert [event for event in events if event.media.id == failed.id] == [MediaFailed(media=failed)]
    await silence(pool, timedelta(days=1))
    assert await again.repeat() == Announced()
    changed = active.model_copy(update={"version": active.version + 1, "title": "new"})
    async with Store(pool).transaction() as conn:
        assert await Store(pool).update_media(conn, changed)
    await silence(pool, MINUTE)
    assert await again.repeat() == Announced(media=1)
    assert MediaUpdated(media=changed) in await published(pool)


async def test_an_open_job_of_the_release_before_is_announced_again(pool: Pool) -> None:
    """Its rows have fewer fields, and its processes do not know the columns."""
    request, id = {"kind": "image", "input": "https://example.com/a.png", "options": {}, "metadata": {}}, new_id("job")
    insert = "INSERT INTO jobs (id, project, request, created_at) VALUES ($1, $2, $3, 7)"
    await pool.execute(insert, id, new_id("prj"), request)
    await silence(pool, MINUTE)
    assert await announcing(pool).repeat() == Announced(jobs=1)
    (event,) = await published(pool)
    assert (event.job.id, event.job.kind, event.job.created_at, event.job.webhook_url) == (id, "image", 7, None)


async def test_what_a_lost_kafka_had_is_announced_on_the_next_one(
    fresh_dsn: str, kafka_bootstrap: str, files: FileServer, events: EventLog, tmp_path: Path
) -> None:
    """The same Postgres, another Kafka: more than any power cut can take away."""
    good = {"input": "https://example.com/a.mov", "kind": "video"}
    async with running(fresh_dsn, kafka_bootstrap, tmp_path / "storage") as first:
        jobs = [(await first.post("/jobs", good)).body["id"] for _ in range(3)]
        media_id = (await first.post("/media", {"url": files.url("photo.png")})).body["data"]["id"]
        await events.first(MediaCreated, media_id)
        for job in jobs:
            await events.first(JobCreated, job)
    async with (
        KafkaServer(tmp_path / "kafka").running(print) as kafka,
        listening(kafka) as log,
        running(fresh_dsn, kafka, tmp_path / "storage", announce_again_after=timedelta(seconds=1)) as second,
    ):
        poster = derived("job", media_id, "poster")
        for job in (*jobs, poster):
            created: JobCreated = await log.first(JobCreated, job)
            assert created.repeated
            await second.publish(_ended(created.job))
        again = await log.first(MediaCreated, media_id)
        assert [job.id for job in again.jobs] == [poster]
        assert (await log.first(MediaUpdated, media_id)).media.status == "active"

        async def all_ended() -> bool:
            return bool(await second.pool.fetchval("SELECT bool_and(ended IS NOT NULL) FROM jobs"))

        await until(all_ended)


async def test_a_job_whose_cancellation_was_requested_is_cancelled_again(pool: Pool) -> None:
    cancelled, other = await accept(pool, 2, silent_for=MINUTE)
    requested = Cancellations(Store(pool), Outbox(pool, "ingest"), ())
    assert (await requested.request(cancelled.id, cancelled.project, 5000))["status"] == "cancelling"
    await pool.execute("DELETE FROM outbox")
    assert await announcing(pool).repeat() == Announced(jobs=2)
    again = [event for event in await published(pool) if isinstance(event, CancelRequested)]
    assert [(event.job_id, event.project, event.at) for event in again] == [(cancelled.id, cancelled.project, 5000)]
    assert other.id != cancelled.id


def _ended(job: Job) -> Event:
    return JobCancelled(job=job.cancel(job.created_at + 1))
