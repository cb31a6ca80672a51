"""The transcoder on real Kafka and Postgres: from `job.created` to the terminal event."""

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from chassis.core.ids import new_id
from chassis.core.metrics import exposition
from schemas.events import JobCancelled, JobCreated, JobStarted, JobSucceeded
from schemas.files import File
from schemas.jobs import Job
from services.transcoder.app import Transcoder
from services.transcoder.settings import Settings
from tests.services.worker_harness import WorkerHarness, ffmpeg_processes, media_created, queued_job, worker_settings
from tests.support.file_server import status
from tests.support.footage import Material
from tests.support.servers import Postgres
from tests.support.waiting import until

SLOTS = 1
RETRY_SPAN = timedelta(seconds=2)
"""Pauses of about 1 s and 2 s: three attempts."""


@pytest.fixture(scope="module")
async def worker(
    postgres_server: Postgres, kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[WorkerHarness]:
    folder = tmp_path_factory.mktemp("transcoder")
    around = worker_settings(await postgres_server.database(), kafka_bootstrap, folder)
    settings = Settings(transcoder_slots=SLOTS, fetch_retry_span=RETRY_SPAN, **around)
    async with WorkerHarness(Transcoder(settings), settings, "video").running() as opened:
        yield opened


async def test_a_clip_is_fetched_encoded_and_stored(worker: WorkerHarness, material: Material) -> None:
    job_id = await worker.submit(worker.files.add(material.footage.bunny), width=320, end=1)
    job = await worker.finished(job_id)
    assert job.status == "succeeded", job.error
    output = job.output
    assert output is not None
    assert (output.kind, output.format, output.width, output.height) == ("video", "mp4", 320, 180)
    assert output.codecs is not None and (output.codecs.video, output.codecs.audio) == ("h264", "aac")
    assert (output.content_type, output.path) == ("video/mp4", f"{job_id}/video.mp4")
    assert output.key == f"{job.project}/jobs/{job_id}/{output.id}-1.mp4"
    assert [(task.kind, task.status) for task in job.tasks] == [
        ("import", "succeeded"),
        ("probe", "succeeded"),
        ("video", "succeeded"),
        ("export", "succeeded"),
    ]
    assert job.metadata == {"user_id": "usr_1"}
    stat = await worker.storage.stat(output.key)
    assert stat is not None and (stat.size, stat.content_type) == (output.filesize, "video/mp4")
    assert isinstance(worker.events[job_id][0], JobStarted)
    assert isinstance(worker.events[job_id][-1], JobSucceeded)
    times = [event.job.updated_at for event in worker.events[job_id]]
    assert times == sorted(set(times)), "readers put snapshots in order by their times"


async def test_a_stored_original_is_read_from_the_storage(worker: WorkerHarness, material: Material) -> None:
    media_id, project = new_id("med"), new_id("prj")
    key = f"{project}/media/{media_id}/original.mp4"
    stat = await worker.storage.put(key, material.flat(), "video/mp4")
    original = File(
        id=new_id("file"), key=key, kind="video", format="mp4", content_type="video/mp4", filesize=stat.size, duration=1
    )
    common = {"project": project, "media_id": media_id, "source": original}
    video = queued_job("video", "media:original", {"width": 64}, ref="preview", **common)
    image = queued_job("image", "media:original", {}, ref="poster", **common)
    await worker.publish(media_created(original, [image, video]))
    job = await worker.finished(video.id)
    assert job.output is not None and job.output.path == f"{video.id}/video.mp4"
    assert image.id not in worker.events, "images are the thumbnailer's"
    untouched = await worker.storage.stat(key)
    assert untouched is not None and untouched.etag == stat.etag


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("html", "input_unreadable"),
        ("empty", "input_empty"),
        ("truncated", "input_truncated"),
        ("tone", "input_kind_mismatch"),
    ],
)
async def test_a_bad_input_fails_with_its_reason(
    worker: WorkerHarness, material: Material, name: str, kind: str
) -> None:
    job = await worker.finished(await worker.submit(worker.files.add(getattr(material, name)()), width=100))
    assert job.status == "failed" and job.output is None
    assert job.error is not None and job.error.kind == kind
    assert "failed" in [task.status for task in job.tasks]


async def test_an_input_that_is_not_there_fails_at_once(worker: WorkerHarness) -> None:
    job_id = await worker.submit(worker.files.answer("gone.mp4", status(404)))
    job = await worker.finished(job_id)
    assert job.error is not None and job.error.kind == "input_not_found"
    assert [task.status for task in job.tasks] == ["failed", "cancelled", "cancelled", "cancelled"]
    assert worker.files.requests["gone.mp4"] == 1


