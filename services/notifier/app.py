"""Builds the notifier: the only module of this service that constructs its parts."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.metadata import version
from random import uniform

from aiohttp import web

from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.http.health import Check
from chassis.adapters.kafka.admin import ensure_topics
from chassis.adapters.kafka.consumer import ServiceBroker
from chassis.adapters.postgres import Pool, check, migrate, open_pool
from chassis.core import logs
from chassis.core.concurrency import TaskSupervisor
from chassis.core.retry import run_periodically
from chassis.runtime.job_queue import JobQueue, Runner
from chassis.runtime.job_queue.gauges import measure
from chassis.runtime.outbox import Outbox
from services.notifier.deliveries import DeliveryQueue, DeliveryRunner
from services.notifier.handlers import register
from services.notifier.host_limiter import HostLimiter
from services.notifier.sender import Sender
from services.notifier.settings import Settings
from services.notifier.store import Store

SCHEMA = "notifier"
MIGRATIONS = (
    "chassis.runtime.outbox.migrations",
    "chassis.runtime.job_queue.migrations",
    "services.notifier.sql.migrations",
)
POOL_SIZE = 10
PURGE_EVERY = timedelta(hours=1)

log = logs.get_logger(__name__)


class Notifier:
    """The notifier as an App. It has no HTTP of its own yet; the gateway leads /webhooks here."""

    name = "notifier"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool: Pool | None = None
        self._broker: ServiceBroker | None = None

    def routes(self) -> list[web.RouteDef]:
        return []

    def checks(self) -> Mapping[str, Check]:
        return {"postgres": self._check_postgres, "kafka": self._check_kafka}

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        settings = self._settings
        await migrate(settings.database_url, SCHEMA, MIGRATIONS)
        await ensure_topics(settings.kafka_bootstrap_servers)
        egress = EgressPolicy(settings.allow_net)
        async with (
            await open_pool(settings.database_url, SCHEMA, size=POOL_SIZE) as pool,
            egress.session(limit=settings.notifier_slots) as session,
            TaskSupervisor() as supervisor,
        ):
            store = Store(pool)
            outbox = Outbox(pool, self.name)
            queue = JobQueue(pool, outbox)
            sender = Sender(session, egress, deadline_s=settings.notifier_deadline.total_seconds())
            supervisor.start(
                run_periodically(lambda: store.delete_closed(settings.notifier_keep), PURGE_EVERY, log, "purge"),
                "purge",
            )
            supervisor.start(measure(self.name, queue, outbox), "measure")
            supervisor.start(self._runner(queue, store, sender).run(), "runner")
            self._pool = pool
            self._broker = ServiceBroker(settings.kafka_bootstrap_servers, self.name)
            register(self._broker, DeliveryQueue(pool, queue, store, settings.delivery_base))
            try:
                await self._broker.start()
                yield
            finally:
                await self._broker.stop()

    def _runner(self, queue: JobQueue, store: Store, sender: Sender) -> Runner:
        runner = DeliveryRunner(
            store=store,
            sender=sender,
            limiter=HostLimiter(self._settings.notifier_slots_per_host),
            secret=self._settings.webhook_secret.get_secret_value(),
            user_agent=f"bitmill/{version('bitmill')}",
            jitter=lambda: uniform(-1, 1),  # noqa: S311  spreads load, protects nothing
        )
        slots = self._settings.notifier_slots
        return Runner(
            queue,
            runner.work,
            slots=slots,
            exhausted=runner.exhausted,
            on_cancel=runner.on_cancel,
            # A POST to a receiver stops no process; one slow receiver must not get this one to itself.
            isolate=False,
        )

    async def _purge(self, store: Store) -> None:
        await run_periodically(
            lambda: store.delete_closed(self._settings.notifier_keep), PURGE_EVERY, log, "webhook_delivery_purge"
        )

    async def _check_postgres(self) -> None:
        if self._pool is not None:
            await check(self._pool)

    async def _check_kafka(self) -> None:
        if self._broker is not None:
            self._broker.check()
