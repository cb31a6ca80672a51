"""A worker process that is told to stop while Kafka is away: it ends in bounded time, and its work is not lost."""

from pathlib import Path

import asyncpg
import pytest

from chassis.adapters.kafka import codec
from chassis.adapters.kafka.admin import ensure_topics
from chassis.adapters.kafka.producer import open_producer
from chassis.core.ids import new_id, now_ms
from schemas.events import JobCreated
from schemas.jobs import Job
from tests.e2e.processes import ServiceProcess
from tests.services.worker_harness import queued_job
from tests.support.file_server import file_server
from tests.support.footage import Material
from tests.support.proxied_kafka import kafka_behind_proxy
from tests.support.servers import Postgres
from tests.support.system import free_port
from tests.support.waiting import until

SECONDS = 180
"""A safety net for each step. `ServiceProcess.stop` has its own, for the end of the process."""
_ROW = "SELECT state, step, failures, crashed, (SELECT count(*) FROM transcoder.outbox) AS unsent "
_OF_JOB = "FROM transcoder.job_queue WHERE id = $1"


async def publish(bootstrap: str, job: Job) -> None:
    record = codec.encode(JobCreated(job=job), id=new_id("evt"), source="/bitmill/ingest", time_ms=now_ms())
    producer = await open_producer(bootstrap, "tests")
    await producer.send_and_wait(record.topic, record.value, key=record.key, headers=record.headers)
    await producer.stop()


@pytest.mark.parametrize(
    ("hangs", "drain", "seconds", "state"),
    [
        (False, "0s", 60, "queued"),
        pytest.param(True, "0s", 60, "queued", marks=pytest.mark.slow),
        pytest.param(False, "5m", 10, "done", marks=pytest.mark.slow),
        pytest.param(True, "5m", 10, "done", marks=pytest.mark.slow),
    ],
)
async def test_a_worker_stops_in_time_and_its_job_goes_back_or_ends(
    postgres_server: Postgres, material: Material, tmp_path: Path, hangs: bool, drain: str, seconds: int, state: str
) -> None:
    dsn = await postgres_server.database()
    env = {"DATABASE_URL": dsn, "ALLOW_NET": "127.0.0.0/8", "LOG_FORMAT": "json", "DRAIN_TIMEOUT": drain}
    env |= {"STORAGE_URL": (tmp_path / "files").as_uri(), "WORK_DIR": str(tmp_path / "work")}
    (tmp_path / "files").mkdir()
    (tmp_path / "work").mkdir()
    async with kafka_behind_proxy(tmp_path / "kafka") as (kafka, bootstrap), file_server() as files:
        await ensure_topics(bootstrap)
        env["KAFKA_BOOTSTRAP_SERVERS"] = bootstrap
        worker = ServiceProcess("transcoder", ("serve", "transcoder"), free_port(), env, tmp_path)
        job = queued_job("video", files.add(material.long(seconds)), {"width": 640})
        await publish(bootstrap, job)
        await worker.start()
        connection = await asyncpg.connect(dsn)

        async def row() -> asyncpg.Record:
            found = await connection.fetchrow(_ROW + _OF_JOB, job.id)
            assert found is not None
            return found

        async def encodes() -> bool:
            exists = await connection.fetchval("SELECT to_regclass('transcoder.job_queue') IS NOT NULL")
            step = exists and await connection.fetchval(f"SELECT step {_OF_JOB}", job.id)
            return step == "video" and worker.is_encoding()

        async def done_and_sent() -> bool:
            found = await row()
            return (found["state"], found["unsent"]) == ("done", 0)

        try:
            await until(encodes, within=SECONDS)
            await kafka.cut(hang=hangs)
            await worker.stop()
            found = await row()
            assert (found["state"], found["failures"], found["crashed"]) == (state, 0, 0), worker.tail()
            assert found["unsent"] or state == "queued", "its end waits for Kafka"
            await kafka.restore()
            await worker.start()
            await until(done_and_sent, within=SECONDS)
            await worker.stop()
        finally:
            await connection.close()
