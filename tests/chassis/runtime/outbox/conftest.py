"""An outbox in a schema of its own per test, a real producer, and producers that fail as told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from chassis.adapters.kafka.producer import open_producer
from chassis.adapters.postgres import Pool, migrate, open_pool
from chassis.runtime.outbox import Outbox
from chassis.runtime.outbox.publisher import Producer
from schemas.events import CancelRequested


def event(job_id: str, at: int = 0) -> CancelRequested:
    """Any event will do; this one is the smallest."""
    return CancelRequested(job_id=job_id, project="prj_a", at=at)


@dataclass
class Bench:
    """An outbox to try things on."""

    dsn: str
    schema: str
    pool: Pool
    outbox: Outbox

    async def put(self, *events: CancelRequested) -> None:
        async with self.pool.acquire() as conn, conn.transaction():
            await self.outbox.put(conn, *events)
        self.outbox.wake()

    async def put_raw(self, topic: str, key: str, value: bytes) -> None:
        await self.pool.execute(
            "INSERT INTO outbox (topic, key, value, headers) VALUES ($1, $2, $3, '[]')", topic, key.encode(), value
        )

    async def empty(self) -> bool:
        return await self.outbox.backlog() == 0

    @asynccontextmanager
    async def relaying(self, producer: Producer, outbox: Outbox | None = None) -> AsyncIterator["asyncio.Task[None]"]:
        task = asyncio.create_task((outbox or self.outbox).relay(producer))
        try:
            yield task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture
async def bench(database_url: str) -> AsyncIterator[Bench]:
    schema = f"outbox_{uuid4().hex[:8]}"
    await migrate(database_url, schema, ["chassis.runtime.outbox.migrations"])
    async with await open_pool(database_url, schema) as pool:
        yield Bench(database_url, schema, pool, Outbox(pool, "ingest"))


@dataclass
class Twin:
    """Takes the producer's place: `behave(key)` gives the error of a send, None for silence, or "ok"."""

    behave: Callable[[str], BaseException | str | None] = lambda key: "ok"
    sent: list[tuple[str, bytes]] = field(default_factory=list)
    silent: list["asyncio.Future[Any]"] = field(default_factory=list)

    async def send(
        self, topic: str, value: bytes | None = None, key: bytes | None = None, *, headers: Any = None
    ) -> "asyncio.Future[Any]":
        assert key is not None
        assert value is not None
        self.sent.append((key.decode(), value))
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        match self.behave(key.decode()):
            case None:
                self.silent.append(future)
            case BaseException() as error:
                future.set_exception(error)
            case _:
                future.set_result(None)
        return future

    @property
    def keys(self) -> list[str]:
        return [key for key, _ in self.sent]


@pytest.fixture
async def producer(kafka_bootstrap: str) -> AsyncIterator[AIOKafkaProducer]:
    made = await open_producer(kafka_bootstrap, "test")
    yield made
    await made.stop()


@dataclass
class Topic:
    """A topic of a test's own."""

    name: str
    bootstrap: str

    async def read(self, count: int) -> list[Any]:
        """The first `count` records; each partition in its order."""
        consumer = AIOKafkaConsumer(self.name, bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            async with asyncio.timeout(15):
                return [await consumer.getone() for _ in range(count)]
        finally:
            await consumer.stop()


@pytest.fixture
async def topics(kafka_bootstrap: str) -> Callable[..., Any]:
    """Makes topics: `await topics(partitions=3, max_bytes=…)`."""

    async def make(*, name: str | None = None, partitions: int = 1, max_bytes: int = 1_048_588) -> Topic:
        made = name or f"t.{uuid4().hex[:8]}"
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
        await admin.start()
        try:
            config = {"max.message.bytes": str(max_bytes)}
            await admin.create_topics([NewTopic(made, partitions, 1, topic_configs=config)])
        finally:
            await admin.close()
        return Topic(made, kafka_bootstrap)

    return make
