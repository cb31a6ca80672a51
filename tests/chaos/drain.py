"""When a run is over: all accepted work has ended. Also notes when each request's work ended, for the waits."""

import time
from collections.abc import Mapping
from contextlib import suppress

import asyncpg

from tests.chaos.auditor.records import Customers

LATER_SECONDS = 10
"""Webhooks whose next attempt is further away are tried now: by the schedule the third attempt comes after minutes."""
_NOT_EMPTY: Mapping[str, str] = {
    "jobs without an end": "SELECT count(*) FROM ingest.jobs WHERE ended IS NULL",
    "items without an end": "SELECT count(*) FROM ingest.media WHERE status = 'processing'",
    "jobs without an end in the catalog": "SELECT count(*) FROM catalog.jobs WHERE rank <> 2",
    "items of which the catalog shows another version": (
        "SELECT count(*) FROM ingest.media LEFT JOIN catalog.media AS shown USING (id)"
        " WHERE shown.version IS DISTINCT FROM media.version"
    ),
    "open webhooks": "SELECT count(*) FROM notifier.deliveries WHERE state = 'pending'",
    **{
        f"queue of {name}": f"SELECT count(*) FROM {name}.job_queue WHERE state IN ('queued', 'running')"
        for name in ("ingest", "transcoder", "thumbnailer", "notifier")
    },
    **{f"outbox of {name}": f"SELECT count(*) FROM {name}.outbox" for name in ("ingest", "transcoder", "thumbnailer")},
}


class Drain:
    """Looks into Postgres directly, beside its proxy."""

    def __init__(self, dsn: str, customers: Customers) -> None:
        self._dsn = dsn
        self._customers = customers

    async def __aenter__(self) -> "Drain":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def unfinished(self) -> int | None:
        """How much is left to do, webhooks without a delivery included; None while Postgres does not answer."""
        try:
            connection = await asyncpg.connect(self._dsn, timeout=10)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return None
        try:
            await connection.execute(
                "UPDATE notifier.job_queue SET not_before = now() "
                f"WHERE state = 'queued' AND not_before > now() + interval '{LATER_SECONDS} seconds'"
            )
            await self._note_ends(connection)
            return await self._unfinished(connection)
        finally:
            with suppress(Exception):
                await connection.close(timeout=5)

    async def _unfinished(self, connection: asyncpg.Connection) -> int:
        left = sum([int(await connection.fetchval(query)) for query in _NOT_EMPTY.values()])
        hooks = sum(1 for request in self._customers.accepted if request.webhook_url)
        return left + max(0, hooks - int(await connection.fetchval("SELECT count(*) FROM notifier.deliveries")))

    async def _note_ends(self, connection: asyncpg.Connection) -> None:
        rows = await connection.fetch("SELECT id FROM catalog.jobs WHERE rank = 2")
        rows += await connection.fetch("SELECT id FROM ingest.media WHERE status <> 'processing'")
        ended, now = {row["id"] for row in rows}, time.monotonic()
        for request in self._customers.accepted:
            if request.ended_at is None and request.id in ended:
                request.ended_at = now
