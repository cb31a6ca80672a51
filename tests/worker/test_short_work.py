"""Short work starts beside long work, and slow input servers hold no work slot (the only slot of a worker)."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from chassis.core.ids import new_id
from schemas.events import JobCreated
from schemas.jobs import Job
from tests.services.worker_harness import WorkerHarness, queued_job, worker_settings
from tests.support.footage import Material
from tests.support.servers import Postgres
from tests.support.waiting import until
from worker.app import WorkerApp, WorkerSpec, worker_service
from worker.runner import JobContext, JobOutput
from worker.settings import FileSettings

FILM = {"length": "film"}
LYING_FILM = {"length": "film", "estimate": "short"}


class OneSlotWorker(WorkerApp[FileSettings]):
    """Films hold the slot until `end_films` is set; other jobs are copies. What is a film, only the probe tells."""

    spec = worker_service("transcoder")

    def __init__(self, settings: FileSettings) -> None:
        super().__init__(settings)
        self.films = 0
        self.end_films = asyncio.Event()

    def worker(self) -> WorkerSpec:
        return WorkerSpec(kinds=("video",), slots=1, encoder=lambda _: self._encode, estimate=estimate)

    async def _encode(self, context: JobContext) -> JobOutput:
        if context.job.metadata.get("length") == "film":
            self.films += 1
            await self.end_films.wait()
        dest = context.folder / "copy.mp4"
        shutil.copy(context.source, dest)
        return JobOutput(dest, context.info)


def estimate(job: Job, duration: float | None) -> float:
    known = duration is not None and "estimate" not in job.metadata
    return 600.0 if known and job.metadata.get("length") == "film" else 1.0


class Bench:
    """A running worker with one slot."""

    def __init__(self, worker: WorkerHarness, app: OneSlotWorker, input: str) -> None:
        self.worker = worker
        self.app = app
        self.input = input

    async def submit(self, project: str, input: str | None = None, **metadata: str) -> Job:
        job = queued_job("video", input or self.input, {}, project=project, metadata=metadata)
        await self.worker.publish(JobCreated(job=job))
        return job

    async def succeeds(self, job: Job) -> None:
        assert (await self.worker.finished(job.id)).status == "succeeded"


@pytest.fixture
async def bench(
    postgres_server: Postgres, kafka_bootstrap: str, material: Material, tmp_path: Path
) -> AsyncIterator[Bench]:
    url = await postgres_server.database()
    settings = FileSettings(**worker_settings(url, kafka_bootstrap, tmp_path))
    app = OneSlotWorker(settings)
    async with WorkerHarness(app, settings, "video").running() as worker:
        yield Bench(worker, app, worker.files.add(material.flat()))


async def test_row_6_a_clip_starts_while_films_hold_the_only_slot_and_the_extra_one(bench: Bench) -> None:
    ours, other = new_id("prj"), new_id("prj")
    films = [await bench.submit(ours, **FILM)]
    await until(lambda: bench.app.films == 1, within=60)
    await bench.succeeds(await bench.submit(ours))
    films.append(await bench.submit(other, **FILM))
    await until(lambda: bench.app.films == 2, within=60)
    for project in (ours, other, new_id("prj")):
        await bench.succeeds(await bench.submit(project))
    films.append(await bench.submit(new_id("prj"), **FILM))
    await bench.succeeds(await bench.submit(new_id("prj")))
    assert bench.app.films == 2, "the third film waits: a slot stays free for short work"
    bench.app.end_films.set()
    for film in films:
        await bench.succeeds(film)


async def test_row_7_input_servers_of_three_projects_that_send_nothing_hold_no_slot(bench: Bench) -> None:
    asked, go_on = [0], asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        asked[0] += 1
        await go_on.wait()
        return web.Response(status=404)

    address = bench.worker.files.answer("slow.mp4", answer)
    try:
        slow = [await bench.submit(project, address) for project in [new_id("prj") for _ in range(3)] for _ in range(4)]
        await until(lambda: asked[0] >= 9, within=60)
        await bench.succeeds(await bench.submit(new_id("prj")))
        await bench.succeeds(await bench.submit(slow[0].project))
    finally:
        go_on.set()
