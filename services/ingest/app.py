"""Builds ingest out of its parts and runs it: the only place of this service that constructs."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import web
from faststream.kafka import KafkaBroker

from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.http.auth import CachedKeys
from chassis.adapters.http.errors import ErrorStyle, unavailable
from chassis.adapters.http.health import Check
from chassis.adapters.kafka.admin import ensure_topics, wait_for_kafka
from chassis.adapters.kafka.consumer import assigned, make_broker
from chassis.adapters.kafka.producer import producers
from chassis.adapters.postgres import Pool, check, migrate, open_pool
from chassis.adapters.storage import Storage, open_storage
from chassis.core.concurrency import TaskSupervisor
from chassis.core.ids import now_ms
from chassis.runtime.job_queue import JobQueue, Runner
from chassis.runtime.job_queue.gauges import measure
from chassis.runtime.outbox import Outbox
from media.probe import Prober, open_prober
from schemas.keys import ApiKey
from services.ingest import handlers, upkeep
from services.ingest.api import Api, Parts, media_errors
from services.ingest.imports import Imports
from services.ingest.items import MediaItems
from services.ingest.jobs import Jobs
from services.ingest.migrations import SCHEMA, SOURCES
from services.ingest.readback import Readback
from services.ingest.replays import Replays
from services.ingest.results import Results
from services.ingest.settings import Settings
from services.ingest.store import Store
from services.ingest.submissions import Submissions
from services.ingest.waiting import Waiting
from worker.settings import scratch_dir

_CONNECTIONS = 12
"""Two of them are busy for good: the relay's turn and the listener of finished imports."""


class Ingest:
    """Ingest as an App: routes and checks at once; answers once `run` has opened what they stand on."""

    name = "ingest"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._guard = EgressPolicy(settings.allow_net)
        self._pool: Pool | None = None
        self._storage: Storage | None = None
        self._broker: KafkaBroker | None = None
        self._store: Store | None = None
        self._parts: Parts | None = None
        self._keys = CachedKeys(self._find_key)
        self.error_styles: Mapping[str, ErrorStyle] = {"/media": media_errors(settings.public_url)}

    def routes(self) -> list[web.RouteDef]:
        return Api(self._opened).routes(self._keys)

    def checks(self) -> Mapping[str, Check]:
        return {"postgres": self._check_postgres, "kafka": self._check_kafka, "storage": self._check_storage}

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        settings = self._settings
        await migrate(settings.database_url, SCHEMA, SOURCES)
        await wait_for_kafka(settings.kafka_bootstrap_servers)
        await ensure_topics(settings.kafka_bootstrap_servers)
        async with AsyncExitStack() as stack:
            workdir = stack.enter_context(scratch_dir(settings.work_dir))
            prober = await stack.enter_async_context(open_prober(workdir))
            storage = await stack.enter_async_context(open_storage(settings.storage_url))
            pool = await stack.enter_async_context(await open_pool(settings.database_url, SCHEMA, size=_CONNECTIONS))
            producer = await stack.enter_async_context(
                producers(settings.kafka_bootstrap_servers, f"bitmill.{self.name}")
            )
            first = await producer()
            store, outbox = Store(pool), Outbox(pool, self.name)
            queue = JobQueue(pool, outbox)
            waiting = Waiting(pool, store.media_item)
            jobs, items = Jobs(store, outbox), MediaItems(store, queue, outbox)
            broker = make_broker(settings.kafka_bootstrap_servers, self.name)
            handlers.register(broker, Submissions(store, jobs, items, self._guard), Results(store, outbox))
            runner = self._runner(queue, self._imports(store, storage, prober, workdir, queue))
            supervisor = await stack.enter_async_context(TaskSupervisor())
            supervisor.start(outbox.relay(first, reopen=producer), "relay")
            supervisor.start(waiting.listen(), "finished imports")
            supervisor.start(runner.run(), "imports")
            supervisor.start(upkeep.sweep(store, now_ms), "sweep")
            supervisor.start(measure(self.name, queue, outbox), "measure")
            await broker.start()
            stack.push_async_callback(broker.stop)
            stack.callback(waiting.close)
            self._pool, self._storage, self._broker, self._store = pool, storage, broker, store
            session = await stack.enter_async_context(aiohttp.ClientSession())
            readback = Readback(session, settings.catalog_url or settings.public_url)
            self._parts = self._made(jobs, items, waiting, readback, store)
            yield

    def _made(self, jobs: Jobs, items: MediaItems, waiting: Waiting, readback: Readback, store: Store) -> Parts:
        settings = self._settings
        return Parts(
            jobs=jobs,
            items=items,
            replays=Replays(store, settings.media_wait),
            waiting=waiting,
            readback=readback,
            guard=self._guard,
            public_base=settings.public_url,
            delivery_base=settings.delivery_base,
            media_wait_s=settings.media_wait.total_seconds(),
        )

    def _imports(self, store: Store, storage: Storage, prober: Prober, workdir: Path, queue: JobQueue) -> Imports:
        settings = self._settings
        return Imports(
            store=store,
            storage=storage,
            guard=self._guard,
            prober=prober,
            limits=settings.fetch_limits,
            workdir=workdir,
            media_jobs=settings.media_jobs,
            delivery_base=settings.delivery_base,
            max_attempts=queue.max_attempts,
        )

    def _runner(self, queue: JobQueue, imports: Imports) -> Runner:
        slots = self._settings.import_slots
        return Runner(queue, imports.work, slots=slots, exhausted=imports.exhausted, on_cancel=imports.on_cancel)

    def _opened(self) -> Parts:
        if self._parts is None:
            raise unavailable()
        return self._parts

    async def _find_key(self, hash: str) -> ApiKey | None:
        if self._store is None:
            raise unavailable()
        return await self._store.key_by_hash(hash)

    async def _check_postgres(self) -> None:
        if self._pool is not None:
            await check(self._pool)

    async def _check_kafka(self) -> None:
        if self._broker is not None:
            await assigned(self._broker)

    async def _check_storage(self) -> None:
        if self._storage is not None:
            await self._storage.check()
