"""Builds the notifier and wires it: the only module of this room that constructs."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from random import uniform

from aiohttp import web
from faststream.kafka import KafkaBroker

from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.http.health import Check
from chassis.adapters.kafka.admin import ensure_topics
from chassis.adapters.kafka.consumer import assigned, make_broker
from chassis.adapters.postgres import Pool, check, migrate, open_pool
from chassis.core.concurrency import TaskSupervisor
from chassis.runtime.job_queue import JobQueue, Runner
from chassis.runtime.job_queue.gauges import measure
from chassis.runtime.outbox import Outbox
from services.notifier.delivery import Attempts, JobIntake
from services.notifier.handlers import register
from services.notifier.lanes import Lanes
from services.notifier.measure import Measures
from services.notifier.sender import Sender
from services.notifier.settings import Settings
from services.notifier.store import Store
from services.notifier.upkeep import sweep

SCHEMA = "notifier"
MIGRATIONS = (
    "chassis.runtime.outbox.migrations",
    "chassis.runtime.job_queue.migrations",
    "services.notifier.sql.migrations",
)
MANY = 2**31 - 1
"""Claims that the queue allows: how often a webhook is tried is decided by the schedule, which counts by itself."""
POOL_SIZE = 10


class Notifier:
    """The notifier as an App. It has no HTTP of its own yet; the gateway leads /webhooks here."""

    name = "notifier"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool: Pool | None = None
        self._broker: KafkaBroker | None = None

    def routes(self) -> list[web.RouteDef]:
        return []

    def checks(self) -> Mapping[str, Check]:
        return {"postgres": self._check_postgres, "kafka": self._check_kafka}

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        settings = self._settings
        await migrate(settings.database_url, SCHEMA, MIGRATIONS)
        await ensure_topics(settings.kafka_bootstrap_servers)
        guard = EgressPolicy(settings.allow_net)
        async with (
            await open_pool(settings.database_url, SCHEMA, size=POOL_SIZE) as pool,
            guard.session(limit=settings.notifier_slots) as session,
            TaskSupervisor() as supervisor,
        ):
            store = Store(pool)
            outbox = Outbox(pool, self.name)
            queue = JobQueue(pool, outbox, max_attempts=MANY)
            sender = Sender(session, guard, deadline=settings.notifier_deadline.total_seconds())
            supervisor.start(sweep(store, settings.notifier_keep), "sweep")
            supervisor.start(measure(self.name, queue, outbox), "measure")
            supervisor.start(self._runner(queue, store, sender).run(), "runner")
            self._pool = pool
            self._broker = make_broker(settings.kafka_bootstrap_servers, self.name)
            register(self._broker, JobIntake(pool, queue, store, settings.delivery_base))
            try:
                await self._broker.start()
                yield
            finally:
                await self._broker.stop()

    def _runner(self, queue: JobQueue, store: Store, sender: Sender) -> Runner:
        attempts = Attempts(
            store=store,
            sender=sender,
            lanes=Lanes(self._settings.notifier_slots_per_host),
            secret=self._settings.webhook_secret.get_secret_value(),
            user_agent=f"bitmill/{version('bitmill')}",
            measures=Measures(),
            jitter=lambda: uniform(-1, 1),  # noqa: S311  spreads load, guards nothing
        )
        return Runner(
            queue,
            attempts.work,
            slots=self._settings.notifier_slots,
            exhausted=attempts.exhausted,
            on_cancel=attempts.cancelled,
        )

    async def _check_postgres(self) -> None:
        if self._pool is not None:
            await check(self._pool)

    async def _check_kafka(self) -> None:
        if self._broker is not None:
            await assigned(self._broker)
