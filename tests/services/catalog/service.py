"""The complete service: events go in through Kafka, responses come out over HTTP. The tests act as ingest."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from aiokafka import AIOKafkaProducer

from chassis.adapters.http.health import State
from chassis.adapters.http.server import make_web_app
from chassis.adapters.kafka.admin import ensure_topics
from chassis.adapters.kafka.codec import encode
from chassis.adapters.kafka.producer import open_producer
from chassis.adapters.storage import Storage, open_storage
from chassis.core.ids import new_id, now_ms
from schemas import keys as key_text
from schemas.events import Event, KeyChanged, OutboxAdvanced
from schemas.keys import ApiKey
from services.catalog.app import Catalog
from services.catalog.settings import Settings
from tests.services.catalog import factories
from tests.support.waiting import until

WATERMARK_SECONDS = 0.05


@dataclass(frozen=True)
class Customer:
    """A project with a key that the catalog may not know yet."""

    project: str
    secret: str
    key: ApiKey

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"}


def customer(seed: int) -> Customer:
    secret = key_text.generate(seed.to_bytes(8, "big") + new_id("key").encode()[-16:])
    project = new_id("prj")
    return Customer(project, secret, factories.key(project, key_text.hash_key(secret)))


class Ingest:
    """Publishes events and, while `run` runs, watermarks of the outbox, as ingest does.

    While `held_at_ms` is set, the outbox has a row of that moment that is not published. While `watermarks_paused` is
    set, no watermarks are sent.
    """

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._acknowledged: int | None = None
        self.held_at_ms: int | None = None
        self.watermarks_paused = False

    async def publish(self, *events: Event) -> None:
        """Returns when Kafka has them."""
        acknowledgements = [await self._send(event) for event in events]
        await asyncio.gather(*acknowledgements)

    @contextmanager
    def unpublished_row(self) -> Iterator[None]:
        """The outbox has a row that is not published as long as the block lasts."""
        self.held_at_ms = now_ms()
        try:
            yield
        finally:
            self.held_at_ms = None

    async def run(self) -> None:
        while True:
            if not self.watermarks_paused:
                at = now_ms()
                through = at if self.held_at_ms is None else self.held_at_ms
                event = OutboxAdvanced(
                    service="ingest", at=at, published_through=through, after_offset=self._acknowledged
                )
                self._acknowledged = (await (await self._send(event))).offset
            await asyncio.sleep(WATERMARK_SECONDS)

    async def _send(self, event: Event) -> Any:
        record = encode(event, id=new_id("evt"), source="/bitmill/ingest", time_ms=now_ms())
        return await self._producer.send(record.topic, record.value, key=record.key, headers=record.headers)


@asynccontextmanager
async def ingest(bootstrap: str) -> AsyncIterator[Ingest]:
    await ensure_topics(bootstrap)
    producer = await open_producer(bootstrap, "tests.catalog")
    opened = Ingest(producer)
    task = asyncio.create_task(opened.run())
    try:
        yield opened
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await producer.stop()


@dataclass
class CatalogService:
    """`url` of the API, `settings` it runs with, `storage` that it delivers from, `ingest` that it hears from."""

    url: str
    settings: Settings
    storage: Storage
    folder: Path
    session: aiohttp.ClientSession
    ingest: Ingest
    customers: list[Customer] = field(default_factory=list)

    async def publish(self, *events: Event) -> None:
        await self.ingest.publish(*events)

    async def new_customer(self) -> Customer:
        """A customer whose key was published a moment ago."""
        new = customer(len(self.customers))
        self.customers.append(new)
        await self.publish(KeyChanged(key=new.key))
        return new

    async def get(self, path: str, who: Customer | None = None, **headers: str) -> tuple[int, Any]:
        """The status and the decoded body."""
        sent = (who.headers if who else {}) | headers
        async with self.session.get(self.url + path, headers=sent) as response:
            return response.status, await response.json()

    async def until(self, path: str, who: Customer, holds: Callable[[Any], bool]) -> Any:
        """The body of `path` once it fulfils `holds`."""
        bodies: list[Any] = []

        async def fulfilled() -> bool:
            status, body = await self.get(path, who)
            bodies.append(body)
            return status == 200 and holds(body)

        await until(fulfilled, within=60)
        return bodies[-1]

    async def store(self, key: str, data: bytes, content_type: str) -> None:
        source = self.folder / "incoming"
        source.write_bytes(data)
        await self.storage.put(key, source, content_type)


@asynccontextmanager
async def running(
    database_url: str, bootstrap: str, folder: Path, *, beside: Ingest | None = None, **settings: Any
) -> AsyncIterator[CatalogService]:
    """The catalog alone, on a port of its own, `beside` an ingest that runs already or one of its own."""
    chosen = Settings(
        database_url=database_url,
        kafka_bootstrap_servers=bootstrap,
        storage_url=(folder / "storage").as_uri(),
        public_url="https://api.example.com",
        delivery_url="https://cdn.example.com/",
        **settings,
    )
    catalog = Catalog(chosen)
    runner = web.AppRunner(make_web_app([catalog], State(running={catalog.name})))
    async with AsyncExitStack() as stack:
        player = beside if beside is not None else await stack.enter_async_context(ingest(bootstrap))
        await stack.enter_async_context(catalog.run())
        storage = await stack.enter_async_context(open_storage(chosen.storage_url))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield CatalogService(f"http://127.0.0.1:{runner.addresses[0][1]}", chosen, storage, folder, session, player)
