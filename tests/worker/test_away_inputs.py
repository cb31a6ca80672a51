"""Inputs whose server is away for a while: the job waits in the queue, and succeeds once the server is back."""

from pathlib import Path

from aiohttp import web

from chassis.core.ids import new_id
from schemas.jobs import Job
from tests.services.worker_harness import WorkerHarness, worker_settings
from tests.support.file_server import Answer, fails_first, file
from tests.support.footage import Material
from tests.support.servers import Postgres
from tests.support.waiting import until
from tests.worker.test_slow_inputs import CopyWorker
from worker.settings import FileSettings

FAILURES = 4


def retry_after(seconds: int) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=429, headers={"Retry-After": str(seconds)})

    return answer


async def test_a_job_succeeds_when_its_server_is_back_and_holds_no_slot_meanwhile(
    postgres_server: Postgres, kafka_bootstrap: str, material: Material, tmp_path: Path
) -> None:
    url = await postgres_server.database()
    # One slot for fetching and one for working: a job that waited in either would keep the others out.
    settings = FileSettings(**worker_settings(url, kafka_bootstrap, tmp_path), fetch_slots=1, fetch_slots_per_project=1)
    async with WorkerHarness(CopyWorker(settings), settings, "video").running() as worker:
        source, project = material.flat(), new_id("prj")
        address = worker.files.add(source)
        limited = [
            await worker.submit(worker.files.answer(f"limited{number}", retry_after(300)), project=project)
            for number in range(4)
        ]
        away = await worker.submit(
            worker.files.answer("away.mp4", fails_first(file(source), times=FAILURES)), project=project
        )

        def retries(job_id: str) -> list[Job]:
            return [event.job for event in worker.progress[job_id] if event.job.retry_at is not None]

        await until(lambda: all(retries(job_id) for job_id in limited))
        assert (await worker.finished(await worker.submit(address, project=project))).status == "succeeded"
        assert (await worker.finished(away)).status == "succeeded"
        assert worker.files.requests["away.mp4"] == FAILURES + 1
        # They come on another topic than the end.
        await until(lambda: len(retries(away)) == FAILURES)
        for job_id in limited:
            (job,) = retries(job_id)
            assert job.retry_at is not None and 300_000 <= job.retry_at - job.updated_at <= 330_000
        assert all(worker.files.requests[f"limited{number}"] == 1 for number in range(4))
        await worker.cancel(limited[0])
        cancelled = await worker.finished(limited[0])
        assert (cancelled.status, cancelled.retry_at) == ("cancelled", None)
