"""Jobs whose files are in a customer's store: from `job.created` to the object and the terminal event."""

import os
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pyvips

from chassis.core.encryption import Keyring
from devtools.footage import Footage
from schemas.connections import ConnectionAccess, secret_context
from schemas.events import JobCreated
from schemas.jobs import Job
from services.thumbnailer.app import Thumbnailer
from services.thumbnailer.settings import Settings
from tests.services.worker_harness import WorkerHarness, queued_job, worker_settings
from tests.support import s3_servers
from tests.support.s3_servers import ACCESS_KEY, REGION, SECRET, S3Server
from tests.support.servers import Postgres

KEY = os.urandom(32)
PROJECT, CONNECTION = "prj_01h455vb4pex5vsknk084sn02q", "conn_01h455vb4pex5vsknk084sn02q"


@pytest.fixture(scope="module")
async def s3() -> AsyncIterator[S3Server]:
    async with s3_servers.moto() as server:
        await server.create_buckets("uploads", "processed")
        yield server


@pytest.fixture(scope="module")
async def worker(
    postgres_server: Postgres, kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[WorkerHarness]:
    folder = tmp_path_factory.mktemp("thumbnailer")
    common = worker_settings(await postgres_server.database(), kafka_bootstrap, folder)
    settings = Settings(**common, encryption_keys=b64encode(KEY).decode(), fetch_retry_span="0s")
    async with WorkerHarness(Thumbnailer(settings), settings, "image").running() as opened:
        yield opened


async def ended(worker: WorkerHarness, s3: S3Server, input: str, destination: str | None, **access: Any) -> Job:
    secret = access.pop("secret", SECRET)
    fields = {"endpoint": s3.endpoint, "region": REGION, "access_key_id": ACCESS_KEY, **access}
    encrypted = Keyring([KEY]).encrypt(secret, secret_context(PROJECT, CONNECTION))
    job = queued_job(
        "image",
        input,
        {"width": 320, "format": "webp"},
        project=PROJECT,
        destination=destination,
        connection_id=CONNECTION,
        connection=ConnectionAccess(**fields, encrypted_secret=encrypted),
    )
    await worker.publish(JobCreated(job=job))
    return await worker.finished(job.id)


async def test_an_image_goes_from_bucket_to_bucket(worker: WorkerHarness, s3: S3Server, footage: Footage) -> None:
    await s3.put("uploads", "photos/coffee.png", footage.coffee.read_bytes())
    wanted = "s3://processed/{metadata.user_id}/{filename}-{width}.{ext}"
    job = await ended(worker, s3, "s3://uploads/photos/coffee.png", wanted)
    assert job.status == "succeeded", job.error
    assert job.output is not None and job.output.location == "s3://processed/usr_1/coffee-320.webp"
    data = await s3.get("processed", "usr_1/coffee-320.webp")
    assert len(data) == job.output.filesize
    assert pyvips.Image.new_from_buffer(data, "").width == 320
    assert [task.status for task in job.tasks] == ["succeeded"] * len(job.tasks)
    # Nothing of it is in our storage, and no event after the first has the credentials.
    assert [each.key async for each in worker.storage.list_objects() if job.id in each.key] == []
    events = [*worker.events[job.id], *worker.progress[job.id]]
    assert all(event.job.connection is None and event.job.connection_id == CONNECTION for event in events)


async def test_an_output_without_a_destination_stays_here(
    worker: WorkerHarness, s3: S3Server, footage: Footage
) -> None:
    await s3.put("uploads", "coffee.png", footage.coffee.read_bytes())
    job = await ended(worker, s3, "s3://uploads/coffee.png", None)
    assert job.status == "succeeded" and job.output is not None and job.output.location is None
    assert await worker.storage.stat(job.output.key) is not None


@pytest.mark.parametrize(
    ("input", "destination", "kind", "step"),
    [
        ("s3://uploads/nothing.png", None, "storage_object_not_found", "import"),
        ("s3://no-such-bucket/coffee.png", None, "storage_bucket_not_found", "import"),
        ("s3://uploads/coffee.png", "s3://no-such-bucket/", "storage_bucket_not_found", None),
    ],
)
async def test_what_is_not_there_fails_the_job_with_its_own_code(
    worker: WorkerHarness, s3: S3Server, footage: Footage, input: str, destination: str | None, kind: str, step: str
) -> None:
    await s3.put("uploads", "coffee.png", footage.coffee.read_bytes())
    job = await ended(worker, s3, input, destination)
    assert job.status == "failed" and job.error is not None and job.error.kind == kind
    failed = [task.kind for task in job.tasks if task.status == "failed"]
    assert len(failed) == 1 and step in (None, failed[0])


async def test_a_store_that_stays_away_is_named(worker: WorkerHarness, s3: S3Server, unused_tcp_port: int) -> None:
    away = f"http://127.0.0.1:{unused_tcp_port}"
    job = await ended(worker, s3, "s3://uploads/coffee.png", None, endpoint=away)
    assert job.error is not None and job.error.kind == "storage_unreachable"
