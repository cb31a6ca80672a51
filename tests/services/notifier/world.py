"""Jobs, events and a look into the notifier's tables, for its tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import asyncpg

from chassis.adapters.kafka import codec
from chassis.adapters.kafka.producer import open_producer
from chassis.core.ids import new_id, now_ms
from chassis.core.settings import load
from schemas.events import JobCancelled, JobEvent, JobFailed, JobSucceeded
from schemas.faults import Fault
from schemas.files import Output
from schemas.ids import derived
from schemas.jobs import Job
from services.notifier.settings import Settings

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LOOPBACK = (ip_network("127.0.0.0/8"),)
BASE = "https://media.example.com"


def settings(dsn: str, kafka: str = "127.0.0.1:1", **changes: Any) -> Settings:
    given = {
        "database_url": dsn,
        "kafka_bootstrap_servers": kafka,
        "storage_url": f"file://{Path('/tmp')}",
        "public_url": BASE,
        "webhook_secret": SECRET,
        "allow_net": LOOPBACK,
        "shutdown_timeout": timedelta(seconds=3),
    }
    return load(Settings, **{**given, **changes})


def job(webhook_url: str | None, *, project: str | None = None) -> Job:
    return Job.queued(
        id=new_id("job"),
        project=project or new_id("prj"),
        kind="video",
        input="https://uploads.example.com/clip.mov",
        options={"format": "mp4", "quality": "medium"},
        metadata={"user_id": "usr_abc123", "name": "Zoë 🎬"},
        at=now_ms(),
        webhook_url=webhook_url,
    ).start(now_ms())


def succeeded(of: Job) -> JobSucceeded:
    output = Output(
        id=derived("file", of.id, "output"),
        key=f"{of.project}/jobs/{of.id}/x.mp4",
        kind="video",
        format="mp4",
        content_type="video/mp4",
        filesize=4815162,
        width=1280,
        height=720,
        duration=12.5,
        path=f"{of.id}/video.mp4",
    )
    return JobSucceeded(job=of.succeed(output, now_ms()))


def failed(of: Job) -> JobFailed:
    return JobFailed(job=of.fail(Fault(kind="input_empty", message="The input has no bytes."), now_ms()))


def cancelled(of: Job) -> JobCancelled:
    return JobCancelled(job=of.cancel(now_ms()))


async def publish(kafka: str, *events: JobEvent) -> None:
    """As a worker's relay does it."""
    producer = await open_producer(kafka, "test")
    try:
        for event in events:
            record = codec.encode(event, id=new_id("evt"), source="/bitmill/transcoder", time_ms=now_ms())
            await producer.send_and_wait(record.topic, record.value, key=record.key, headers=record.headers)
    finally:
        await producer.stop()


class Tables:
    """What stands in the notifier's schema."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection

    async def delivery(self, job_id: str) -> dict[str, Any] | None:
        row = await self._connection.fetchrow("SELECT * FROM deliveries WHERE job_id = $1", job_id)
        return dict(row) if row else None

    async def closed(self, job_id: str) -> dict[str, Any] | None:
        """The delivery once it is over."""
        row = await self.delivery(job_id)
        return row if row and row["state"] != "pending" else None

    async def count(self) -> int:
        number: int = await self._connection.fetchval("SELECT count(*) FROM deliveries")
        return number

    async def attempts(self, job_id: str) -> list[dict[str, Any]]:
        rows = await self._connection.fetch(
            "SELECT attempts.* FROM attempts JOIN deliveries ON id = delivery_id WHERE job_id = $1 ORDER BY number",
            job_id,
        )
        return [dict(row) for row in rows]

    async def ended(self, job_id: str, number: int = 1) -> dict[str, Any] | None:
        """The attempt of this number once it is over."""
        found = [each for each in await self.attempts(job_id) if each["number"] == number and each["finished_at"]]
        return found[0] if found else None

    async def queued(self, job_id: str) -> dict[str, Any] | None:
        """The queue's row, once nobody works on it."""
        row = await self._connection.fetchrow(
            "SELECT * FROM queue WHERE payload->>'job_id' = $1 AND state = 'queued'", job_id
        )
        return dict(row) if row else None

    async def let_time_pass(self, seconds: float) -> None:
        """As if so much time had gone by: dues and leases come nearer."""
        await self._connection.execute(
            "UPDATE queue SET not_before = not_before - $1::interval, lease_until = lease_until - $1::interval",
            timedelta(seconds=seconds),
        )
        await self._connection.execute(
            "UPDATE deliveries SET due_at = due_at - $1::interval", timedelta(seconds=seconds)
        )


@asynccontextmanager
async def tables(dsn: str) -> AsyncIterator[Tables]:
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "notifier"})
    try:
        yield Tables(connection)
    finally:
        await connection.close()
