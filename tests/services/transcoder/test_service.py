"""The service on real Kafka and Postgres: from the event that asks for a video to the event that tells its end."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from chassis.core.ids import new_id
from chassis.core.metrics import exposition
from schemas.events import JobCancelled, JobCreated, JobProgressed, JobStarted, JobSucceeded
from schemas.files import File
from services.transcoder.app import Transcoder
from services.transcoder.settings import Settings
from tests.services.running import Running, encoders, item_with_jobs, queued, surroundings
from tests.support.footage import Material
from tests.support.servers import Postgres
from tests.support.waiting import until

SLOTS = 1


@pytest.fixture(scope="module")
async def service(
    postgres_server: Postgres, kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("transcoder")
    around = surroundings(await postgres_server.database(), kafka_bootstrap, folder)
    settings = Settings(transcoder_slots=SLOTS, **around)
    async with Running(Transcoder(settings), settings, "video").working() as opened:
        yield opened


async def test_a_clip_is_fetched_encoded_and_stored(service: Running, material: Material) -> None:
    job_id = await service.ask(service.site.serve(material.footage.bunny), width=320, end=1)
    job = await service.end(job_id)
    assert job.status == "succeeded", job.error
    output = job.output
    assert output is not None
    assert (output.kind, output.format, output.width, output.height) == ("video", "mp4", 320, 180)
    assert output.codecs is not None and (output.codecs.video, output.codecs.audio) == ("h264", "aac")
    assert (output.content_type, output.path) == ("video/mp4", f"{job_id}/video.mp4")
    assert output.key == f"{job.project}/jobs/{job_id}/{output.id}.mp4"
    assert [(task.kind, task.status) for task in job.tasks] == [
        ("import", "succeeded"),
        ("probe", "succeeded"),
        ("video", "succeeded"),
    ]
    assert job.metadata == {"user_id": "usr_1"}
    stat = await service.storage.stat(output.key)
    assert stat is not None and (stat.size, stat.content_type) == (output.filesize, "video/mp4")
    assert isinstance(service.heard[job_id][0], JobStarted)
    assert isinstance(service.heard[job_id][-1], JobSucceeded)
    times = [event.job.updated_at for event in service.heard[job_id]]
    assert times == sorted(set(times)), "readers put snapshots in order by their times"


async def test_a_stored_original_is_read_from_the_storage(service: Running, material: Material) -> None:
    media_id, project = new_id("med"), new_id("prj")
    key = f"{project}/media/{media_id}/original.mp4"
    stat = await service.storage.put(key, material.flat(), "video/mp4")
    original = File(
        id=new_id("file"), key=key, kind="video", format="mp4", content_type="video/mp4", filesize=stat.size, duration=1
    )
    common = {"project": project, "media_id": media_id, "source": original}
    video = queued("video", "media:original", {"width": 64}, ref="preview", **common)
    image = queued("image", "media:original", {}, ref="poster", **common)
    await service.publish(item_with_jobs(original, [image, video]))
    job = await service.end(video.id)
    assert job.output is not None and job.output.path == f"{media_id}/preview.mp4"
    assert image.id not in service.heard, "images are somebody else's"
    untouched = await service.storage.stat(key)
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
async def test_a_bad_input_fails_with_its_reason(service: Running, material: Material, name: str, kind: str) -> None:
    job = await service.end(await service.ask(service.site.serve(getattr(material, name)()), width=100))
    assert job.status == "failed" and job.output is None
    assert job.error is not None and job.error.kind == kind
    assert "failed" in [task.status for task in job.tasks]


async def test_an_input_that_is_not_there_fails_at_once(service: Running) -> None:
    job_id = await service.ask(service.site.refuse(404, "gone.mp4"))
    job = await service.end(job_id)
    assert job.error is not None and job.error.kind == "input_not_found"
    assert [task.status for task in job.tasks] == ["failed", "cancelled", "cancelled"]
    assert service.site.asked["gone.mp4"] == 1


async def test_a_server_in_trouble_is_asked_again_before_the_job_fails(service: Running) -> None:
    job_id = await service.ask(service.site.refuse(503, "later.mp4"))
    job = await service.end(job_id)
    assert job.error is not None and job.error.kind == "input_unreachable"
    assert [task.status for task in job.tasks] == ["failed", "cancelled", "cancelled"]
    assert service.site.asked["later.mp4"] == 3
    assert sum(event.job.finished for event in service.heard[job_id]) == 1


async def test_the_same_event_twice_gives_one_result(service: Running, material: Material) -> None:
    address = service.site.serve(material.flat())
    job, later = service.job(address, width=64), service.job(address, width=32)
    partition = await service.publish(JobCreated(job=job))
    await service.publish(JobCreated(job=job))
    await service.end(job.id)
    await service.publish(JobCreated(job=job), partition)
    await service.publish(JobCreated(job=later), partition)
    await service.end(later.id)
    assert sum(event.job.finished for event in service.heard[job.id]) == 1


async def test_a_running_encode_is_stopped_when_it_is_cancelled(service: Running, material: Material) -> None:
    job_id = await service.ask(service.site.serve(material.long()), width=1920, quality="very_high")
    await service.hears(job_id, lambda event: isinstance(event, JobProgressed) and bool(event.job.progress))
    assert encoders()
    await service.cancel(job_id)
    job = await service.end(job_id)
    assert job.status == "cancelled"
    assert isinstance(service.heard[job_id][-1], JobCancelled)
    assert [task.status for task in job.tasks] == ["succeeded", "succeeded", "cancelled"]
    assert not encoders(), "no ffmpeg is left"


async def test_a_job_that_waits_is_cancelled_where_it_stands(service: Running, material: Material) -> None:
    busy = [
        await service.ask(service.site.serve(material.long()), width=1920, quality="very_high") for _ in range(SLOTS)
    ]
    for job_id in busy:
        await service.hears(job_id, lambda event: bool(event.job.progress))
    waiting = await service.ask(service.site.serve(material.flat()))
    await service.cancel(waiting)
    assert (await service.end(waiting)).status == "cancelled"
    for job_id in busy:
        await service.cancel(job_id)
        assert (await service.end(job_id)).status == "cancelled"


async def test_a_wish_that_overtakes_its_job_does_not_wait_for_a_free_worker(
    service: Running, material: Material
) -> None:
    long = service.site.serve(material.long())
    busy = [await service.ask(long, width=1920, quality="very_high") for _ in range(SLOTS)]
    for job_id in busy:
        await service.hears(job_id, lambda event: bool(event.job.progress))
    job = service.job(long)
    await service.cancel(job.id)
    connection = await asyncpg.connect(service.settings.database_url)
    try:
        known = "SELECT true FROM transcoder.job_queue_cancellations WHERE id = $1"
        await until(lambda: connection.fetchval(known, job.id))
    finally:
        await connection.close()
    await service.publish(JobCreated(job=job))
    assert (await service.end(job.id)).status == "cancelled"
    assert not any(event.job.finished for job_id in busy for event in service.heard[job_id])
    for job_id in busy:
        await service.cancel(job_id)
        assert (await service.end(job_id)).status == "cancelled"


async def test_it_is_ready_and_measured_and_leaves_no_files_behind(service: Running, material: Material) -> None:
    await service.end(await service.ask(service.site.serve(material.flat()), width=64))
    for check in service.app.checks().values():
        await check()
    assert b'bitmill_job_queue_queued_seconds{service="transcoder"}' in exposition()[0]
    assert list(service.settings.work_dir.glob("**/job_*")) == []
