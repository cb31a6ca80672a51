"""The declaration of a service: what it requires, the resources it gets, its own components. See `service_app`."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from faststream.kafka import KafkaBroker

from chassis.adapters.http.health import Check
from chassis.adapters.kafka.connection import KafkaConnection
from chassis.adapters.kafka.dead_letters import DeadLetterReport
from chassis.adapters.kafka.lag import GroupLag
from chassis.adapters.kafka.producer import LossyPublisher
from chassis.adapters.postgres import Pool
from chassis.adapters.storage import Storage
from chassis.runtime.job_queue import JobQueue, Runner
from chassis.runtime.outbox import Outbox
from chassis.runtime.purge import PurgeHook
from chassis.runtime.retention import RATE_WINDOWS, Retention, outbox_retention, queue_retention
from schemas.topics import Service

P = TypeVar("P")
R = TypeVar("R")

_OUTBOX_MIGRATIONS = "chassis.runtime.outbox.migrations"
_JOB_QUEUE_MIGRATIONS = "chassis.runtime.job_queue.migrations"
RATE_LIMIT_MIGRATIONS = "chassis.runtime.rate_limits.migrations"


@dataclass(frozen=True)
class ServiceSpec:
    """What a service requires. `name` is also its Postgres schema and part of its consumer groups' names.

    `migrations` are packages of numbered `.sql` files; those of the outbox, the job queue and rate limits are added.
    `outbox` starts a relay; without it a service with a `job_queue` publishes nothing.
    """

    name: Service
    migrations: tuple[str, ...] = ()
    pool_size: int = 10
    outbox: bool = False
    watermark: bool = False
    """The relay also publishes its progress on `outbox.watermark`."""
    job_queue: bool = False
    temporary_tables: bool = False
    """It creates temporary tables, for which its role needs a right."""
    storage: bool = False
    rate_limits: bool = False
    """It counts requests, in a table that its replicas share."""
    lossy_events: bool = False
    retention: tuple[Retention, ...] = ()
    """Of every table of its own migrations."""
    queue_retention: str = "retain_jobs"
    """The setting that says how long ended items of the job queue are kept."""

    @property
    def all_retention(self) -> tuple[Retention, ...]:
        """Of every table of the schema, but for those that record migrations."""
        outbox = outbox_retention() if self.outbox or self.job_queue else ()
        queue = queue_retention(self.queue_retention) if self.job_queue else ()
        return (*outbox, *queue, *((RATE_WINDOWS,) if self.rate_limits else ()), *self.retention)

    @property
    def all_migrations(self) -> tuple[str, ...]:
        outbox = (_OUTBOX_MIGRATIONS,) if self.outbox or self.job_queue else ()
        queue = (_JOB_QUEUE_MIGRATIONS,) if self.job_queue else ()
        return (*outbox, *queue, *((RATE_LIMIT_MIGRATIONS,) if self.rate_limits else ()), *self.migrations)


@dataclass(frozen=True)
class Resources:
    """What is open while a service runs. `build` enters further contexts on `stack`; they are closed first."""

    stack: AsyncExitStack
    kafka: KafkaConnection
    pool: Pool
    lag: GroupLag
    _outbox: Outbox | None = None
    _job_queue: JobQueue | None = None
    _storage: Storage | None = None
    _lossy: LossyPublisher | None = None

    @property
    def outbox(self) -> Outbox:
        return _declared(self._outbox, "outbox")

    @property
    def job_queue(self) -> JobQueue:
        return _declared(self._job_queue, "job_queue")

    @property
    def storage(self) -> Storage:
        return _declared(self._storage, "storage")

    @property
    def lossy_events(self) -> LossyPublisher:
        return _declared(self._lossy, "lossy_events")


@dataclass(frozen=True)
class Components(Generic[P]):
    """What only this service has.

    `parts` is what its HTTP handlers use. `subscribe` registers its Kafka handlers. `runner` works on its job queue.
    `background` are coroutines, by name, that run as long as the service. `checks` are further health checks.
    `before_stop` is called first of all when the service stops, before its consumers end. `purge_hooks` are called, by
    table, before rows are deleted whose retention is over. `report_dead_letter` is called before one is written.
    """

    parts: P
    subscribe: Callable[[KafkaBroker], None] | None = None
    runner: Runner | None = None
    background: Mapping[str, Coroutine[Any, Any, None]] = field(default_factory=dict)
    checks: Mapping[str, Check] = field(default_factory=dict)
    before_stop: Sequence[Callable[[], None]] = ()
    purge_hooks: Mapping[str, PurgeHook] = field(default_factory=dict)
    report_dead_letter: DeadLetterReport | None = None


def _declared(resource: R | None, name: str) -> R:
    if resource is None:
        raise RuntimeError(f"the service's spec does not declare {name}")
    return resource
