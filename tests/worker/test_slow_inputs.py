"""Inputs that do not arrive hold no work slot, and stop neither the worker nor a cancellation."""

import asyncio
import shutil
from pathlib import Path

import asyncpg

from chassis.core.ids import new_id
from schemas.events import JobCreated
from tests.services.worker_harness import WorkerHarness, queued_job, worker_settings
from tests.support.dns_server import dns_server
from tests.support.file_server import file
from tests.support.footage import Material
from tests.support.servers import Postgres
from tests.support.waiting import until
from worker.app import WorkerApp, WorkerSpec, worker_service
from worker.runner import JobContext, JobOutput
from worker.settings import FileSettings

SLOW_JOBS = 10


class CopyWorker(WorkerApp[FileSettings]):
    """Copies one input at a time."""

    spec = worker_service("transcoder")

    def worker(self) -> WorkerSpec:
        return WorkerSpec(kinds=("video",), slots=1, encoder=lambda _: copy, estimate=lambda *_: 1.0)


async def copy(context: JobContext) -> JobOutput:
    dest = context.folder / "copy.mp4"
    shutil.copy(context.source, dest)
    return JobOutput(dest, context.info)


async def test_slow_inputs_of_one_project_leave_the_work_slot_and_the_fetch_slots_to_others(
    postgres_server: Postgres, kafka_bootstrap: str, material: Material, tmp_path: Path
) -> None:
    url = await postgres_server.database()
    settings = FileSettings(
        **worker_settings(url, kafka_bootstrap, tmp_path),
        fetch_slots=4,
        fetch_slots_per_project=2,
        fetch_slots_per_host=3,
    )
    async with WorkerHarness(CopyWorker(settings), settings, "video").running() as worker:
        source = material.flat()
        held = worker.files.hold("slow.mp4", file(source))
        project = new_id("prj")
        slow = [queued_job("video", held.url, {}, project=project) for _ in range(SLOW_JOBS)]
        for job in slow:
            await worker.publish(JobCreated(job=job))
        await asyncio.wait_for(held.requested.wait(), 60)
        address = worker.files.add(source)
        for _ in range(3):
            job_id = await worker.submit(address)
            assert (await worker.finished(job_id)).status == "succeeded"
        assert worker.files.requests["slow.mp4"] <= 3
        await worker.cancel(slow[0].id)
        assert (await worker.finished(slow[0].id)).status == "cancelled"
        held.release.set()
        for job in slow[1:]:
            assert (await worker.finished(job.id)).status == "succeeded"


async def test_an_outage_of_our_name_servers_fails_no_job(
    postgres_server: Postgres, kafka_bootstrap: str, material: Material, tmp_path: Path
) -> None:
    """It lasts for more attempts than a job may fail in."""
    url = await postgres_server.database()
    async with dns_server({"input.example": ["127.0.0.1"]}) as dns:
        settings = FileSettings(**worker_settings(url, kafka_bootstrap, tmp_path), egress_name_servers=(dns.address,))
        async with WorkerHarness(CopyWorker(settings), settings, "video").running() as worker:
            dns.outage = "failure"
            address = worker.files.add(material.flat()).replace("127.0.0.1", "input.example")
            job_id = await worker.submit(address)
            connection = await asyncpg.connect(url)
            try:

                async def postponed() -> bool:
                    query = "SELECT failures, postponements FROM transcoder.job_queue WHERE id = $1"
                    row = await connection.fetchrow(query, job_id)
                    assert row is None or row["failures"] == 0
                    return row is not None and row["postponements"] >= 4

                await until(postponed, within=120)
            finally:
                await connection.close()
            dns.outage = None
            assert (await worker.finished(job_id)).status == "succeeded"


async def test_a_worker_that_stops_gives_back_what_it_fetches(
    postgres_server: Postgres, kafka_bootstrap: str, material: Material, tmp_path: Path
) -> None:
    url = await postgres_server.database()
    settings = FileSettings(**worker_settings(url, kafka_bootstrap, tmp_path))
    async with WorkerHarness(CopyWorker(settings), settings, "video").running() as worker:
        held = worker.files.hold("slow.mp4", file(material.flat()))
        await worker.submit(held.url)
        await asyncio.wait_for(held.requested.wait(), 60)
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow("SELECT state, failures, crashed FROM transcoder.job_queue")
    finally:
        await connection.close()
    assert row is not None and tuple(row) == ("queued", 0, 0)
