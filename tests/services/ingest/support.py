"""A running ingest, and a log of the events that it publishes."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from chassis.adapters.http.response_deadline import RESPONSE_SECONDS
from chassis.adapters.kafka import codec
from chassis.adapters.kafka.admin import ensure_topics
from chassis.adapters.kafka.errors import RecordUnreadable
from chassis.adapters.postgres import Pool
from chassis.core.settings import load
from chassis.runtime.lifecycle import serve
from schemas.events import Event
from schemas.topics import TOPICS
from services.ingest import keys
from services.ingest.app import Ingest
from services.ingest.settings import Settings
from services.ingest.store import DEADLINE_S
from tests.support.waiting import until

_TOPICS = {topic.name: topic for topic in TOPICS if "ingest" in topic.writers}
_DEAD_LETTER_TOPICS = ("job.submitted.dlq", "media.submitted.dlq", "job.control.dlq")

NO_CATALOG = timedelta(milliseconds=10)
"""No catalog reads the events in these tests: waiting for it would only cost time."""


@dataclass
class EventLog:
    """The records of all topics that ingest writes, in the order of each topic."""

    published: list[Event] = field(default_factory=list)
    dead_letters: list[dict[str, str]] = field(default_factory=list)

    def of(self, subject: str) -> list[Event]:
        return [event for event in self.published if event.subject() == subject]

    def of_project(self, project: str) -> list[Event]:
        return [event for event in self.published if event.project_id() == project]

    async def first(self, kind: type[Event], subject: str, within: float = 60) -> Any:
        """The first event of this type about this subject."""

        def found() -> Event | None:
            return next((event for event in self.of(subject) if isinstance(event, kind)), None)

        return await until(found, within=within)

    async def dead_letter(self, mark: str) -> dict[str, str]:
        """The headers of the dead letter whose `mark` header is this."""

        def found() -> dict[str, str] | None:
            return next((letter for letter in self.dead_letters if letter.get("mark") == mark), None)

        letter: dict[str, str] = await until(found, within=60)
        return letter


@asynccontextmanager
async def listening(bootstrap: str) -> AsyncIterator[EventLog]:
    """Consumes everything that ingest writes."""
    await ensure_topics(bootstrap)
    log = EventLog()
    consumer = AIOKafkaConsumer(
        *_TOPICS, *_DEAD_LETTER_TOPICS, bootstrap_servers=bootstrap, auto_offset_reset="earliest"
    )
    await consumer.start()

    async def listen() -> None:
        async for record in consumer:
            if record.topic in _TOPICS:
                # Other tests of the session write records that nobody can read.
                with suppress(RecordUnreadable):
                    event = codec.decode(_TOPICS[record.topic], record.headers, record.value, submissions=False)
                    if isinstance(event, Event):
                        log.published.append(event)
            else:
                headers = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
                log.dead_letters.append(headers)

    task = asyncio.create_task(listen())
    try:
        yield log
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await consumer.stop()


@dataclass
class RunningIngest:
    """A running ingest. `post` sends the key of `project` unless another one is given."""

    url: str
    key: str
    project: str
    pool: Pool
    session: aiohttp.ClientSession
    bootstrap: str
    stop: asyncio.Event

    async def post(self, path: str, body: Any = None, *, raw: bytes | None = None, **headers: str) -> "Answer":
        """POST with a body; headers as for `send`."""
        data = orjson.dumps(body) if raw is None else raw
        return await self.send("POST", path, data, **headers)

    async def send(self, method: str, path: str, data: bytes | None = None, **headers: str) -> "Answer":
        """`Idempotency_Key="…"` and the like are headers, `Authorization=""` sends none."""
        sent = {"Authorization": f"Bearer {self.key}"} | {k.replace("_", "-"): v for k, v in headers.items()}
        sent = {name: value for name, value in sent.items() if value}
        body = None if data is None else BytesIO(data)
        async with self.session.request(method, self.url + path, data=body, headers=sent) as response:
            return Answer(response.status, await response.json(), response.headers, await response.read())

    async def count(self, table: str) -> int:
        return int(await self.pool.fetchval(f"SELECT count(*) FROM {table}"))

    async def submit(self, topic: str, value: bytes, **headers: str) -> None:
        """Writes one record as any Kafka producer would; `headers` are sent under their names as they are."""
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap)
        await producer.start()
        try:
            sent = [(name, text.encode()) for name, text in headers.items()]
            await producer.send_and_wait(topic, value, key=self.project.encode(), headers=sent)
        finally:
            await producer.stop()

    async def publish(self, event: Event) -> None:
        """Publishes an event as another service would."""
        record = codec.encode(event, id="evt_1", source="/bitmill/test", time_ms=0)
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap)
        await producer.start()
        try:
            await producer.send_and_wait(record.topic, record.value, key=record.key, headers=record.headers)
        finally:
            await producer.stop()


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: Mapping[str, str]
    raw: bytes

    @property
    def fields(self) -> set[str]:
        """The fields that an error names, with or without the envelope."""
        error = self.body.get("error") or self.body
        return {fault["field"] for fault in error.get("errors", [])}


@asynccontextmanager
async def running(
    dsn: str,
    bootstrap: str,
    storage: Path,
    *,
    deadline_s: float = DEADLINE_S,
    response_s: float = RESPONSE_SECONDS,
    **overrides: Any,
) -> AsyncIterator[RunningIngest]:
    """Ingest behind its own HTTP server, once it is ready. For the two deadlines see `Ingest`."""
    settings = load(
        Settings,
        **{
            "kafka_bootstrap_servers": bootstrap,
            "database_url": dsn,
            "storage_url": storage.as_uri(),
            "work_dir": storage.parent / f"{storage.name}-work",
            "allow_net": "127.0.0.0/8",
            "public_url": "https://api.example.com",
            "media_wait": timedelta(seconds=20),
            **overrides,
        },
    )
    stop, address = asyncio.Event(), asyncio.get_running_loop().create_future()
    ready = asyncio.Event()
    serving = asyncio.create_task(
        serve(
            [Ingest(settings, deadline_s=deadline_s, response_s=response_s, visibility_timeout=NO_CATALOG)],
            host="127.0.0.1",
            port=0,
            stop=stop,
            started=address.set_result,
            ready=ready.set,
        )
    )
    waiting = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED, timeout=60)
        if serving.done():
            await serving
        assert ready.is_set(), "ingest was not ready in time"
        async with keys.database(dsn, migrate_first=True) as pool, aiohttp.ClientSession() as session:
            new = await keys.create_key(pool, name="tests")
            key, text = new.key, new.text
            yield RunningIngest(address.result(), text, key.project, pool, session, bootstrap, stop)
    finally:
        waiting.cancel()
        stop.set()
        await serving
