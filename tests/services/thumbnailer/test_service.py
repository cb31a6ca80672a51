"""The thumbnailer on real Kafka and Postgres: from `job.created` to the terminal event."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pyvips

from chassis.core.ids import new_id
from chassis.core.metrics import exposition
from devtools.footage import Footage
from schemas.events import JobCancelled, JobCreated, JobStarted, JobSucceeded
from schemas.faults import Fault
from schemas.files import File
from schemas.jobs import Job
from services.thumbnailer.app import Thumbnailer
from services.thumbnailer.settings import Settings
from tests.services.worker_harness import WorkerHarness, media_created, queued_job, worker_settings
from tests.support.file_server import status
from tests.support.footage import Material
from tests.support.servers import Postgres
from tests.support.waiting import until


@pytest.fixture(scope="module")
async def worker(
    postgres_server: Postgres, kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[WorkerHarness]:
    folder = tmp_path_factory.mktemp("thumbnailer")
    settings = Settings(**worker_settings(await postgres_server.database(), kafka_bootstrap, folder))
    async with WorkerHarness(Thumbnailer(settings), settings, "image").running() as opened:
        yield opened


async def stored(worker: WorkerHarness, job: Job) -> pyvips.Image:
    """The output's pixels, read from the storage."""
    assert job.output is not None
    data = b"".join([chunk async for chunk in worker.storage.read(job.output.key)])
    assert len(data) == job.output.filesize
    return pyvips.Image.new_from_buffer(data, "")


async def test_a_frame_of_a_clip_that_is_fetched(worker: WorkerHarness, footage: Footage) -> None:
    job_id = await worker.submit(worker.files.add(footage.bunny), start=2, width=640, format="webp")
    job = await worker.finished(job_id)
    assert job.status == "succeeded", job.error
    assert job.output is not None
    output = job.output
    assert (output.kind, output.format, output.width, output.height) == ("image", "webp", 640, 360)
    assert (output.content_type, output.path) == ("image/webp", f"{job_id}/image.webp")
    assert output.placeholder is None and output.background is None
    assert [task.status for task in job.tasks] == ["succeeded"] * 4
    assert job.metadata == {"user_id": "usr_1"}
    image = await stored(worker, job)
    assert (image.width, image.height) == (640, 360)
    assert isinstance(worker.events[job_id][0], JobStarted)
    assert isinstance(worker.events[job_id][-1], JobSucceeded)


async def test_a_photo_that_is_fetched(worker: WorkerHarness, footage: Footage) -> None:
    job = await worker.finished(await worker.submit(worker.files.add(footage.coffee), width=320, quality="high"))
    assert job.status == "succeeded", job.error
    image = await stored(worker, job)
    assert (image.width, image.height, image.get("vips-loader")) == (320, 213, "pngload_buffer")


async def test_metadata_keys_keep_the_customer_s_order(worker: WorkerHarness, footage: Footage) -> None:
    metadata = {"zebra": "1", "a": "2", "mm": "3"}
    job = queued_job("image", worker.files.add(footage.rocket), {"width": 64}, metadata=metadata)
    await worker.publish(JobCreated(job=job))
    finished = await worker.finished(job.id)
    assert finished.status == "succeeded"
    assert {tuple(event.job.metadata) for event in worker.events[job.id]} == {("zebra", "a", "mm")}


async def test_the_poster_of_a_media_item_carries_placeholder_and_background(
    worker: WorkerHarness, footage: Footage
) -> None:
    media_id, project = new_id("med"), new_id("prj")
    key = f"{project}/media/{media_id}/original.mp4"
    await worker.storage.put(key, footage.bikes, "video/mp4")
    size = footage.bikes.stat().st_size
    original = File(
        id=new_id("file"), key=key, kind="video", format="mp4", content_type="video/mp4", filesize=size, duration=10
    )
    common = {"project": project, "media_id": media_id, "source": original}
    poster = queued_job("image", "media:original", {"format": "jpeg", "width": 640}, ref="poster", **common)
    video = queued_job("video", "media:original", {}, ref="preview", **common)
    await worker.publish(media_created(original, [video, poster]))
    job = await worker.finished(poster.id)
    assert job.status == "succeeded", job.error
    assert job.output is not None
    assert job.output.path == f"{job.id}/image.jpg"
    assert job.output.placeholder is not None and job.output.placeholder.startswith("data:image/webp;base64,")
    assert job.output.background is not None and len(job.output.background) == 7
    assert video.id not in worker.events


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
    path: Path = getattr(material, name)()
    job = await worker.finished(await worker.submit(worker.files.add(path), width=100))
    assert job.status == "failed"
    assert job.error is not None and job.error.kind == kind
    assert job.output is None


async def test_an_input_that_is_not_there_fails(worker: WorkerHarness) -> None:
    job = await worker.finished(await worker.submit(worker.files.answer("nothing.mp4", status(404))))
    assert job.error is not None and job.error.kind == "input_not_found"


async def test_a_start_past_the_end_fails(worker: WorkerHarness, footage: Footage) -> None:
    job = await worker.finished(await worker.submit(worker.files.add(footage.bikes), start=99))
    assert job.error is not None and job.error.kind == "start_out_of_range"


