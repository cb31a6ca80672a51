"""`python -m tests.bench.listeners`: how late events reach 1,000 listeners of one catalog, and what a listener costs.

The catalog is a process of its own, on a durable Postgres and an embedded Kafka. Its listeners are all of one project.
Events are published to Kafka as workers publish them; each is late by the time from its record's sending until its last
listener has it, the projection included.
"""

import asyncio
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from aiokafka import AIOKafkaProducer

from chassis.adapters.kafka.admin import ensure_topics, wait_for_groups
from chassis.adapters.kafka.codec import encode
from chassis.adapters.kafka.producer import open_producer
from chassis.core.ids import new_id, now_ms
from embedded.kafka import KafkaServer
from embedded.postgres import PostgresServer
from schemas.events import Event, JobCreated, JobProgressed, JobStarted, JobSucceeded, KeyChanged
from tests.bench.figures import Row, print_rows
from tests.bench.rate import child_process
from tests.services.catalog import factories
from tests.services.catalog.service import Customer, customer
from tests.support.processes import clean_environment
from tests.support.system import free_port

LISTENERS = 1000
JOBS = 20
EVENTS_A_SECOND = 5.0
LATE_S = 1.0
LISTENER_KB = 60.0
DEADLINE_SECONDS = 300.0
_CONNECTED_AT_A_TIME = 50
_ID = re.compile(rb"^id: (\d+)\nevent:", re.MULTILINE)


@dataclass
class Figures:
    """Seconds by event, for the last listener of each; kilobytes of the process for a listener."""

    late: list[float] = field(default_factory=list)
    listener_kb: float = 0.0


class Arrivals:
    """When each event, by its id, had arrived at how many listeners."""

    def __init__(self) -> None:
        self.count: dict[int, int] = {}
        self.last: dict[int, float] = {}

    def add(self, id: int) -> None:
        self.count[id] = self.count.get(id, 0) + 1
        self.last[id] = time.perf_counter()


class Listener(asyncio.Protocol):
    """Reads a stream, and keeps nothing of it but the beginning of an event."""

    def __init__(self, request: bytes, arrivals: Arrivals) -> None:
        self._request = request
        self._arrivals = arrivals
        self._rest = b""
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            if data.startswith(b"HTTP/1.1 200"):
                self.opened.set_result(None)
            else:
                self.opened.set_exception(ConnectionError(data.decode()))
        *whole, self._rest = (self._rest + data).split(b"\n\n")
        for text in whole:
            if found := _ID.search(text):
                self._arrivals.add(int(found[1]))


def _lives(project: str) -> Iterator[Event]:
    """Jobs one after the other, each with two reports of progress."""
    for _ in range(JOBS):
        job = factories.queued(project)
        *_, again, half, end = factories.snapshots(job)
        yield from (JobCreated(job=job), JobStarted(job=again), JobProgressed(job=half), JobSucceeded(job=end))


async def measure(folder: Path) -> Figures:
    """Connects the listeners, then publishes the events."""
    who, port = customer(1), free_port()
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(PostgresServer(folder).running(print))
        kafka = await stack.enter_async_context(KafkaServer(folder).running(print))
        await ensure_topics(kafka)
        await wait_for_groups(kafka)
        env = {
            **clean_environment(),
            "DATABASE_URL": dsn,
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "STORAGE_URL": folder.as_uri(),
            "HTTP_PORT": str(port),
            "LOG_LEVEL": "warning",
            # As behind a gateway: the bound of connections is not that of one client.
            "TRUSTED_PROXIES": "127.0.0.0/8",
        }
        producer = await open_producer(kafka, "bench")
        stack.push_async_callback(producer.stop)
        catalog = await stack.enter_async_context(
            child_process(sys.executable, "-m", "cli", "serve", "catalog", env=env)
        )
        await _send(producer, KeyChanged(key=who.key))
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await _listen(port, who, psutil.Process(catalog.pid), producer)


async def _listen(port: int, who: Customer, process: psutil.Process, producer: AIOKafkaProducer) -> Figures:
    figures, arrivals, sent = Figures(), Arrivals(), dict[int, float]()
    await _connect(port, who, 1, arrivals)
    await _publish(producer, who.project, arrivals, 1, sent)  # what is made at the first event
    before = process.memory_info().rss
    await _connect(port, who, LISTENERS - 1, arrivals)
    figures.listener_kb = (process.memory_info().rss - before) / 1024 / (LISTENERS - 1)
    sent = {}
    await _publish(producer, who.project, arrivals, LISTENERS, sent)
    figures.late = [arrivals.last[id] - sent[id] for id in sent]
    figures.listener_kb = max(figures.listener_kb, (process.memory_info().rss - before) / 1024 / (LISTENERS - 1))
    return figures


async def _connect(port: int, who: Customer, count: int, arrivals: Arrivals) -> None:
    request = f"GET /events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {who.secret}\r\n\r\n".encode()
    loop = asyncio.get_running_loop()
    while True:
        try:
            for first in range(0, count, _CONNECTED_AT_A_TIME):
                some = range(first, min(first + _CONNECTED_AT_A_TIME, count))
                made = [
                    await loop.create_connection(lambda: Listener(request, arrivals), "127.0.0.1", port) for _ in some
                ]
                await asyncio.gather(*(listener.opened for _, listener in made))
            return
        except ConnectionError:
            if count > 1:
                raise
            await asyncio.sleep(0.2)  # the catalog starts, or has not read the key yet


async def _publish(
    producer: AIOKafkaProducer, project: str, arrivals: Arrivals, listeners: int, sent: dict[int, float]
) -> None:
    """Publishes the events, each when the one before it has been everywhere, but no faster than they are to come."""
    first = max(arrivals.last, default=0) + 1
    for id, event in enumerate(_lives(project), first):
        began = sent[id] = time.perf_counter()
        await _send(producer, event)
        while arrivals.count.get(id, 0) < listeners:
            await asyncio.sleep(0.005)
        await asyncio.sleep(max(0.0, began + 1 / EVENTS_A_SECOND - time.perf_counter()))


async def _send(producer: AIOKafkaProducer, event: Event) -> None:
    record = encode(event, id=new_id("evt"), source="/bitmill/bench", time_ms=now_ms())
    await producer.send(record.topic, record.value, key=record.key, headers=record.headers)


async def rows(folder: Path) -> list[Row]:
    figures = await measure(folder)
    late = sorted(figures.late)
    how = f"{len(late)} events, {EVENTS_A_SECOND:g} a second, from Kafka to all of {LISTENERS} listeners of one project"
    return [
        Row(
            f"Event of a job to the last of {LISTENERS:,} listeners, the slowest",
            f"{late[-1]:.2f} s",
            f"≤ {LATE_S:g} s",
            late[-1] <= LATE_S,
            f"{how}; median {late[len(late) // 2]:.2f} s",
        ),
        Row(
            "Memory of a listener",
            f"{figures.listener_kb:.0f} KB",
            f"≤ {LISTENER_KB:g} KB",
            figures.listener_kb <= LISTENER_KB,
            f"resident memory of the catalog with {LISTENERS} listeners minus with one, also after the events",
        ),
    ]


async def main() -> int:
    with tempfile.TemporaryDirectory(prefix="bitmill-bench-") as name:
        return print_rows(await rows(Path(name)))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
