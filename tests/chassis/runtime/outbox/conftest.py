"""An outbox in a schema of its own per test, a real producer, and a fake producer that fails as a test demands."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from chassis.adapters.kafka.producer import open_producer
from chassis.adapters.postgres import Pool, migrate, open_pool
from chassis.runtime.outbox import Outbox, RelayTimes
from chassis.runtime.outbox.publisher import Producer
from schemas.events import CancelRequested

QUICK = RelayTimes(publish_s=0.1, watermark_every=timedelta(milliseconds=50))
"""For fake producers."""
REAL = RelayTimes(watermark_every=timedelta(milliseconds=50))


def event(job_id: str, at: int = 0) -> CancelRequested:
    """The smallest event. On the session's Kafka `job_id` has to be an id: the services of other tests read it, too."""
    return CancelRequested(job_id=job_id, project="prj_01h455vb4pex5vsknk084sn02q", at=at)


@dataclass
class OutboxFixture:
    """An outbox on a real Postgres."""

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

    async def backlog(self) -> int:
        return (await self.outbox.counts()).backlog

    async def quarantined(self) -> int:
        return (await self.outbox.counts()).quarantined

    async def empty(self) -> bool:
        return await self.backlog() == 0

    @asynccontextmanager
    async def relaying(
        self,
        producer: Producer,
        outbox: Outbox | None = None,
        *,
        times: RelayTimes = QUICK,
        watermark: bool = False,
        reopen: Callable[[], Awaitable[Producer]] | None = None,
    ) -> AsyncIterator["asyncio.Task[None]"]:
        relay = (outbox or self.outbox).relay(producer, times=times, watermark=watermark, reopen=reopen)
        task = asyncio.create_task(relay)
        try:
            yield task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture
async def env(database_url: str) -> AsyncIterator[OutboxFixture]:
    schema = f"outbox_{uuid4().hex[:8]}"
    await migrate(database_url, schema, ["chassis.runtime.outbox.migrations"])
    async with await open_pool(database_url, schema) as pool:
        yield OutboxFixture(database_url, schema, pool, Outbox(pool, "ingest"))


@dataclass
class FakeProducer:
    """`behave(key)` gives the error of a send, None for no answer, or "ok"."""

    behave: Callable[[str], BaseException | str | None] = lambda key: "ok"
    sent: list[tuple[str, bytes]] = field(default_factory=list)
    unanswered: list["asyncio.Future[Any]"] = field(default_factory=list)

    async def send(
        self, topic: str, value: bytes | None = None, key: bytes | None = None, *, headers: Any = None
    ) -> "asyncio.Future[Any]":
        assert key is not None
        assert value is not None
        self.sent.append((key.decode(), value))
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        match self.behave(key.decode()):
            case None:
                self.unanswered.append(future)
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
    opened = await open_producer(kafka_bootstrap, "test")
    yield opened
    await opened.stop()


@dataclass
class TestTopic:
    """A topic that a test created."""

    __test__ = False
    name: str
    bootstrap: str

    async def read(self, count: int, keys: Collection[str] | None = None) -> list[Any]:
        """The first `count` records, of these keys if given; each partition in its order."""
        consumer = AIOKafkaConsumer(self.name, bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            records: list[Any] = []
            async with asyncio.timeout(60):
                while len(records) < count:
                    record = await consumer.getone()
                    if keys is None or record.key.decode() in keys:
                        records.append(record)
            return records
        finally:
            await consumer.stop()

    async def values(self) -> list[bytes]:
        """All records of a topic of one partition, so far."""
        partition = TopicPartition(self.name, 0)
        async with AIOKafkaConsumer(bootstrap_servers=self.bootstrap) as consumer:
            count = (await consumer.end_offsets([partition]))[partition]
        return [record.value for record in await self.read(count)]


CreateTopic = Callable[..., Awaitable[TestTopic]]


@pytest.fixture
async def create_topic(kafka_bootstrap: str) -> CreateTopic:
    """Creates topics: `await create_topic(partitions=3, max_bytes=…)`."""

    async def create(*, partitions: int = 1, max_bytes: int = 1_048_588) -> TestTopic:
        name = f"t.{uuid4().hex[:8]}"
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
        await admin.start()
        try:
            config = {"max.message.bytes": str(max_bytes)}
            await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=config)])
        finally:
            await admin.close()
        return TestTopic(name, kafka_bootstrap)

    return create
