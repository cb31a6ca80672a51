"""A worker that stops: no child process is left, and its running job is back in the queue."""

from datetime import timedelta
from pathlib import Path

import asyncpg

from services.transcoder.app import Transcoder
from services.transcoder.settings import Settings
from tests.services.worker_harness import WorkerHarness, ffmpeg_processes, worker_settings
from tests.support.footage import Material
from tests.support.servers import Postgres


async def test_a_worker_that_stops_releases_its_job(
    postgres_server: Postgres, kafka_bootstrap: str, material: Material, tmp_path: Path
) -> None:
    url = await postgres_server.database()
    settings = Settings(transcoder_slots=1, **worker_settings(url, kafka_bootstrap, tmp_path))
    async with WorkerHarness(Transcoder(settings), settings, "video").running() as worker:
        job_id = await worker.submit(worker.files.add(material.long()), width=1920, quality="very_high")
        await worker.encoding(job_id)
        assert ffmpeg_processes()
    assert not ffmpeg_processes()
    assert list((tmp_path / "work").glob("run-*")) == []
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow("SELECT state, failures FROM transcoder.job_queue WHERE id = $1", job_id)
        assert row is not None and (row["state"], row["failures"]) == ("queued", 0), "its attempt does not count"
        assert await connection.fetchval("SELECT count(*) FROM transcoder.outbox") == 0, "the relay flushed it"
    finally:
        await connection.close()


async def test_a_worker_that_drains_finishes_its_job_and_takes_no_other(
    postgres_server: Postgres, kafka_bootstrap: str, material: Material, tmp_path: Path
) -> None:
    given = worker_settings(await postgres_server.database(), kafka_bootstrap, tmp_path)
    settings = Settings(transcoder_slots=1, drain_timeout=timedelta(minutes=5), **given)
    app = Transcoder(settings)
    async with WorkerHarness(app, settings, "video").running() as worker:
        job_id = await worker.submit(worker.files.add(material.long(20)), width=640)
        await worker.encoding(job_id)
        late = await worker.submit(worker.files.add(material.rotated()), width=160)
        await app.drain()
        assert (await worker.finished(job_id)).status == "succeeded"
        assert not ffmpeg_processes()
        assert [event.TYPE for event in worker.events[late]] == []
