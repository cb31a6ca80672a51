"""One declaration builds a service: schema and migrations, pool, storage, outbox and relay, job queue and runner, Kafka
consumers, HTTP routes, metrics and health checks, opened in one order and closed in the reverse.

A service subclasses `ServiceApp`, declares what it needs in `spec`, and returns from `build` what only it has. "Ready"
means the same for every service: everything is open, every group is joined, and every check passes.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar
from urllib.parse import unquote, urlsplit

from aiohttp import web

from chassis.adapters.failure_policy import FailurePolicy, describe
from chassis.adapters.http.errors import ErrorStyle, unavailable
from chassis.adapters.http.health import Check
from chassis.adapters.http.response_deadline import RESPONSE_SECONDS
from chassis.adapters.kafka.admin import ensure_topics
from chassis.adapters.kafka.connection import configured
from chassis.adapters.kafka.consumer import ServiceBroker
from chassis.adapters.kafka.lag import GroupLag, Lag
from chassis.adapters.kafka.producer import KafkaLossyPublisher, replaceable_producer
from chassis.adapters.kafka.record_handler import HandlerLimits
from chassis.adapters.postgres import (
    MigrationChanged,
    MigrationsPending,
    Pool,
    RoleRefused,
    check,
    migrate,
    open_pool,
    require_current,
)
from chassis.adapters.storage import open_storage
from chassis.core import logs
from chassis.core.concurrency import TaskSupervisor
from chassis.core.ids import new_process_name
from chassis.core.metrics import gauge
from chassis.core.settings import CommonSettings, StartRefused
from chassis.runtime import process_gauges
from chassis.runtime.job_queue import JobQueue
from chassis.runtime.job_queue.inspection import QueueGauges
from chassis.runtime.outbox import GaugeLeader, Outbox
from chassis.runtime.purge import Purger
from chassis.runtime.service_spec import Components, Resources, ServiceSpec
from schemas.topics import topics_of

S = TypeVar("S", bound=CommonSettings)
P = TypeVar("P")
StartRelay: TypeAlias = Callable[[], Coroutine[Any, Any, None]]

__all__ = ["Components", "Resources", "ServiceApp", "ServiceSpec"]

log = logs.get_logger(__name__)

_lag_records = gauge("bitmill_kafka_lag_records", "Records that the group has not handled.", ("service", "topic"))
_lag_seconds = gauge("bitmill_kafka_lag_seconds", "For how long the group has been behind.", ("service", "topic"))


@dataclass(frozen=True)
class _Running(Generic[P]):
    resources: Resources
    components: Components[P]
    broker: ServiceBroker
    gauge_leader: GaugeLeader


class ServiceApp(Generic[S, P]):
    """An App (see `chassis.runtime.lifecycle`) built from a declaration. Subclasses set `spec` and write `build`."""

    spec: ClassVar[ServiceSpec]

    def __init__(self, settings: S) -> None:
        self.settings = settings
        self._kafka = configured(settings)
        self._replica = new_process_name()
        self.error_styles: Mapping[str, ErrorStyle] = {}
        self.response_s = RESPONSE_SECONDS
        self._running: _Running[P] | None = None

    @property
    def name(self) -> str:
        return self.spec.name

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """The HTTP routes; declared before anything is open, so handlers read `parts` at each request."""
        return ()

    async def build(self, resources: Resources) -> Components[P]:
        """Builds what only this service has. What it opens, it enters on `resources.stack`."""
        raise NotImplementedError

    def job_queue(self, pool: Pool, outbox: Outbox) -> JobQueue:
        """The job queue, where `spec` declares one; to be overridden for other bounds."""
        return JobQueue(pool, outbox)

    @property
    def drain_timeout(self) -> timedelta:
        """How long `drain` may take; to be overridden by services whose work takes long."""
        return timedelta(0)

    async def drain(self) -> None:
        """Reads nothing from Kafka any more, claims nothing, and waits for the work that has begun.

        Called before the service stops, if `drain_timeout` is not 0.
        """
        running = self._open()
        stopping = [running.broker.stop()]
        if running.components.runner is not None:
            stopping.append(running.components.runner.drain(self.drain_timeout))
        # At the same time, and an error of one does not end the other: Kafka may be away. `run` stops the broker again.
        for error in await asyncio.gather(*stopping, return_exceptions=True):
            if error is not None:
                log.error("service_drain_failed", error=describe(error))

    @property
    def parts(self) -> P:
        """What `build` returned for HTTP handlers; ApiError 503 while the service is not open."""
        return self._open().components.parts

    def checks(self) -> Mapping[str, Check]:
        checks: dict[str, Check] = {"postgres": self._check_postgres, "kafka": self._check_kafka}
        if self.spec.storage:
            checks["storage"] = self._check_storage
        if self._running is not None:
            if (runner := self._running.components.runner) is not None:
                checks["job_queue"] = runner.check
            checks |= self._running.components.checks
        return checks

    async def refresh_metrics(self) -> None:
        """Measures the gauges of the process, of lag, job queue and outbox; called at a scrape."""
        running = self._running
        if running is None:
            return
        with logs.bind_context(service=self.name):
            try:
                await process_gauges.measure(
                    self.name, running.resources.pool, running.components.runner, self._folders()
                )
                await self._lag(running)
                if self.spec.outbox or self.spec.job_queue:
                    await self._refresh_table_gauges(running.resources, running.gauge_leader)
            except Exception as error:  # noqa: BLE001 - a dependency does not respond: /readyz names it, gauges keep their values
                log.warning("metrics_not_refreshed", error=f"{type(error).__name__}: {error}")

    def _folders(self) -> Mapping[str, Path]:
        """Folders whose free space is shown, by what they are for."""
        settings, found = self.settings, dict[str, Path]()
        if self.spec.storage and settings.storage_url.startswith("file:"):
            found["storage"] = Path(unquote(urlsplit(settings.storage_url).path))
        if isinstance(work := getattr(settings, "work_dir", None), Path):
            found["work"] = work
        return found

    async def _refresh_table_gauges(self, resources: Resources, leader: GaugeLeader) -> None:
        outbox, queue = resources.outbox, QueueGauges(resources.pool, self.name) if self.spec.job_queue else None
        if await leader.leads():
            await outbox.set_gauges()
            if queue is not None:
                await queue.measure()
        else:
            outbox.clear_gauges()
            if queue is not None:
                queue.clear()

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """The service works inside the block; on exit everything is closed in the reverse order.

        The consumers end first, then the runner releases its items, the relay publishes the remaining events, and the
        clients close.
        """
        spec = self.spec
        await self._prepare_schema()
        await ensure_topics(self._kafka, topics_of(spec.name))
        async with AsyncExitStack() as stack:
            resources, relay = await self._open_resources(stack)
            components = await self.build(resources)
            supervisor = await stack.enter_async_context(TaskSupervisor())
            self._start_background(supervisor, resources, components, relay)
            broker = await self._start_consumers(stack, components)
            leader = await stack.enter_async_context(GaugeLeader(resources.pool, self._replica))
            self._running = _Running(resources, components, broker, leader)
            stack.callback(self._close)
            yield

    async def _prepare_schema(self) -> None:
        """Migrates the schema or, by setting, only checks it: the service then needs no right to change it."""
        spec = self.spec
        prepare = migrate if self.settings.migrate_on_start else require_current
        try:
            await prepare(self.settings.database_url, spec.name, spec.all_migrations)
        except (MigrationsPending, MigrationChanged, RoleRefused) as error:
            raise StartRefused(str(error)) from error

    async def _open_resources(self, stack: AsyncExitStack) -> tuple[Resources, StartRelay | None]:
        spec, settings = self.spec, self.settings
        kafka = self._kafka
        pool = await stack.enter_async_context(await open_pool(settings.database_url, spec.name, size=spec.pool_size))
        storage = await stack.enter_async_context(open_storage(settings.storage_url)) if spec.storage else None
        lag = GroupLag(kafka, f"bitmill.{spec.name}.lag")
        stack.push_async_callback(lag.close)
        outbox = queue = None
        relay: StartRelay | None = None
        if spec.outbox or spec.job_queue:
            outbox = Outbox(pool, spec.name)
        if spec.outbox and outbox is not None:
            reopen = await stack.enter_async_context(replaceable_producer(kafka, f"bitmill.{spec.name}"))
            producer = await reopen()
            relay = partial(outbox.relay, producer, reopen=reopen, watermark=spec.watermark)
        if spec.job_queue and outbox is not None:
            queue = self.job_queue(pool, outbox)
        lossy = KafkaLossyPublisher(kafka, spec.name) if spec.lossy_events else None
        return Resources(stack, kafka, pool, lag, outbox, queue, storage, lossy), relay

    def _start_background(
        self,
        supervisor: TaskSupervisor,
        resources: Resources,
        components: Components[P],
        relay: StartRelay | None,
    ) -> None:
        if relay is not None:
            supervisor.start(relay(), "outbox relay")
        if self.spec.lossy_events and isinstance(resources.lossy_events, KafkaLossyPublisher):
            supervisor.start(resources.lossy_events.run(), "lossy events")
        if components.runner is not None:
            supervisor.start(components.runner.run(), "job queue runner")
        purger = Purger(
            resources.pool, self.name, self.spec.all_retention, self._retention, hooks=components.purge_hooks
        )
        supervisor.start(purger.run(self.settings.purge_interval), "purge")
        for name, coroutine in components.background.items():
            supervisor.start(coroutine, name)

    def _retention(self, setting: str) -> timedelta:
        keep: timedelta = getattr(self.settings, setting)
        return keep

    async def _start_consumers(self, stack: AsyncExitStack, components: Components[P]) -> ServiceBroker:
        settings = self.settings
        limits = HandlerLimits(
            # Short, so that a consumer continues soon after a long outage; one query per pause is no load.
            policy=FailurePolicy(attempts=settings.kafka_handler_attempts, longest_delay_s=4.0),
            dead_letters_per_minute=settings.kafka_dead_letters_per_minute,
        )
        broker = ServiceBroker(self._kafka, self.name, limits=limits, report=components.report_dead_letter)
        if components.subscribe is not None:
            components.subscribe(broker)
            await broker.start()
        stack.push_async_callback(broker.stop)
        for callback in reversed(components.before_stop):
            stack.callback(callback)
        return broker

    def _close(self) -> None:
        self._running = None

    def _open(self) -> _Running[P]:
        if self._running is None:
            raise unavailable()
        return self._running

    async def _lag(self, running: _Running[P]) -> Mapping[str, Lag]:
        # Several consumers of the process may share a topic.
        topics = {each.handler.topic.name: each.handler.topic for each in running.broker.subscriptions}
        measured = await running.resources.lag.measure(self.name, list(topics.values()))
        for topic, lag in measured.items():
            _lag_records.labels(self.name, topic).set(lag.records)
            _lag_seconds.labels(self.name, topic).set(lag.seconds)
        return measured

    async def _check_postgres(self) -> None:
        await check(self._open().resources.pool)

    async def _check_kafka(self) -> Mapping[str, Any]:
        """A group with lag is ready as well; the details show the lag by topic."""
        running = self._open()
        running.broker.check()
        await running.resources.lag.ping()
        lags = await self._lag(running)
        return {
            "lag": {topic: {"records": lag.records, "seconds": round(lag.seconds, 1)} for topic, lag in lags.items()}
        }

    async def _check_storage(self) -> None:
        await self._open().resources.storage.check()
