"""`python -m tests.bench.relay [records]`: records a second from the outbox to Kafka, over aiokafka's own producer.

The peer sends the same records through the same producer (same acknowledgements, same settings), one after the other
without waiting, and then waits for all. Rounds in turn.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import uvloop
from aiokafka import AIOKafkaProducer

from chassis.adapters.kafka.admin import ensure_topics
from chassis.adapters.kafka.codec import OutgoingRecord, encode
from chassis.adapters.kafka.producer import open_producer
from chassis.adapters.postgres import Pool, migrate, open_pool
from chassis.core.ids import new_id, now_ms
from chassis.runtime.outbox import Outbox
from chassis.runtime.service_spec import ServiceSpec
from embedded.kafka import KafkaServer
from embedded.postgres import PostgresServer
from schemas.events import Event, JobCreated
from tests.bench.figures import Pairs, Row, print_rows
from tests.services.catalog import factories

ROUNDS = 5
RECORDS = 10_000
DEADLINE = timedelta(minutes=5)


async def measure(folder: Path, records: int = RECORDS, rounds: int = ROUNDS) -> Pairs:
    """On a durable Postgres and an embedded Kafka that flushes each record."""
    pairs = Pairs()
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(PostgresServer(folder).running(print))
        kafka = await stack.enter_async_context(KafkaServer(folder).running(print))
        await ensure_topics(kafka)
        await migrate(dsn, "ingest", ServiceSpec(name="ingest", outbox=True).all_migrations)
        pool = await stack.enter_async_context(await open_pool(dsn, "ingest"))
        producer = await open_producer(kafka, "bench")
        stack.push_async_callback(producer.stop)
        for round_ in range(rounds + 1):
            events = [JobCreated(job=factories.queued(new_id("prj"))) for _ in range(records)]
            ours = records / await _relay(pool, producer, events)
            peer = records / await _produce(producer, events)
            if round_:
                pairs.add(ours, peer)
    return pairs


async def _relay(pool: Pool, producer: AIOKafkaProducer, events: Sequence[Event]) -> float:
    """Seconds from the start of the relay, with all events in the outbox, until all are acknowledged."""
    outbox = Outbox(pool, "ingest")
    async with pool.acquire() as conn, conn.transaction():
        await outbox.put(conn, *events)
    await pool.execute("CHECKPOINT")
    began = time.perf_counter()
    async with _running(outbox, producer):
        if not await outbox.wait_published(timeout=DEADLINE):
            raise RuntimeError("the outbox was not published")
        return time.perf_counter() - began


@asynccontextmanager
async def _running(outbox: Outbox, producer: AIOKafkaProducer) -> AsyncIterator[None]:
    relay = asyncio.create_task(outbox.relay(producer))
    try:
        yield
    finally:
        relay.cancel()
        await asyncio.gather(relay, return_exceptions=True)


async def _produce(producer: AIOKafkaProducer, events: Sequence[Event]) -> float:
    records = [_record(event) for event in events]
    began = time.perf_counter()
    sent = [await producer.send(each.topic, each.value, key=each.key, headers=each.headers) for each in records]
    await asyncio.gather(*sent)
    return time.perf_counter() - began


def _record(event: Event) -> OutgoingRecord:
    return encode(event, id=new_id("evt"), source="/bitmill/bench", time_ms=now_ms())


def row(pairs: Pairs, records: int) -> Row:
    what = "Relay, from the outbox to acknowledged records a second, over aiokafka's producer alone"
    how = f"median of {len(pairs.ours)} rounds of {records}"
    return pairs.row(what, 0.5, how, "relay", "producer")


async def rows(folder: Path) -> list[Row]:
    return [row(await measure(folder), RECORDS)]


async def main(records: int) -> int:
    with tempfile.TemporaryDirectory(prefix="bitmill-bench-") as name:
        return print_rows([row(await measure(Path(name), records), records)])


if __name__ == "__main__":
    sys.exit(uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS)))
