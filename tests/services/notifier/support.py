"""Settings, jobs, events and a reader of the notifier's tables, for its tests."""

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
    """Publishes as a worker's outbox relay does."""
    producer = await open_producer(kafka, "test")
    try:
        for event in events:
            record = codec.encode(event, id=new_id("evt"), source="/bitmill/transcoder", time_ms=now_ms())
            await producer.send_and_wait(record.topic, record.value, key=record.key, headers=record.headers)
    finally:
        await producer.stop()


class Tables:
    """The rows of the notifier's schema."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection

    async def delivery(self, job_id: str) -> dict[str, Any] | None:
        row = await self._connection.fetchrow("SELECT * FROM deliveries WHERE job_id = $1", job_id)
        return dict(row) if row else None

    async def closed(self, job_id: str) -> dict[str, Any] | None:
        """The delivery once it has ended."""
        row = await self.delivery(job_id)
        return row if row and row["state"] != "pending" else None

    async def count(self) -> int:
        number: int = await self._connection.fetchval("SELECT count(*) FROM deliveries")
        return number

    async def queue_size(self) -> int:
        number: int = await self._connection.fetchval("SELECT count(*) FROM job_queue")
        return number

    async def attempts(self, job_id: str) -> list[dict[str, Any]]:
        query = "SELECT a.* FROM delivery_attempts a JOIN deliveries d ON d.id = delivery_id WHERE job_id = $1"
        rows = await self._connection.fetch(f"{query} ORDER BY number", job_id)
        return [dict(row) for row in rows]

    async def ended(self, job_id: str, number: int = 1) -> dict[str, Any] | None:
        """The attempt of this number once it has a result."""
        found = [each for each in await self.attempts(job_id) if each["number"] == number and each["finished_at"]]
        return found[0] if found else None

    async def queued(self, job_id: str) -> dict[str, Any] | None:
        """The queue item while no worker has it."""
        row = await self._connection.fetchrow(
            "SELECT * FROM job_queue WHERE payload->>'job_id' = $1 AND state = 'queued'", job_id
        )
        return dict(row) if row else None

    async def advance_time(self, seconds: float) -> None:
        """Simulates the passing of time: due times and the ends of leases move closer."""
        await self._connection.execute(
            "UPDATE job_queue SET not_before = not_before - $1::interval, lease_until = lease_until - $1::interval",
            timedelta(seconds=seconds),
        )

    async def expire_leases(self) -> None:
        await self._connection.execute("UPDATE job_queue SET lease_until = now()")

    async def age_closed(self, age: timedelta) -> None:
        """Deliveries that have ended did so `age` earlier."""
        await self._connection.execute("UPDATE deliveries SET closed_at = closed_at - $1::interval", age)


@asynccontextmanager
async def tables(dsn: str) -> AsyncIterator[Tables]:
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "notifier"})
    try:
        yield Tables(connection)
    finally:
        await connection.close()
