"""The worker app: opens everything that the transcoder and the thumbnailer share, and runs their jobs."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.http.errors import unavailable
from chassis.adapters.http.health import Check
from chassis.adapters.kafka.admin import ensure_topics, wait_for_kafka
from chassis.adapters.kafka.consumer import ServiceBroker
from chassis.adapters.kafka.producer import replaceable_producer
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
from worker.handlers import Estimate, JobIntake, register
from worker.runner import Encoder, JobRunner
from worker.settings import FileSettings, scratch_dir

MIGRATIONS = ("chassis.runtime.outbox.migrations", "chassis.runtime.job_queue.migrations")

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class WorkerSpec:
    """How one worker differs from another.

    `name` is the service's and that of its Postgres schema. It runs jobs of `kind`, `slots` at a time. `preload` names
    modules that the encoder calls in the sandbox.
    """

    name: str
    kind: JobKind
    slots: int
    encoder: Callable[[Tools], Encoder]
    estimate: Estimate
    preload: tuple[str, ...] = ()
    limits: Limits = ENCODE_LIMITS


@dataclass(frozen=True)
class _Resources:
    """What is open while the service runs."""

    pool: Pool
    storage: Storage
    broker: ServiceBroker


class WorkerApp:
    """A worker as an App. It has no routes of its own and works while `run` is entered."""

    def __init__(self, spec: WorkerSpec, settings: FileSettings) -> None:
        self.name = spec.name
        self._spec = spec
        self._settings = settings
        self._resources: _Resources | None = None

    def routes(self) -> list[web.RouteDef]:
        return []

    def checks(self) -> Mapping[str, Check]:
        return {"postgres": self._check_postgres, "kafka": self._check_kafka, "storage": self._check_storage}

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Resources close in reverse order: no new work is taken, running work is stopped and released, the relay
        publishes the remaining events, then Kafka, storage, Postgres and the sandbox close."""
        spec, settings = self._spec, self._settings
        await migrate(settings.database_url, spec.name, MIGRATIONS)
        await wait_for_kafka(settings.kafka_bootstrap_servers)
        await ensure_topics(settings.kafka_bootstrap_servers)
        async with AsyncExitStack() as stack:
            folder = stack.enter_context(scratch_dir(settings.work_dir))
            tools = await stack.enter_async_context(open_tools(folder, preload=spec.preload, limits=spec.limits))
            log.info("sandbox_opened", **tools.sandbox_report)
            pool = await stack.enter_async_context(await open_pool(settings.database_url, spec.name))
            storage = await stack.enter_async_context(open_storage(settings.storage_url))

            producer = await stack.enter_async_context(
                replaceable_producer(settings.kafka_bootstrap_servers, f"bitmill.{spec.name}")
            )
            outbox = Outbox(pool, spec.name)
            queue = JobQueue(pool, outbox)
            jobs = self._job_runner(queue, storage, tools)
            first = await producer()
            supervisor = await stack.enter_async_context(TaskSupervisor())
            supervisor.start(outbox.relay(first, reopen=producer), "relay")
            supervisor.start(
                Runner(queue, jobs.run, slots=spec.slots, exhausted=jobs.exhausted, on_cancel=jobs.on_cancel).run(),
                "runner",
            )
            supervisor.start(measure(spec.name, queue, outbox), "measure")
            broker = ServiceBroker(settings.kafka_bootstrap_servers, spec.name)
            register(broker, JobIntake(pool, queue, spec.kind, spec.estimate, jobs.on_cancel))
            await broker.start()
            stack.push_async_callback(broker.stop)
            self._resources = _Resources(pool, storage, broker)
            stack.callback(self._close)
            yield

    def _job_runner(self, queue: JobQueue, storage: Storage, tools: Tools) -> JobRunner:
        return JobRunner(
            queue,
            storage,
            EgressPolicy(self._settings.allow_net),
            tools,
            self._spec.encoder(tools),
            fetch_limits=self._settings.fetch_limits,
            now_ms=now_ms,
        )

    def _close(self) -> None:
        self._resources = None

    def _open(self) -> _Resources:
        if self._resources is None:
            raise unavailable()
        return self._resources

    async def _check_postgres(self) -> None:
        await check(self._open().pool)

    async def _check_kafka(self) -> None:
        self._open().broker.check()

    async def _check_storage(self) -> None:
        await self._open().storage.check()
