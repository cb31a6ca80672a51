"""Submissions of Kafka producers, and results of jobs."""

from typing import Any

import orjson
import pytest

from schemas.events import JobCreated, JobFailed, JobSucceeded, MediaCreated, MediaUpdated, OutboxAdvanced
from schemas.faults import Fault
from schemas.files import Output
from schemas.ids import derived
from schemas.jobs import Job
from tests.services.ingest.support import EventLog, RunningIngest
from tests.support.file_server import FileServer
from tests.support.waiting import until

GOOD = {"input": "https://example.com/k.mov", "kind": "video", "options": {"width": 640}, "metadata": {"via": "kafka"}}


def jobs_marked(events: EventLog, mark: str) -> list[Any]:
    created = (event for event in events.published if isinstance(event, JobCreated))
    return [event.job for event in created if event.job.metadata.get("mark") == mark]


async def test_a_submitted_job_is_a_job(ingest: RunningIngest, events: EventLog) -> None:
    body = {**GOOD, "metadata": {"mark": "submitted"}}
    await ingest.submit("job.submitted", orjson.dumps(body), ce_project=ingest.project)
    (job,) = await until(lambda: jobs_marked(events, "submitted"))
    assert (job.project, job.kind, job.options) == (ingest.project, "video", {"width": 640})


async def test_a_submission_takes_effect_once(ingest: RunningIngest, events: EventLog) -> None:
    for mark in ("twice", "twice", "after"):
        body = orjson.dumps({**GOOD, "metadata": {"mark": mark}})
        await ingest.submit("job.submitted", body, ce_project=ingest.project, ce_id=f"sub-{mark}")
    # One key, one partition: once the last one has been read, so have the others.
    await until(lambda: jobs_marked(events, "after"))
    assert len(jobs_marked(events, "twice")) == 1


async def test_a_submitted_media_item_is_imported(ingest: RunningIngest, events: EventLog, files: FileServer) -> None:
    body = orjson.dumps({"url": files.url("photo.png"), "title": "by kafka"})
    await ingest.submit("media.submitted", body, ce_project=ingest.project)

    def found() -> MediaCreated | None:
        created = (event for event in events.published if isinstance(event, MediaCreated))
        return next((event for event in created if event.media.title == "by kafka"), None)

    assert (await until(found, within=60)).media.status == "active"


@pytest.mark.parametrize(
    ("topic", "value", "headers", "code", "reason"),
    [
        ("job.submitted", orjson.dumps({**GOOD, "kind": "hologram"}), {}, "unreadable", "kind must be one of"),
        (
            "job.submitted",
            orjson.dumps({**GOOD, "input": "http://10.0.0.1/a"}),
            {},
            "invalid_input",
            "input is refused",
        ),
        (
            "job.submitted",
            orjson.dumps({**GOOD, "input": "s3://uploads/a.mov"}),
            {},
            "invalid_input",
            "input needs a connection",
        ),
        ("job.submitted", b"{", {}, "unreadable", "not JSON"),
        (
            "job.submitted",
            orjson.dumps(GOOD),
            {"ce_project": "prj_01h455vb4pex5vsknk084sn02q"},
            "not_found",
            "unknown project",
        ),
        ("job.submitted", orjson.dumps(GOOD), {"ce_project": "a\x00b"}, "not_found", "unknown project"),
        ("job.submitted", orjson.dumps(GOOD), {"ce_id": "a\x00b"}, "invalid_input", "ce_id"),
        ("job.submitted", orjson.dumps(GOOD), {"ce_id": "x" * 5000}, "invalid_input", "ce_id"),
        (
            "media.submitted",
            orjson.dumps({"url": "http://127.1.1.1:1/a", "folder": "../x"}),
            {},
            "unreadable",
            "folder",
        ),
        ("media.submitted", orjson.dumps({"url": "http://192.168.0.1/a"}), {}, "invalid_input", "url is refused"),
    ],
)
async def test_a_refused_submission_goes_to_the_dead_letter_topic(
    ingest: RunningIngest, events: EventLog, topic: str, value: bytes, headers: dict[str, str], code: str, reason: str
) -> None:
    mark = f"{topic}-{reason}-{len(value)}-{headers}"
    before = [await ingest.count(table) for table in ("jobs", "media")]
    await ingest.submit(topic, value, **{"ce_project": ingest.project, "mark": mark, **headers})
    letter = await events.dead_letter(mark)
    assert reason in letter["reason"]
    assert letter["reason_code"] == code
    assert letter["source_topic"] == topic
    assert [await ingest.count(table) for table in ("jobs", "media")] == before


async def media_item(ingest: RunningIngest, files: FileServer, events: EventLog) -> MediaCreated:
    answer = await ingest.post("/media", {"url": files.url("photo.png")})
    created = await events.first(MediaCreated, answer.body["data"]["id"])
    assert isinstance(created, MediaCreated)
    return created


def output(job: Job) -> Output:
    return Output(
        id=derived("file", job.id, "output"),
        key=f"{job.project}/jobs/{job.id}/x.jpg",
        kind="image",
        format="jpeg",
        content_type="image/jpeg",
        filesize=5,
        placeholder="data:image/webp;base64,AAAA",
        background="#FF94A4",
        path=f"{job.media_id}/poster.jpg",
    )


async def test_a_poster_is_attached_to_its_item_once(
    ingest: RunningIngest, files: FileServer, events: EventLog
) -> None:
    created = await media_item(ingest, files, events)
    (job,) = created.jobs
    done = job.succeed(output(job), job.created_at + 5)
    other = job.model_copy(update={"id": derived("job", created.media.id, "small"), "ref": "small"})
    # The same result twice, and one of another job.
    for event in (done, done, other.succeed(output(other), job.created_at + 6)):
        await ingest.publish(JobSucceeded(job=event))

    def last() -> MediaUpdated | None:
        updates = (event for event in events.of(created.media.id) if isinstance(event, MediaUpdated))
        return next((event for event in updates if len(event.media.files) == 2), None)

    media = (await until(last)).media
    assert (media.version, media.background) == (4, "#FF94A4")
    assert [(made.ref, made.path) for made in media.files] == [
        ("poster", f"media/{media.id}/poster.jpg"),
        ("small", f"media/{media.id}/small.jpg"),
    ]
    assert await ingest.pool.fetchval("SELECT ended FROM jobs WHERE id = $1", job.id) == "succeeded"


async def test_a_failed_derived_file_leaves_its_item_active(
    ingest: RunningIngest, files: FileServer, events: EventLog
) -> None:
    created = await media_item(ingest, files, events)
    (job,) = created.jobs
    await ingest.publish(JobFailed(job=job.fail(Fault(kind="internal_error", message="m"), job.created_at + 5)))

    async def noted() -> bool:
        return bool(await ingest.pool.fetchval("SELECT ended FROM jobs WHERE id = $1", job.id))

    await until(noted)
    row = await ingest.pool.fetchrow("SELECT status, version FROM media WHERE id = $1", created.media.id)
    assert row is not None
    assert (row["status"], row["version"]) == ("active", 2)


async def test_the_watermark_of_the_outbox_is_published(ingest: RunningIngest, events: EventLog) -> None:
    advanced = await events.first(OutboxAdvanced, "ingest")
    assert 0 < advanced.published_through <= advanced.at