async def test_a_server_error_is_retried_before_the_job_fails(worker: WorkerHarness) -> None:
    address = worker.files.answer("later.mp4", status(503))
    job_id = await worker.submit(address)
    job = await worker.finished(job_id)
    assert job.error is not None and job.error.kind == "input_unreachable"
    assert [task.status for task in job.tasks] == ["failed", "cancelled", "cancelled", "cancelled"]
    assert worker.files.requests["later.mp4"] == 3
    assert worker.terminal_events(job_id) == 1

    def retrying() -> list[Job]:
        return [event.job for event in worker.progress[job_id] if event.job.retry_at is not None]

    await until(lambda: len(retrying()) == 2)  # they come on another topic than the end
    for each in retrying():
        assert each.status == "processing" and each.retry_at is not None and each.retry_at > each.updated_at
        assert [task.status for task in each.tasks] == ["waiting"] * 4
        task = each.tasks[0]
        assert task.error is not None and (task.error.kind, task.retry_at) == ("input_unreachable", each.retry_at)
    assert (job.retry_at, job.tasks[0].retry_at) == (None, None)


async def test_a_repeated_event_gives_one_result(worker: WorkerHarness, material: Material) -> None:
    address = worker.files.add(material.flat())
    job, later = worker.job(address, width=64), worker.job(address, width=32)
    partition = await worker.publish(JobCreated(job=job))
    await worker.publish(JobCreated(job=job))
    await worker.finished(job.id)
    await worker.publish(JobCreated(job=job), partition)
    await worker.publish(JobCreated(job=later), partition)
    await worker.finished(later.id)
    assert worker.terminal_events(job.id) == 1


async def test_a_running_encode_is_stopped_when_it_is_cancelled(worker: WorkerHarness, material: Material) -> None:
    job_id = await worker.submit(worker.files.add(material.long()), width=1920, quality="very_high")
    await worker.encoding(job_id)
    assert ffmpeg_processes()
    await worker.cancel(job_id)
    job = await worker.finished(job_id)
    assert job.status == "cancelled"
    assert isinstance(worker.events[job_id][-1], JobCancelled)
    assert [task.status for task in job.tasks] == ["succeeded", "succeeded", "cancelled", "cancelled"]
    assert not ffmpeg_processes(), "no ffmpeg is left"


async def test_a_queued_job_is_cancelled_at_once(worker: WorkerHarness, material: Material) -> None:
    project = new_id("prj")
    long = worker.files.add(material.long())
    busy = [await worker.submit(long, project=project, width=1920, quality="very_high") for _ in range(SLOTS)]
    for job_id in busy:
        await worker.encoding(job_id)
    # Of the same project: another one's would get the extra slot. As long as the others, whatever it gets later.
    waiting = await worker.submit(long, project=project)
    await worker.cancel(waiting)
    assert (await worker.finished(waiting)).status == "cancelled"
    for job_id in busy:
        await worker.cancel(job_id)
        assert (await worker.finished(job_id)).status == "cancelled"


async def test_a_cancellation_that_comes_before_its_job_does_not_wait_for_a_free_slot(
    worker: WorkerHarness, material: Material
) -> None:
    long = worker.files.add(material.long())
    busy = [await worker.submit(long, width=1920, quality="very_high") for _ in range(SLOTS)]
    for job_id in busy:
        await worker.encoding(job_id)
    job = worker.job(long)
    await worker.cancel(job.id, project=job.project)
    connection = await asyncpg.connect(worker.settings.database_url)
    try:
        known = "SELECT true FROM transcoder.job_queue_cancellations WHERE id = $1"
        await until(lambda: connection.fetchval(known, job.id))
    finally:
        await connection.close()
    await worker.publish(JobCreated(job=job))
    assert (await worker.finished(job.id)).status == "cancelled"
    assert not any(event.job.finished for job_id in busy for event in worker.events[job_id])
    for job_id in busy:
        await worker.cancel(job_id)
        assert (await worker.finished(job_id)).status == "cancelled"


async def test_its_checks_pass_and_no_files_are_left(worker: WorkerHarness, material: Material) -> None:
    await worker.finished(await worker.submit(worker.files.add(material.flat()), width=64))
    assert isinstance(worker.app, Transcoder)
    for check in worker.app.checks().values():
        await check()
    await worker.app.refresh_metrics()
    assert b'bitmill_job_queue_queued_seconds{service="transcoder"}' in exposition()[0]
    # The folder of a job is removed after its end.
    await until(lambda: not list(worker.settings.work_dir.glob("**/job_*")))
