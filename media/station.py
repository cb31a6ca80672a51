"""A worker's station: all that a service needs around its craft, opened in order and closed in the reverse.

The transcoder and the thumbnailer are each a station with a craft of their own. This module alone of its floor knows
of Kafka's broker and of Postgres' pool.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from faststream.kafka import KafkaBroker

from chassis import logs
from chassis.egress.guard import Guard
from chassis.http.errors import unavailable
from chassis.http.health import Check
from chassis.ids import now_ms
from chassis.kafka.broker import assigned, make_broker
from chassis.kafka.producers import producers
from chassis.kafka.topics import ensure_topics, wait_for_kafka
from chassis.ledger import Ledger, Runner
from chassis.ledger.gauges import measure
from chassis.outbox import Outbox
from chassis.postgres import Pool, check, migrate, open_pool
from chassis.sandbox.limits import Limits
from chassis.storage import Storage, open_storage
from chassis.tasks import Tasks
from media.bench import Bench, Make
from media.intake import Estimate, Intake
from media.settings import FileSettings
from media.tools import ENCODE_LIMITS, Tools, open_tools
from media.workdir import private_folder
from schemas.jobs import JobKind

MIGRATIONS = ("chassis.outbox.migrations", "chassis.ledger.migrations")

log = logs.get(__name__)


@dataclass(frozen=True)
class Craft:
    """In what one worker differs from another.

    `name` is the service's, and its Postgres schema's; jobs of `kind` are done, `slots` at a time. `register`
    subscribes the service's Kafka handlers. `preload` names modules that the maker calls in the sandbox.
    """

    name: str
    kind: JobKind
    slots: int
    register: Callable[[KafkaBroker, Intake], None]
    maker: Callable[[Tools], Make]
    estimate: Estimate
    preload: tuple[str, ...] = ()
    limits: Limits = ENCODE_LIMITS


@dataclass(frozen=True)
class _Parts:
    """What is open while the service runs."""

    pool: Pool
    storage: Storage
    broker: KafkaBroker


class Station:
    """A worker as an App: no routes of its own; works while `run` is entered."""

    def __init__(self, craft: Craft, settings: FileSettings) -> None:
        self.name = craft.name
        self._craft = craft
        self._settings = settings
        self._parts: _Parts | None = None

    def routes(self) -> list[web.RouteDef]:
        return []

    def checks(self) -> Mapping[str, Check]:
        return {"postgres": self._check_postgres, "kafka": self._check_kafka, "storage": self._check_storage}

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """What is opened first is closed last. At the end: no new work is taken, what is under way is stopped and given
        back, the relay publishes what that left behind, and then Kafka, the storage, Postgres and the sandbox close."""
        craft, settings = self._craft, self._settings
        await migrate(settings.database_url, craft.name, MIGRATIONS)
        await wait_for_kafka(settings.kafka_bootstrap_servers)
        await ensure_topics(settings.kafka_bootstrap_servers)
        async with AsyncExitStack() as stack:
            folder = stack.enter_context(private_folder(settings.work_dir))
            tools = await stack.enter_async_context(open_tools(folder, preload=craft.preload, limits=craft.limits))
            log.info("sandbox", **tools.protections)
            pool = await stack.enter_async_context(await open_pool(settings.database_url, craft.name))
            storage = await stack.enter_async_context(open_storage(settings.storage_url))

            producer = await stack.enter_async_context(
                producers(settings.kafka_bootstrap_servers, f"bitmill.{craft.name}")
            )
            outbox = Outbox(pool, craft.name)
            ledger = Ledger(pool, outbox)
            bench = self._bench(ledger, storage, tools)
            first = await producer()
            tasks = await stack.enter_async_context(Tasks())
            tasks.start(outbox.relay(first, reopen=producer), "relay")
            tasks.start(self._runner(ledger, bench).run(), "runner")
            tasks.start(measure(craft.name, ledger, outbox), "measure")
            broker = make_broker(settings.kafka_bootstrap_servers, craft.name)
            craft.register(broker, Intake(pool, ledger, craft.kind, craft.estimate, bench.on_cancel))
            await broker.start()
            stack.push_async_callback(broker.stop)
            self._parts = _Parts(pool, storage, broker)
            stack.callback(self._close)
            yield

    def _bench(self, ledger: Ledger, storage: Storage, tools: Tools) -> Bench:
        return Bench(
            ledger,
            storage,
            Guard(self._settings.allow_net),
            tools,
            self._craft.maker(tools),
            fetching=self._settings.fetching,
            now_ms=now_ms,
        )

    def _runner(self, ledger: Ledger, bench: Bench) -> Runner:
        return Runner(ledger, bench.work, slots=self._craft.slots, exhausted=bench.exhausted, on_cancel=bench.on_cancel)

    def _close(self) -> None:
        self._parts = None

    def _open(self) -> _Parts:
        if self._parts is None:
            raise unavailable()
        return self._parts

    async def _check_postgres(self) -> None:
        await check(self._open().pool)

    async def _check_kafka(self) -> None:
        await assigned(self._open().broker)

    async def _check_storage(self) -> None:
        await self._open().storage.check()
