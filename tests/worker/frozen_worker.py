"""A worker process for `test_frozen_worker.py` that waits in the middle of storing its output.

python -m tests.worker.frozen_worker DATABASE_URL BOOTSTRAP FOLDER
"""

import asyncio
import shutil
import sys
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from chassis.adapters.postgres import Pool
from chassis.adapters.storage.file_ops import copy_file
from chassis.adapters.storage.local import Copy, LocalStorage
from chassis.core import logs
from chassis.runtime.job_queue import JobQueue
from chassis.runtime.outbox import Outbox
from chassis.runtime.service_app import Components, Resources
from tests.services.worker_harness import worker_settings
from worker.app import WorkerApp, WorkerSpec, worker_service
from worker.runner import Encoder, JobContext, JobOutput
from worker.settings import FileSettings

COPIED = "copied"
"""Name of the file that says that the output is copied, and is not under its key yet."""
GO_ON = "go_on"
"""Name of the file that the copy then waits for."""
LEASE = timedelta(seconds=3)
"""Short, so that the tests do not wait long."""


class TaggingWorker(WorkerApp[FileSettings]):
    """Its outputs are the inputs with `tag` at their ends; `copy` copies them into the storage."""

    spec = worker_service("transcoder")

    def __init__(self, settings: FileSettings, tag: bytes, copy: Copy = copy_file) -> None:
        super().__init__(settings)
        self._tag = tag
        self._copy = copy

    def worker(self) -> WorkerSpec:
        return WorkerSpec(kinds=("video",), slots=1, encoder=lambda _: tagging(self._tag), estimate=lambda *_: 1.0)

    def job_queue(self, pool: Pool, outbox: Outbox) -> JobQueue:
        return JobQueue(pool, outbox, lease=LEASE)

    async def build(self, resources: Resources) -> Components[None]:
        storage = LocalStorage(Path(urlsplit(self.settings.storage_url).path), copy=self._copy)
        return await super().build(replace(resources, _storage=storage))


def tagging(tag: bytes) -> Encoder:
    async def make(context: JobContext) -> JobOutput:
        dest = context.folder / "tagged.mp4"
        shutil.copy(context.source, dest)
        with dest.open("ab") as file:
            file.write(tag)
        return JobOutput(dest, context.info.model_copy(update={"filesize": dest.stat().st_size}))

    return make


def waiting_copy(folder: Path) -> Copy:
    """Copies, and then waits for `GO_ON`."""

    def copy(source: BinaryIO, target: BinaryIO, cancelled: threading.Event) -> int:
        copied = copy_file(source, target, cancelled)
        (folder / COPIED).touch()
        while not (folder / GO_ON).exists():
            time.sleep(0.01)
        return copied

    return copy


async def main(database_url: str, bootstrap: str, folder: Path) -> None:
    logs.configure("text", "info")
    settings = FileSettings(**worker_settings(database_url, bootstrap, folder))
    async with TaggingWorker(settings, b"first", waiting_copy(folder)).run():
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
