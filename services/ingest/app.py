"""Builds ingest: the only module of this service that constructs its parts."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import aiohttp
from aiohttp import web

from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.http.auth import CachedKeys
from chassis.adapters.http.errors import ErrorStyle, unavailable
from chassis.adapters.http.health import Check
from chassis.adapters.kafka.admin import ensure_topics, wait_for_kafka
from chassis.adapters.kafka.consumer import ServiceBroker
from chassis.adapters.kafka.producer import replaceable_producer
from chassis.adapters.postgres import Pool, check, migrate, open_pool
from chassis.adapters.storage import Storage, open_storage
from chassis.core import logs
from chassis.core.concurrency import TaskSupervisor
from chassis.core.ids import now_ms
from chassis.core.retry import run_periodically
from chassis.runtime.job_queue import JobQueue, Runner
from chassis.runtime.job_queue.gauges import measure
from chassis.runtime.outbox import Outbox
from media.probe import Prober, open_prober
from schemas.keys import ApiKey
from services.ingest import handlers
from services.ingest.api import Api, ApiParts, media_error_style
from services.ingest.handlers import Submissions
from services.ingest.idempotency import IdempotentResponses
from services.ingest.import_waiter import ImportWaiter
from services.ingest.imports import Imports
from services.ingest.job_results import JobResults
from services.ingest.jobs import JobWriter
from services.ingest.media_items import MediaWriter
from services.ingest.readback import Readback
from services.ingest.settings import Settings
from services.ingest.store import DEADLINE_S, MIGRATIONS, SCHEMA, Store
from worker.settings import scratch_dir

POOL_SIZE = 12
CLEANUP_EVERY = timedelta(minutes=10)
"""Expired idempotency keys are replaced where they are met; deleting them only keeps the table small."""

log = logs.get_logger(__name__)


class Ingest:
    """Ingest as an App: routes and checks at once; answers once `run` has opened what they stand on."""

    name = "ingest"

    def __init__(self, settings: Settings, *, deadline_s: float = DEADLINE_S) -> None:
        self._settings = settings
        self._deadline_s = deadline_s
        self._egress = EgressPolicy(settings.allow_net)
        self._pool: Pool | None = None
        self._storage: Storage | None = None
        self._broker: ServiceBroker | None = None
        self._store: Store | None = None
        self._parts: ApiParts | None = None
        self._keys = CachedKeys(self._find_key)
        self.error_styles: Mapping[str, ErrorStyle] = {"/media": media_error_style(settings.public_url)}

    def routes(self) -> list[web.RouteDef]:
        return Api(self._opened).routes(self._keys)

    def checks(self) -> Mapping[str, Check]:
        return {"postgres": self._check_postgres, "kafka": self._check_kafka, "storage": self._check_storage}

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        settings = self._settings
        await migrate(settings.database_url, SCHEMA, MIGRATIONS)
        await wait_for_kafka(settings.kafka_bootstrap_servers)
        await ensure_topics(settings.kafka_bootstrap_servers)
        async with AsyncExitStack() as stack:
            workdir = stack.enter_context(scratch_dir(settings.work_dir))
            prober = await stack.enter_async_context(open_prober(workdir))
            storage = await stack.enter_async_context(open_storage(settings.storage_url))
            pool = await stack.enter_async_context(await open_pool(settings.database_url, SCHEMA, size=POOL_SIZE))
            producer = await stack.enter_async_context(
                replaceable_producer(settings.kafka_bootstrap_servers, f"bitmill.{self.name}")
            )
            first = await producer()
            store, outbox = Store(pool, deadline_s=self._deadline_s), Outbox(pool, self.name)
            queue = JobQueue(pool, outbox)
            waiter = ImportWaiter(store.media_item, timeout=settings.media_wait)
            jobs, media = JobWriter(store, outbox, deadline_s=self._deadline_s), MediaWriter(store, queue, outbox)
            broker = ServiceBroker(settings.kafka_bootstrap_servers, self.name)
            handlers.register(broker, Submissions(store, jobs, media, self._egress), JobResults(store, outbox))
            runner = self._runner(queue, self._imports(store, waiter, storage, prober, workdir))
            supervisor = await stack.enter_async_context(TaskSupervisor())
            supervisor.start(outbox.relay(first, reopen=producer), "relay")
            supervisor.start(runner.run(), "imports")
            supervisor.start(_cleanup(store), "cleanup")
            supervisor.start(measure(self.name, queue, outbox), "measure")
            await broker.start()
            stack.push_async_callback(broker.stop)
            stack.callback(waiter.close)
            self._pool, self._storage, self._broker, self._store = pool, storage, broker, store
            session = await stack.enter_async_context(aiohttp.ClientSession())
            readback = Readback(session, settings.catalog_url or settings.public_url)
            self._parts = self._api_parts(jobs, media, waiter, readback, store)
            yield

    def _api_parts(
        self, jobs: JobWriter, media: MediaWriter, waiter: ImportWaiter, readback: Readback, store: Store
    ) -> ApiParts:
        settings = self._settings
        return ApiParts(
            jobs=jobs,
            media=media,
            responses=IdempotentResponses(store, settings.media_wait),
            waiter=waiter,
            readback=readback,
            egress=self._egress,
            public_base=settings.public_url,
            delivery_base=settings.delivery_base,
        )

    def _imports(self, store: Store, waiter: ImportWaiter, storage: Storage, prober: Prober, workdir: Path) -> Imports:
        settings = self._settings
        return Imports(
            store=store,
            waiter=waiter,
            storage=storage,
            guard=self._egress,
            prober=prober,
            limits=settings.fetch_limits,
            workdir=workdir,
            media_jobs=settings.media_jobs,
            delivery_base=settings.delivery_base,
        )

    def _runner(self, queue: JobQueue, imports: Imports) -> Runner:
        slots = self._settings.import_slots
        return Runner(queue, imports.work, slots=slots, exhausted=imports.exhausted, on_cancel=imports.on_cancel)

    def _opened(self) -> ApiParts:
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
            self._broker.check()

    async def _check_storage(self) -> None:
        if self._storage is not None:
            await self._storage.check()


async def _cleanup(store: Store) -> None:
    await run_periodically(lambda: store.delete_expired_keys(now_ms()), CLEANUP_EVERY, log, "idempotency_key_cleanup")
