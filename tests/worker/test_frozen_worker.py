"""A worker that was frozen past its lease while it stored an output does not touch that of the attempt which won."""

import signal
from functools import partial
from pathlib import Path

import asyncpg

from tests.services.worker_harness import WorkerHarness, worker_settings
from tests.support.footage import Material
from tests.support.servers import Postgres
from tests.support.waiting import until
from tests.worker.frozen_worker import COPIED, GO_ON, TaggingWorker
from tests.worker.worker_process import WorkerProcess
from worker.settings import FileSettings


async def has_published(url: str) -> bool:
    connection = await asyncpg.connect(url)
    try:
        return not await connection.fetchval("SELECT count(*) FROM transcoder.outbox")
    finally:
        await connection.close()


async def test_a_thawed_worker_neither_replaces_the_output_nor_leaves_its_own(
    postgres_server: Postgres, kafka_bootstrap: str, material: Material, tmp_path: Path
) -> None:
    url = await postgres_server.database()
    frozen = WorkerProcess("tests.worker.frozen_worker", url, kafka_bootstrap, str(tmp_path))
    settings = FileSettings(**worker_settings(url, kafka_bootstrap, tmp_path))
    async with WorkerHarness(frozen, settings, "video").running() as worker:
        source = material.flat()
        job_id = await worker.submit(worker.files.add(source))
        await until((tmp_path / COPIED).exists, within=120)
        # It would be waited for until its transaction has timed out, if it was frozen while it publishes.
        await until(partial(has_published, url), within=120)
        frozen.send(signal.SIGSTOP)
        async with TaggingWorker(settings, b"the second").run():
            job = await worker.finished(job_id)
        output = job.output
        assert output is not None, job.error
        object_file = worker.storage.local_path(output.key)
        assert object_file is not None

        def is_the_second() -> bool:
            return object_file.read_bytes() == source.read_bytes() + b"the second"

        assert is_the_second()
        (tmp_path / GO_ON).touch()
        frozen.send(signal.SIGCONT)
        objects = object_file.parent
        # It has gone on with its own object, and has removed it.
        await until(lambda: not list((tmp_path / "storage" / ".incoming").iterdir()), within=120)
        await until(lambda: list(objects.iterdir()) == [object_file], within=120)
        assert is_the_second() and output.filesize == object_file.stat().st_size
        assert worker.terminal_events(job_id) == 1
        # The frozen worker has noticed that it lost its lease: it works on the next job, and its output counts.
        other = await worker.finished(await worker.submit(worker.files.url(source.name)))
        assert other.output is not None and list(objects.iterdir()) == [object_file]
