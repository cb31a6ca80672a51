"""A worker process for `test_poison.py`: one of its jobs kills the process.

python -m tests.worker.poison_worker DATABASE_URL BOOTSTRAP FOLDER
"""

import asyncio
import os
import shutil
import signal
import sys
from datetime import timedelta
from pathlib import Path

from chassis.adapters.postgres import Pool
from chassis.core import logs
from chassis.runtime.job_queue import JobQueue
from chassis.runtime.outbox import Outbox
from media.tools import Tools
from tests.services.worker_harness import worker_settings
from worker.app import WorkerApp, WorkerSpec, worker_service
from worker.runner import Encoder, JobContext, JobOutput
from worker.settings import FileSettings

INNOCENTS = 3


class PoisonWorker(WorkerApp[FileSettings]):
    spec = worker_service("transcoder")

    def worker(self) -> WorkerSpec:
        return WorkerSpec(kinds=("video",), slots=INNOCENTS + 1, encoder=encoder, estimate=lambda *_: 1.0)

    def job_queue(self, pool: Pool, outbox: Outbox) -> JobQueue:
        # A short lease, so that the test does not wait long after each crash.
        return JobQueue(pool, outbox, lease=timedelta(seconds=2), suspect_pause=timedelta(0))


def encoder(tools: Tools) -> Encoder:
    """Copies the input. The first time all jobs run together, and the poison input crashes the worker of all."""
    folder = tools.workdir.parent

    async def make(context: JobContext) -> JobOutput:
        crashed = folder / "crashed"
        if context.job.options.get("poison"):
            while len(list(folder.glob("running-*"))) < INNOCENTS:
                await asyncio.sleep(0.01)
            crashed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        (folder / f"running-{context.job.id}").touch()
        if not crashed.exists():
            await asyncio.Event().wait()
        dest = context.folder / "copy.mp4"
        shutil.copy(context.source, dest)
        return JobOutput(dest, context.info)

    return make


async def main(database_url: str, bootstrap: str, folder: Path) -> None:
    logs.configure("text", "info")
    settings = FileSettings(**worker_settings(database_url, bootstrap, folder))
    async with PoisonWorker(settings).run():
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
