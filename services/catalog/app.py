"""Builds the catalog and wires it: the only module of this room that constructs."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from chassis.adapters.http.auth import CachedKeys
from chassis.adapters.http.errors import ErrorStyle, unavailable
from chassis.adapters.http.health import Check
from chassis.adapters.kafka.admin import ensure_topics, wait_for_kafka
from chassis.adapters.kafka.consumer import ServiceBroker
from chassis.adapters.postgres import Pool, check, migrate
from chassis.adapters.storage import open_storage
from chassis.core.concurrency import TaskSupervisor
from chassis.core.ids import now_ms
from schemas.keys import ApiKey
from services.catalog.api import Api
from services.catalog.arrivals import Arrivals
from services.catalog.delivery import Delivery
from services.catalog.feed import Feed
from services.catalog.handlers import register
from services.catalog.projection import Projection
from services.catalog.queries import Queries
from services.catalog.reading import Reading
from services.catalog.settings import Settings
from services.catalog.store import Store
from services.catalog.tables import MIGRATIONS, SCHEMA, open_projecting_pool, open_reading_pool


class Catalog:
    """The catalog as an App: routes and checks at once, answers once `run` has opened what they stand on."""

    name = "catalog"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._arrivals = Arrivals()
        self._parts: _Parts | None = None
        keys = CachedKeys(self._find_key)
        self._api = Api(self._reading, keys, settings.public_url, settings.delivery_base)
        self._delivery = Delivery(self._reading)
        self.error_styles: Mapping[str, ErrorStyle] = {"/media": self._api.refused_media}

    def routes(self) -> list[web.RouteDef]:
        return [*self._api.routes(), *self._delivery.routes()]

    def checks(self) -> Mapping[str, Check]:
        return {"postgres": self._check_postgres, "kafka": self._check_kafka, "storage": self._check_storage}

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        settings = self._settings
        await migrate(settings.database_url, SCHEMA, MIGRATIONS)
        await wait_for_kafka(settings.kafka_bootstrap_servers)
        await ensure_topics(settings.kafka_bootstrap_servers)
        async with (
            await open_reading_pool(
                settings.database_url, size=settings.catalog_connections, timeout=settings.catalog_query_timeout
            ) as reading_pool,
            await open_projecting_pool(settings.database_url) as projecting_pool,
            open_storage(settings.storage_url) as storage,
            TaskSupervisor() as supervisor,
        ):
            wait = settings.read_wait.total_seconds()
            broker = ServiceBroker(settings.kafka_bootstrap_servers, self.name)
            feed = Feed(partial(_hears, broker, projecting_pool), now_ms)
            reading = Reading(Queries(reading_pool), storage, self._arrivals, feed, wait=wait, now_ms=now_ms)
            register(broker, Projection(Store(projecting_pool), self._arrivals))
            try:
                await broker.start()
                supervisor.start(feed.watch(), "feed")
                self._parts = _Parts(reading, reading_pool, broker)
                yield
            finally:
                self._parts = None
                await broker.stop()

    def _open(self) -> "_Parts":
        if self._parts is None:
            raise unavailable()
        return self._parts

    def _reading(self) -> Reading:
        return self._open().reading

    async def _find_key(self, hash: str) -> ApiKey | None:
        return await self._reading().key(hash)

    async def _check_postgres(self) -> None:
        await check(self._open().pool)

    async def _check_kafka(self) -> None:
        self._open().broker.check()

    async def _check_storage(self) -> None:
        await self._reading().storage.check()


async def _hears(broker: ServiceBroker, pool: Pool) -> None:
    """Raises unless what is said on Kafka can be written down here."""
    broker.check()
    await check(pool)


@dataclass(frozen=True)
class _Parts:
    """What is open while the service runs."""

    reading: Reading
    pool: Pool
    broker: ServiceBroker
