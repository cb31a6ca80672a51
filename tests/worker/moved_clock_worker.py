"""A worker process for `test_clock_jumps.py` whose wall clock the test sets; its encoder waits for the test.

python -m tests.worker.moved_clock_worker DATABASE_URL BOOTSTRAP FOLDER
"""

import asyncio
import sys
from pathlib import Path

from chassis.core import logs
from tests.services.worker_harness import worker_settings
from tests.support.moved_clock import ProcessClock
from tests.worker.frozen_worker import TaggingWorker, tagging
from worker.app import WorkerSpec
from worker.runner import Encoder, JobContext, JobOutput
from worker.settings import FileSettings

CLOCK = "clock"
"""Name of the file by which the test sets the clock."""
GO_ON = "go_on"
"""Name of the file that the encoder waits for."""


def encoding_file(folder: Path, job_id: str) -> Path:
    """It is there once the encoder of the job has begun."""
    return folder / f"{job_id}.encoding"


class WaitingWorker(TaggingWorker):
    """Its encoder waits for `GO_ON` in `folder`."""

    def __init__(self, settings: FileSettings, folder: Path) -> None:
        super().__init__(settings, b"")
        self._folder = folder

    def worker(self) -> WorkerSpec:
        return WorkerSpec(kinds=("video",), slots=1, encoder=lambda _: self._encoder(), estimate=lambda *_: 1.0)

    def _encoder(self) -> Encoder:
        encode = tagging(b"")

        async def make(context: JobContext) -> JobOutput:
            encoding_file(self._folder, context.job.id).touch()
            while not (self._folder / GO_ON).exists():
                await asyncio.sleep(0.02)
            return await encode(context)

        return make


async def main(database_url: str, bootstrap: str, folder: Path) -> None:
    ProcessClock(folder / CLOCK).install()
    logs.configure("text", "info")
    settings = FileSettings(**worker_settings(database_url, bootstrap, folder))
    async with WaitingWorker(settings, folder).run():
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
