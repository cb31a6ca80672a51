"""A job that kills its worker process is set aside; the jobs that ran beside it succeed."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from schemas.events import JobCreated
from tests.services.worker_harness import WorkerHarness, queued_job, worker_settings
from tests.support.footage import Material
from tests.support.processes import killed_process
from tests.support.servers import Postgres
from tests.worker.poison_worker import INNOCENTS
from worker.settings import FileSettings

ROOT = Path(__file__).parents[2]


class RestartedProcess:
    """The worker in a process of its own that is started again whenever it ends, as an orchestrator does."""

    name = "transcoder"

    def __init__(self, *arguments: str) -> None:
        self._command = (sys.executable, "-m", "tests.worker.poison_worker", *arguments)
        self.deaths = 0

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        running = asyncio.create_task(self._restart())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def _restart(self) -> None:
        while True:
            async with killed_process(*self._command, cwd=ROOT) as process:
                await process.wait()
            self.deaths += 1


async def test_one_poison_and_three_innocent_jobs(
    postgres_server: Postgres, kafka_bootstrap: str, material: Material, tmp_path: Path
) -> None:
    url = await postgres_server.database()
    process = RestartedProcess(url, kafka_bootstrap, str(tmp_path))
    settings = FileSettings(**worker_settings(url, kafka_bootstrap, tmp_path))
    async with WorkerHarness(process, settings, "video").running() as worker:
        address = worker.files.add(material.flat())
        # Of different projects, so that fairness does not keep them apart.
        poison = queued_job("video", address, {"poison": True})
        innocents = [queued_job("video", address, {}) for _ in range(INNOCENTS)]
        for job in (*innocents, poison):
            await worker.publish(JobCreated(job=job))
        for job in innocents:
            assert (await worker.finished(job.id)).status == "succeeded"
        end = await worker.finished(poison.id)
        assert end.error is not None and (end.status, end.error.kind) == ("failed", "poisoned")
        assert [task.status for task in end.tasks] == ["succeeded", "succeeded", "failed", "cancelled"]
        for job in (*innocents, poison):
            assert worker.terminal_events(job.id) == 1
    assert process.deaths >= 4, "once with the others, and three times alone"
