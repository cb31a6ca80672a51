"""Builds the transcoder and wires it: the only module of this room that constructs."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from aiohttp import web
from aiokafka import AIOKafkaProducer
from faststream.kafka import KafkaBroker

from chassis import logs
from chassis.egress.fetch import FetchLimits
from chassis.egress.guard import Guard
from chassis.http.health import Check
from chassis.ids import now_ms
from chassis.kafka.broker import assigned, make_broker
from chassis.kafka.producer import open_producer
from chassis.kafka.topics import ensure_topics, wait_for_kafka
from chassis.ledger import Ledger, Runner
from chassis.outbox import Outbox
from chassis.postgres import Pool, check, migrate, open_pool
from chassis.storage import Storage, open_storage
from chassis.tasks import Tasks
from media.bench import Bench
from media.intake import Intake
from media.tools import ENCODE_LIMITS, Tools, open_tools
from media.workdir import private_folder
from services.transcoder.handlers import register
from services.transcoder.settings import Settings
from services.transcoder.video import maker

SCHEMA = "transcoder"
MIGRATIONS = ("chassis.outbox.migrations", "chassis.ledger.migrations")

log = logs.get(__name__)


class Transcoder:
    """The transcoder as an App: no routes of its own; works while `run` is entered."""

    name = "transcoder"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool: Pool | None = None
        self._broker: KafkaBroker | None = None
        self._storage: Storage | None = None

    def routes(self) -> list[web.RouteDef]:
        return []

    def checks(self) -> Mapping[str, Check]:
        return {"postgres": self._check_postgres, "kafka": self._check_kafka, "storage": self._check_storage}

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        settings = self._settings
        await migrate(settings.database_url, SCHEMA, MIGRATIONS)
        await wait_for_kafka(settings.kafka_bootstrap_servers)
        await ensure_topics(settings.kafka_bootstrap_servers)
        async with AsyncExitStack() as stack:
            folder = stack.enter_context(private_folder(settings.work_dir))
            limits = replace(ENCODE_LIMITS, wall=settings.encode_timeout)
            tools = await stack.enter_async_context(open_tools(folder, limits=limits))
            log.info("sandbox", **tools.protections)
            pool = await stack.enter_async_context(await open_pool(settings.database_url, SCHEMA))
            storage = await stack.enter_async_context(open_storage(settings.storage_url))

            async def open_relay_producer() -> AIOKafkaProducer:
                producer = await open_producer(settings.kafka_bootstrap_servers, f"bitmill.{self.name}")
                stack.push_async_callback(producer.stop)
                return producer

            producer = await open_relay_producer()
            outbox = Outbox(pool, self.name)
            ledger = Ledger(pool, outbox)
            bench = self._bench(ledger, storage, tools)
            broker = make_broker(settings.kafka_bootstrap_servers, self.name)
            register(broker, Intake(pool, ledger, ("video",), bench.on_cancel))
            self._pool, self._storage, self._broker = pool, storage, broker
            tasks = await stack.enter_async_context(Tasks())
            tasks.start(outbox.relay(producer, reopen=open_relay_producer), "relay")
            tasks.start(self._runner(ledger, bench).run(), "runner")
            await broker.start()
            stack.push_async_callback(broker.stop)
            yield

    def _bench(self, ledger: Ledger, storage: Storage, tools: Tools) -> Bench:
        settings = self._settings
        return Bench(
            ledger,
            storage,
            Guard(settings.allow_net),
            tools,
            maker(tools),
            fetching=FetchLimits(max_bytes=settings.fetch_max_bytes, total=settings.fetch_timeout),
            now_ms=now_ms,
        )

    def _runner(self, ledger: Ledger, bench: Bench) -> Runner:
        slots = self._settings.transcoder_slots
        return Runner(ledger, bench.work, slots=slots, exhausted=bench.exhausted, on_cancel=bench.on_cancel)

    async def _check_postgres(self) -> None:
        if self._pool is not None:
            await check(self._pool)

    async def _check_kafka(self) -> None:
        if self._broker is not None:
            await assigned(self._broker)

    async def _check_storage(self) -> None:
        if self._storage is not None:
            await self._storage.check()