async def test_a_repeated_event_makes_one_image(worker: WorkerHarness, footage: Footage) -> None:
    address = worker.files.add(footage.rocket)
    job, later = worker.job(address, width=64), worker.job(address, width=32)
    partition = await worker.publish(JobCreated(job=job))
    await worker.publish(JobCreated(job=job))
    await worker.finished(job.id)
    await worker.publish(JobCreated(job=later), partition)
    await worker.finished(later.id)
    assert worker.terminal_events(job.id) == 1


async def test_a_job_that_runs_is_stopped_when_it_is_cancelled(worker: WorkerHarness) -> None:
    held = worker.files.hold("held.mp4", status(404))
    job_id = await worker.submit(held.url)
    await worker.started(job_id)
    await worker.cancel(job_id)
    job = await worker.finished(job_id)
    held.release.set()
    assert job.status == "cancelled"
    assert isinstance(worker.events[job_id][-1], JobCancelled)


async def test_its_checks_pass_and_no_files_are_left(worker: WorkerHarness, footage: Footage) -> None:
    await worker.finished(await worker.submit(worker.files.add(footage.bikes), width=64))
    assert isinstance(worker.app, Thumbnailer)
    for check in worker.app.checks().values():
        await check()
    await worker.app.refresh_metrics()
    assert b'bitmill_job_queue_queued_seconds{service="thumbnailer"}' in exposition()[0]
    # The folder of a job is removed after its end.
    await until(lambda: not list(worker.settings.work_dir.glob("**/job_*")))


async def test_a_probe_finds_the_facts_of_a_film_and_stores_nothing(worker: WorkerHarness, footage: Footage) -> None:
    job = queued_job("probe", worker.files.add(footage.bunny), {}, atomic=True)
    await worker.publish(JobCreated(job=job))
    ended = await worker.finished(job.id)
    assert (ended.status, ended.output) == ("succeeded", None), ended.error
    assert ended.probed is not None
    probed = ended.probed
    assert probed.codecs is not None
    assert (probed.kind, probed.format, probed.codecs.video) == ("video", "mp4", "h264")
    assert probed.filesize == footage.bunny.stat().st_size
    assert [(task.kind, task.status) for task in ended.tasks] == [("import", "succeeded"), ("probe", "succeeded")]
    assert not [each async for each in worker.storage.list_objects() if job.id in each.key]


async def test_an_import_copies_the_bytes_also_of_a_stored_file(worker: WorkerHarness, footage: Footage) -> None:
    job = queued_job("import", worker.files.add(footage.bunny), {}, atomic=True)
    await worker.publish(JobCreated(job=job))
    first = await worker.finished(job.id)
    assert first.output is not None, first.error
    assert (first.output.path, first.output.format) == (f"{job.id}/import.mp4", "mp4")
    source = File.model_validate(first.output.model_dump())
    again = queued_job("import", "https://files.example.com/x", {}, atomic=True, project=job.project, source=source)
    await worker.publish(JobCreated(job=again))
    second = await worker.finished(again.id)
    assert second.output is not None, second.error
    for output in (first.output, second.output):
        data = b"".join([chunk async for chunk in worker.storage.read(output.key)])
        assert data == footage.bunny.read_bytes()
    assert first.output.key != second.output.key


async def test_an_import_removes_tags_where_the_project_wants_it(worker: WorkerHarness, tmp_path: Path) -> None:
    tagged = tmp_path / "tagged.jpg"
    pixels = pyvips.Image.black(64, 48, bands=3).copy(interpretation="srgb").copy()
    pixels.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Make", "Secretcamera")
    pixels.jpegsave(str(tagged))
    assert b"Secretcamera" in tagged.read_bytes()
    job = queued_job("import", worker.files.add(tagged), {}, atomic=True, strip=True)
    await worker.publish(JobCreated(job=job))
    ended = await worker.finished(job.id)
    assert ended.output is not None, ended.error
    stored_bytes = b"".join([chunk async for chunk in worker.storage.read(ended.output.key)])
    assert b"Secretcamera" not in stored_bytes


async def test_a_job_whose_stored_input_is_gone_or_never_came_fails_with_the_code(worker: WorkerHarness) -> None:
    project = new_id("prj")
    missing = File(
        id=new_id("file"),
        key=f"{project}/media/{new_id('med')}/gone.mp4",
        kind="video",
        format="mp4",
        content_type="video/mp4",
        filesize=9,
    )
    gone = queued_job("probe", new_id("med"), {}, atomic=True, project=project, source=missing)
    fault = Fault(kind="input_gone", message="The input is a media item without a file.")
    never = queued_job("image", new_id("med"), {}, input_fault=fault)
    for job in (gone, never):
        await worker.publish(JobCreated(job=job))
        ended = await worker.finished(job.id)
        assert ended.error is not None
        assert (ended.status, ended.error.kind) == ("failed", "input_gone")
        assert [task.status for task in ended.tasks][:2] == ["failed", "cancelled"]
    assert (await worker.finished(never.id)).error == fault


async def test_a_job_that_waits_for_its_input_is_not_begun(worker: WorkerHarness, footage: Footage) -> None:
    media_id = new_id("med")
    job = queued_job("image", media_id, {"width": 64}, waits_for=media_id)
    partition = await worker.publish(JobCreated(job=job))
    released = job.model_copy(update={"waits_for": None, "input": worker.files.add(footage.rocket)})
    # A worker leaves a job alone that it knows: if it had taken the first one, that would fail.
    await worker.publish(JobCreated(job=released), partition)
    assert (await worker.finished(job.id)).status == "succeeded"
