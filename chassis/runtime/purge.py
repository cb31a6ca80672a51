"""Deletes rows that are older than their retention: in batches, by one replica at a time, with metrics.

Each batch is a transaction of its own, bounded in rows and time, and the pause after it is as long as the batch took,
so that a large backlog takes at most half of one connection's time. A batch that a crash cuts short is rolled back;
what is left is deleted at the next pass.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn

import asyncpg

from chassis.adapters.failure_policy import describe
from chassis.adapters.postgres import Connection, Pool, sql
from chassis.core import logs
from chassis.core.metrics import counter, gauge
from chassis.runtime.retention import (
    Cutoff,
    Purged,
    Retention,
    age_s,
    cutoff,
    delete_statement,
    milliseconds,
    oldest_statement,
    select_statement,
    tables,
)

LONGEST_START_DELAY_S = 60.0

log = logs.get_logger(__name__)
_rows_purged = counter(
    "bitmill_rows_purged", "Rows that were deleted because their retention was over.", ("service", "table")
)
_purge_failures = counter("bitmill_purge_failures", "Passes over a table that failed.", ("service", "table"))
_oldest = gauge(
    "bitmill_table_oldest_seconds", "Age of the oldest row that is purged once it is old.", ("service", "table")
)
_overdue = gauge(
    "bitmill_table_overdue_seconds",
    "How far the oldest row is beyond its retention; 0 within it.",
    ("service", "table"),
)
_rows = gauge("bitmill_table_rows", "Rows of the table, as Postgres estimates them.", ("service", "table"))
_bytes = gauge("bitmill_table_bytes", "Size of the table with its indexes.", ("service", "table"))


@dataclass(frozen=True)
class PurgeLimits:
    """The bounds of one batch."""

    rows: int = 1000
    hooked_rows: int = 100
    """Of a table with a hook, which may take long for each row."""
    statement_s: float = 5.0
    """After it Postgres gives the batch up; the next pass tries again with half of the rows."""
    longest_pause_s: float = 5.0


@dataclass(frozen=True)
class PurgeHook:
    """Called with the `columns` of rows before they are deleted. An exception keeps the rows until the next pass.

    It may be called again with the same rows: after a crash, and by another replica at the same time.
    """

    columns: tuple[str, ...]
    before: Callable[[Sequence[Mapping[str, Any]]], Awaitable[None]]


class Purger:
    """Purges the tables of one service. `keep` gives the retention by the name of its setting."""

    def __init__(
        self,
        pool: Pool,
        service: str,
        retention: Sequence[Retention],
        keep: Callable[[str], timedelta],
        *,
        hooks: Mapping[str, PurgeHook] | None = None,
        limits: PurgeLimits | None = None,
    ) -> None:
        self._pool = pool
        self._service = service
        self._purged = [each for each in retention if isinstance(each, Purged)]
        self._tables = frozenset(tables(retention))
        self._keep = keep
        self._hooks = hooks or {}
        self._limits = limits or PurgeLimits()
        self._queries = sql.load("chassis.runtime")
        self._halved: dict[str, int] = {}

    async def run(self, every: timedelta) -> NoReturn:
        """A pass every `every`, until cancelled."""
        # Replicas that start together do not begin together.
        await asyncio.sleep(random.uniform(0, min(every.total_seconds(), LONGEST_START_DELAY_S)))  # noqa: S311
        while True:
            await self.purge()
            await asyncio.sleep(every.total_seconds())

    async def purge(self) -> dict[str, int]:
        """One pass; the number of rows deleted, by table. A table that fails does not stop the others."""
        purged: dict[str, int] = {}
        for each in self._purged:
            try:
                for table, rows in (await self._table(each)).items():
                    purged[table] = purged.get(table, 0) + rows
            except Exception as error:  # noqa: BLE001 - a dependency may fail with any exception; the next pass follows
                if isinstance(error, asyncpg.QueryCanceledError):
                    self._halved[each.table] = self._halved.get(each.table, 0) + 1
                _purge_failures.labels(self._service, each.table).inc()
                log.warning("purge_failed", table=each.table, error=describe(error))
        try:
            await self._measure()
        except Exception as error:  # noqa: BLE001 - the gauges keep their values until the next pass
            log.warning("purge_failed", table="*", error=describe(error))
        return purged

    async def _table(self, purged: Purged) -> dict[str, int]:
        total: dict[str, int] = {}
        started = time.monotonic()
        while True:
            began = time.monotonic()
            deleted, more = await self._batch(purged)
            for table, rows in deleted.items():
                total[table] = total.get(table, 0) + rows
                _rows_purged.labels(self._service, table).inc(rows)
            if not more:
                break
            await asyncio.sleep(min(time.monotonic() - began, self._limits.longest_pause_s))
        self._halved.pop(purged.table, None)
        if any(total.values()):
            log.info("rows_purged", rows=total, seconds=round(time.monotonic() - started, 2))
        return total

    async def _batch(self, purged: Purged) -> tuple[dict[str, int], bool]:
        """Rows deleted by table, and whether there may be more."""
        hook = self._hooks.get(purged.table)
        limit = self._limits.rows if hook is None else self._limits.hooked_rows
        limit = max(1, limit >> self._halved.get(purged.table, 0))
        keys: list[Any] = []
        if hook is not None:
            rows = await self._due(purged, hook, limit)
            if not rows:
                return {}, False
            # Without a transaction: it may take long, and would hold the connection and the rows' locks.
            await hook.before(rows)
            keys.append([row[purged.key[0]] for row in rows])
        async with self._pool.acquire() as conn, conn.transaction():
            at = await self._begin(conn, purged)
            if at is None:
                return {}, False
            statement = delete_statement(purged, of_keys=hook is not None)
            row = await conn.fetchrow(statement, cutoff(purged, at), limit, milliseconds(at), *keys)
        assert row is not None  # noqa: S101 - counts always have one row
        return dict(row), row[purged.table] == limit

    async def _due(self, purged: Purged, hook: PurgeHook, limit: int) -> list[Mapping[str, Any]]:
        async with self._pool.acquire() as conn, conn.transaction():
            at = await self._begin(conn, purged)
            if at is None:
                return []
            statement = select_statement(purged, hook.columns)
            return [dict(row) for row in await conn.fetch(statement, cutoff(purged, at), limit, milliseconds(at))]

    async def _begin(self, conn: Connection, purged: Purged) -> datetime | None:
        """The cutoff, by the clock of Postgres; None where another replica deletes at this moment."""
        timeout_ms = str(int(self._limits.statement_s * 1000))
        row = await conn.fetchrow(self._queries["begin_purge"], self._retention(purged), timeout_ms)
        assert row is not None  # noqa: S101 - it has no condition
        at: datetime = row["cutoff"]
        return at if row["alone"] else None

    def _retention(self, purged: Purged) -> timedelta:
        return timedelta(0) if purged.setting is None else self._keep(purged.setting)

    async def _measure(self) -> None:
        async with self._pool.acquire() as conn:
            for row in await conn.fetch(self._queries["table_sizes"]):
                if row["table"] in self._tables:
                    _rows.labels(self._service, row["table"]).set(row["rows"])
                    _bytes.labels(self._service, row["table"]).set(row["bytes"])
            now: datetime = await conn.fetchval(self._queries["now"])
            for each in self._purged:
                oldest: Cutoff | None = await conn.fetchval(oldest_statement(each))
                age = 0.0 if oldest is None else max(0.0, age_s(oldest, now))
                _oldest.labels(self._service, each.table).set(age)
                _overdue.labels(self._service, each.table).set(max(0.0, age - self._retention(each).total_seconds()))
