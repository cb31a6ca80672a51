"""The whole service: events go in through Kafka, answers come out over HTTP."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from chassis.adapters.http.health import State
from chassis.adapters.http.server import make_web_app
from chassis.adapters.kafka.codec import encode
from chassis.adapters.kafka.producer import open_producer
from chassis.adapters.storage import Storage, open_storage
from chassis.core.ids import new_id, now_ms
from schemas import keys as key_text
from schemas.events import Event, KeyChanged
from schemas.keys import ApiKey
from services.catalog.app import Catalog
from services.catalog.settings import Settings
from tests.services.catalog import made

DEADLINE_SECONDS = 20.0


@dataclass(frozen=True)
class Customer:
    """A project with a key that the catalog may not have heard of yet."""

    project: str
    secret: str
    key: ApiKey

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"}


def customer(seed: int) -> Customer:
    secret = key_text.generate(seed.to_bytes(8, "big") + new_id("key").encode()[-16:])
    project = new_id("prj")
    key = made.key(project, key_text.hash_key(secret))
    return Customer(project, secret, key)


@dataclass
class Running:
    """`url` of the API, `settings` it runs with, `storage` that it delivers from."""

    url: str
    settings: Settings
    storage: Storage
    folder: Path
    session: aiohttp.ClientSession
    producer: Any
    customers: list[Customer] = field(default_factory=list)

    async def publish(self, *events: Event) -> None:
        for event in events:
            record = encode(event, id=new_id("evt"), source="/bitmill/ingest", time_ms=now_ms())
            await self.producer.send_and_wait(record.topic, record.value, key=record.key, headers=record.headers)

    async def new_customer(self) -> Customer:
        """A customer whose key has been announced a moment ago."""
        made_now = customer(len(self.customers))
        self.customers.append(made_now)
        await self.publish(KeyChanged(key=made_now.key))
        return made_now

    async def get(self, path: str, who: Customer | None = None, **headers: str) -> tuple[int, Any]:
        """The status and the decoded body."""
        sent = (who.headers if who else {}) | headers
        async with self.session.get(self.url + path, headers=sent) as response:
            return response.status, await response.json()

    async def until(self, path: str, who: Customer, holds: Callable[[Any], bool]) -> Any:
        """The body of `path` once it is as it should be."""

        async def attempt() -> Any:
            status, body = await self.get(path, who)
            return body if status == 200 and holds(body) else None

        return await eventually(attempt)

    async def store(self, key: str, data: bytes, content_type: str) -> None:
        source = self.folder / "incoming"
        source.write_bytes(data)
        await self.storage.put(key, source, content_type)


async def eventually(attempt: Callable[[], Awaitable[Any]]) -> Any:
    """What `attempt` gives once it gives something; fails after the deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while (found := await attempt()) is None:
        assert time.monotonic() < deadline, "did not come true in time"
        await asyncio.sleep(0.02)
    return found


@asynccontextmanager
async def running(database_url: str, bootstrap: str, folder: Path, **settings: Any) -> AsyncIterator[Running]:
    """The catalog alone, on a port of its own."""
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
    async with catalog.run(), open_storage(chosen.storage_url) as storage, aiohttp.ClientSession() as session:
        await runner.setup()
        producer = await open_producer(bootstrap, "tests.catalog")
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            port = runner.addresses[0][1]
            yield Running(f"http://127.0.0.1:{port}", chosen, storage, folder, session, producer)
        finally:
            await producer.stop()
            await runner.cleanup()
