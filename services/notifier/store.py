"""The notifier's tables: webhook deliveries, and the attempts at each. The one module of the notifier with SQL."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

import asyncpg

from chassis.adapters.failure_policy import is_outage
from chassis.adapters.postgres import Connection, Pool, sql
from chassis.core.batching import Batching
from schemas.ids import derived
from schemas.projects import Project
from services.notifier.schedule import MAX_ATTEMPTS, AttemptResult

SCHEMA = "notifier"
MIGRATIONS = ("services.notifier.sql.migrations",)
QUERIES = sql.load("services.notifier.sql")


def delivery_id(job_id: str, webhook_url: str, run: int) -> str:
    """The id of the delivery of the end of a job's run. `webhook_url` is as the job's events have it."""
    return derived("msg", job_id, webhook_url if run == 1 else f"{run} {webhook_url}")


@dataclass(frozen=True)
class WebhookDelivery:
    """What to send, and to which URL. `body` holds the exact bytes that are signed, the same on every attempt."""

    id: str
    job_id: str
    project: str
    url: str
    body: bytes
    encrypted_url: str | None = None
    """The whole address where `url` has its private parts masked."""


@dataclass(frozen=True)
class DeliveryAttempt:
    """An attempt that has begun: its number (from 1) and what to send. `waited_s`: seconds since the row was made.

    `counted` is how many attempts count, this one included. It is less than the number where one with a lower number
    was discarded later: its worker had lost the lease before it noticed.

    `encrypted_secrets` are the project's own, the newest first; None stands for the secret of the installation.
    """

    number: int
    delivery_id: str
    project: str
    url: str
    encrypted_url: str | None
    body: bytes
    waited_s: float
    counted: int
    encrypted_secrets: tuple[str | None, ...] = ()


@dataclass(frozen=True)
class Closed:
    """The delivery has ended already, or was deleted."""


@dataclass(frozen=True)
class AttemptInProgress:
    """Another worker is beginning the same attempt."""


@dataclass(frozen=True)
class AttemptsExhausted:
    """All attempts were begun, and the last has no result: its worker was killed."""


@dataclass(frozen=True)
class EndedAttempt:
    """An attempt with its result, and with the end of its delivery if it was the last one."""

    attempt: DeliveryAttempt
    result: AttemptResult
    state: Literal["delivered", "gave_up"] | None = None
    reason: str | None = None


BeginResult = DeliveryAttempt | Closed | AttemptInProgress | AttemptsExhausted


class Store:
    """Methods with a `conn` belong to the caller's transaction."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._begin: Batching[str, BeginResult] = Batching(self._begin_attempts, shared_failure=is_outage)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection in a transaction, committed where the block does not raise."""
        async with self._pool.acquire() as conn, conn.transaction():
            yield conn

    async def add(self, conn: Connection, deliveries: Sequence[WebhookDelivery]) -> set[str]:
        """Adds deliveries; the ids of those that are new. Known ones stay as they are."""
        columns = (
            [each.id for each in deliveries],
            [each.job_id for each in deliveries],
            [each.project for each in deliveries],
            [each.url for each in deliveries],
            [each.encrypted_url for each in deliveries],
            [each.body for each in deliveries],
        )
        return {row["id"] for row in await conn.fetch(QUERIES["add_deliveries"], *columns)}

    async def begin_attempt(self, delivery_id: str) -> BeginResult:
        """Begins the next attempt; it is committed before anything is sent. Those of one moment in one statement."""
        return await self._begin(delivery_id)

    async def _begin_attempts(self, ids: Sequence[str]) -> list[BeginResult | Exception]:
        # Of two callers with the same delivery, whose leases overlap, one begins: as it would be in two processes.
        found = {row["id"]: row for row in await self._pool.fetch(QUERIES["begin_attempts"], ids, MAX_ATTEMPTS)}
        first = {id: place for place, id in reversed(list(enumerate(ids)))}
        return [
            AttemptInProgress() if id in found and first[id] != place else _begun(found.get(id))
            for place, id in enumerate(ids)
        ]

    async def discard_attempt(self, conn: Connection, attempt: DeliveryAttempt) -> None:
        """Takes back an attempt that has no result and is not to count."""
        await conn.execute(QUERIES["discard_attempt"], attempt.delivery_id, attempt.number)

    async def end_attempts(self, conn: Connection, ended: Sequence[EndedAttempt]) -> None:
        """Records the results of attempts, and ends the deliveries that end with them."""
        columns = (
            [each.attempt.delivery_id for each in ended],
            [each.attempt.number for each in ended],
            [each.result.status for each in ended],
            [each.result.error for each in ended],
            [each.result.address for each in ended],
            [each.result.seconds for each in ended],
            [each.result.excerpt for each in ended],
        )
        await conn.execute(QUERIES["end_attempts"], *columns)
        closed = [(each.attempt.delivery_id, each.state, each.reason) for each in ended if each.state is not None]
        if closed:
            await conn.execute(QUERIES["close_deliveries"], *zip(*closed, strict=True))

    async def give_up(self, conn: Connection, delivery_id: str, reason: str) -> None:
        """Ends a delivery without a further attempt; row, body and attempts are kept."""
        await conn.execute(QUERIES["close_deliveries"], [delivery_id], ["gave_up"], [reason])

    async def put_projects(self, projects: Sequence[Project]) -> None:
        """Stores how the files of projects are delivered; each project once. An older version changes nothing."""
        rows = [(project.id, project.signed, project.version) for project in projects]
        ids, signed, versions = zip(*rows, strict=True)
        await self._pool.execute(QUERIES["put_projects"], ids, signed, versions)

    async def signed_projects(self, ids: Iterable[str]) -> set[str]:
        """Those of the projects whose files are delivered only with a signature."""
        return {row["id"] for row in await self._pool.fetch(QUERIES["signed_projects"], list(ids))}


def _begun(row: asyncpg.Record | None) -> BeginResult:
    if row is None:
        return Closed()
    if row["number"] is None:
        return AttemptInProgress() if row["previous"] < MAX_ATTEMPTS else AttemptsExhausted()
    return DeliveryAttempt(
        number=row["number"],
        delivery_id=row["id"],
        project=row["project"],
        url=row["url"],
        encrypted_url=row["encrypted_url"],
        body=row["body"],
        waited_s=row["waited"],
        counted=row["previous"] + 1,
        encrypted_secrets=tuple(row["secrets"]),
    )
