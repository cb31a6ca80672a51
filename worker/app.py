"""A worker's station: all that a service needs around its craft, opened in order and closed in the reverse.

The transcoder and the thumbnailer are each a station with a craft of their own. This module alone of its floor knows
of Kafka's broker and of Postgres' pool.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from faststream.kafka import KafkaBroker

from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.http.errors import unavailable
from chassis.adapters.http.health import Check
from chassis.adapters.kafka.admin import ensure_topics, wait_for_kafka
from chassis.adapters.kafka.consumer import assigned, make_broker
from chassis.adapters.kafka.producer import producers
from chassis.adapters.postgres import Pool, check, migrate, open_pool
from chassis.adapters.sandbox.limits import Limits
from chassis.adapters.storage import Storage, open_storage
from chassis.core import logs
from chassis.core.concurrency import TaskSupervisor
from chassis.core.ids import now_ms
from chassis.runtime.job_queue import JobQueue, Runner
from chassis.runtime.job_queue.gauges import measure
from chassis.runtime.outbox import Outbox
from media.tools import ENCODE_LIMITS, Tools, open_tools
from schemas.jobs import JobKind
from worker.enqueue import Estimate, JobIntake
from worker.runner import Encoder, JobRunner
from worker.scratch_dir import private_folder
from worker.settings import FileSettings

MIGRATIONS = ("chassis.runtime.outbox.migrations", "chassis.runtime.job_queue.migrations")

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class WorkerSpec:
    """In what one worker differs from another.

    `name` is the service's, and its Postgres schema's; jobs of `kind` are done, `slots` at a time. `register`
    subscribes the service's Kafka handlers. `preload` names modules that the maker calls in the sandbox.
    """

    name: str
    kind: JobKind
    slots: int
    register: Callable[[KafkaBroker, JobIntake], None]
    maker: Callable[[Tools], Encoder]
    estimate: Estimate
    preload: tuple[str, ...] = ()
    limits: Limits = ENCODE_LIMITS


@dataclass(frozen=True)
class _Parts:
    """What is open while the service runs."""

    pool: Pool
    storage: Storage
    broker: KafkaBroker


class WorkerApp:
    """A worker as an App: no routes of its own; works while `run` is entered."""

    def __init__(self, craft: WorkerSpec, settings: FileSettings) -> None:
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
            queue = JobQueue(pool, outbox)
            bench = self._bench(queue, storage, tools)
            first = await producer()
            supervisor = await stack.enter_async_context(TaskSupervisor())
            supervisor.start(outbox.relay(first, reopen=producer), "relay")
            supervisor.start(self._runner(queue, bench).run(), "runner")
            supervisor.start(measure(craft.name, queue, outbox), "measure")
            broker = make_broker(settings.kafka_bootstrap_servers, craft.name)
            craft.register(broker, JobIntake(pool, queue, craft.kind, craft.estimate, bench.on_cancel))
            await broker.start()
            stack.push_async_callback(broker.stop)
            self._parts = _Parts(pool, storage, broker)
            stack.callback(self._close)
            yield

    def _bench(self, queue: JobQueue, storage: Storage, tools: Tools) -> JobRunner:
        return JobRunner(
            queue,
            storage,
            EgressPolicy(self._settings.allow_net),
            tools,
            self._craft.maker(tools),
            fetching=self._settings.fetching,
            now_ms=now_ms,
        )

    def _runner(self, queue: JobQueue, bench: JobRunner) -> Runner:
        return Runner(queue, bench.work, slots=self._craft.slots, exhausted=bench.exhausted, on_cancel=bench.on_cancel)

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
