"""The service on real Kafka and Postgres: from the event that asks for a picture to the event that tells its end."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pyvips

from chassis.core.ids import new_id
from chassis.core.metrics import exposition
from devtools.footage import Footage
from schemas.events import JobCancelled, JobCreated, JobStarted, JobSucceeded
from schemas.files import File
from schemas.jobs import Job
from services.thumbnailer.app import Thumbnailer
from services.thumbnailer.settings import Settings
from tests.services.running import Running, item_with_jobs, queued, surroundings
from tests.support.footage import Material
from tests.support.servers import Postgres


@pytest.fixture(scope="module")
async def service(
    postgres_server: Postgres, kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("thumbnailer")
    settings = Settings(**surroundings(await postgres_server.database(), kafka_bootstrap, folder))
    async with Running(Thumbnailer(settings), settings, "image").working() as opened:
        yield opened


async def stored(service: Running, job: Job) -> pyvips.Image:
    """The output's pixels, read back from the storage."""
    assert job.output is not None
    data = b"".join([chunk async for chunk in service.storage.read(job.output.key)])
    assert len(data) == job.output.filesize
    return pyvips.Image.new_from_buffer(data, "")


async def test_a_frame_of_a_clip_that_is_fetched(service: Running, footage: Footage) -> None:
    job_id = await service.ask(service.site.serve(footage.bunny), start=2, width=640, format="webp")
    job = await service.end(job_id)
    assert job.status == "succeeded", job.error
    assert job.output is not None
    output = job.output
    assert (output.kind, output.format, output.width, output.height) == ("image", "webp", 640, 360)
    assert (output.content_type, output.path) == ("image/webp", f"{job_id}/image.webp")
    assert output.placeholder is None and output.background is None
    assert [task.status for task in job.tasks] == ["succeeded"] * 3
    assert job.metadata == {"user_id": "usr_1"}
    image = await stored(service, job)
    assert (image.width, image.height) == (640, 360)
    assert isinstance(service.heard[job_id][0], JobStarted)
    assert isinstance(service.heard[job_id][-1], JobSucceeded)


async def test_a_photo_that_is_fetched(service: Running, footage: Footage) -> None:
    job = await service.end(await service.ask(service.site.serve(footage.coffee), width=320, quality="high"))
    assert job.status == "succeeded", job.error
    image = await stored(service, job)
    assert (image.width, image.height, image.get("vips-loader")) == (320, 213, "pngload_buffer")


async def test_the_poster_of_a_media_item_carries_placeholder_and_background(
    service: Running, footage: Footage
) -> None:
    media_id, project = new_id("med"), new_id("prj")
    key = f"{project}/media/{media_id}/original.mp4"
    await service.storage.put(key, footage.bikes, "video/mp4")
    size = footage.bikes.stat().st_size
    original = File(
        id=new_id("file"), key=key, kind="video", format="mp4", content_type="video/mp4", filesize=size, duration=10
    )
    common = {"project": project, "media_id": media_id, "source": original}
    poster = queued("image", "media:original", {"format": "jpeg", "width": 640}, ref="poster", **common)
    video = queued("video", "media:original", {}, ref="preview", **common)
    await service.publish(item_with_jobs(original, [video, poster]))
    job = await service.end(poster.id)
    assert job.status == "succeeded", job.error
    assert job.output is not None
    assert job.output.path == f"{media_id}/poster.jpg"
    assert job.output.placeholder is not None and job.output.placeholder.startswith("data:image/webp;base64,")
    assert job.output.background is not None and len(job.output.background) == 7
    assert video.id not in service.heard


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
    path: Path = getattr(material, name)()
    job = await service.end(await service.ask(service.site.serve(path), width=100))
    assert job.status == "failed"
    assert job.error is not None and job.error.kind == kind
    assert job.output is None


async def test_an_input_that_is_not_there_fails(service: Running) -> None:
    job = await service.end(await service.ask(service.site.refuse(404, "nothing.mp4")))
    assert job.error is not None and job.error.kind == "input_not_found"


async def test_a_start_past_the_end_fails(service: Running, footage: Footage) -> None:
    job = await service.end(await service.ask(service.site.serve(footage.bikes), start=99))
    assert job.error is not None and job.error.kind == "start_out_of_range"


async def test_the_same_event_twice_makes_one_picture(service: Running, footage: Footage) -> None:
    address = service.site.serve(footage.rocket)
    job, later = service.job(address, width=64), service.job(address, width=32)
    partition = await service.publish(JobCreated(job=job))
    await service.publish(JobCreated(job=job))
    await service.end(job.id)
    await service.publish(JobCreated(job=later), partition)
    await service.end(later.id)
    assert sum(event.job.finished for event in service.heard[job.id]) == 1


async def test_a_job_that_runs_is_stopped_when_it_is_cancelled(service: Running) -> None:
    address, answer = service.site.hold()
    job_id = await service.ask(address)
    await service.started(job_id)
    await service.cancel(job_id)
    job = await service.end(job_id)
    answer.set()
    assert job.status == "cancelled"
    assert isinstance(service.heard[job_id][-1], JobCancelled)


async def test_it_is_ready_and_measured_and_leaves_no_files_behind(service: Running, footage: Footage) -> None:
    await service.end(await service.ask(service.site.serve(footage.bikes), width=64))
    for check in service.app.checks().values():
        await check()
    assert b'bitmill_job_queue_queued_seconds{service="thumbnailer"}' in exposition()[0]
    assert list(service.settings.work_dir.glob("**/job_*")) == []
