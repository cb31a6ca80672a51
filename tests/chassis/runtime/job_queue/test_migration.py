"""A database of release 0.1 is taken over with its rows, while processes of that release still work on it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from chassis.adapters.postgres import Pool, migrate, open_pool, sql
from chassis.runtime.job_queue import JobQueue
from chassis.runtime.outbox import Outbox
from tests.chassis.runtime.job_queue.conftest import Worker, finishes, running
from tests.support.waiting import until

RELEASE = Path(__file__).parents[3] / "contracts" / "previous_release"
OLD = dict(sql.parse((RELEASE / "sql" / "job_queue" / "job_queue.sql").read_text(encoding="utf-8")))
LEASE = timedelta(seconds=15)
NEW_SOURCES = ("chassis.runtime.outbox.migrations", "chassis.runtime.job_queue.migrations")
PAYLOAD = {"zoom": 1, "a": {"long_key": [1, 2.5, "ü"], "b": None}}


@dataclass
class OldRelease:
    """A process of release 0.1: its queries on its own connections."""

    pool: Pool

    async def add(self, *ids: str, not_before_ms: int | None = None) -> None:
        for each in ids:
            assert await self.value("add", each, "prj_a", "video", PAYLOAD, 0, 1.0, not_before_ms)

    async def value(self, query: str, *arguments: object) -> Any:
        return await self.pool.fetchval(OLD[query], *arguments)

    async def claim(self, worker: str = "old") -> Any:
        return await self.pool.fetchrow(OLD["claim"], worker, LEASE)


@dataclass
class Database:
    dsn: str
    schema: str
    old: OldRelease
    pool: Pool

    async def migrate(self) -> None:
        await migrate(self.dsn, self.schema, NEW_SOURCES)

    async def recorded(self) -> list[str]:
        rows = await self.pool.fetch("SELECT migration_id FROM _yoyo_migration ORDER BY applied_at_utc")
        return [row["migration_id"] for row in rows]

    def queue(self) -> JobQueue:
        return JobQueue(self.pool, Outbox(self.pool, "test"), lease=LEASE)


@pytest.fixture
async def database(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """A schema as release 0.1 left it: its migration files, recorded under the names that its packages had."""
    monkeypatch.syspath_prepend(tmp_path)
    packages = []
    for name, source in zip(("outbox", "ledger"), NEW_SOURCES, strict=True):
        package = f"release_0_1_{name}_{uuid4().hex[:8]}"
        folder = tmp_path / package
        folder.mkdir()
        (folder / "__init__.py").write_text(f'RECORDED_AS = "chassis.{name}.migrations"\n')
        first = resources.files(source).joinpath(f"0001_{name}.sql").read_text(encoding="utf-8")
        (folder / f"0001_{name}.sql").write_text(first)
        packages.append(package)
    schema = f"old_{uuid4().hex[:8]}"
    await migrate(database_url, schema, packages)
    async with await open_pool(database_url, schema) as old, await open_pool(database_url, schema) as pool:
        yield Database(database_url, schema, OldRelease(old), pool)


async def test_a_database_of_release_0_1_gets_the_new_migrations_and_the_old_ones_not_again(database: Database) -> None:
    old = ["chassis.outbox.migrations:0001_outbox", "chassis.ledger.migrations:0001_ledger"]
    assert await database.recorded() == old
    await database.migrate()
    after = await database.recorded()
    assert after[:2] == old
    assert set(after[2:]) == {
        "chassis.outbox.migrations:0002_watermark",
        "chassis.outbox.migrations:0003_gauge_leader",
        "chassis.ledger.migrations:0002_job_queue",
        "chassis.ledger.migrations:0003_waiting",
        "chassis.ledger.migrations:0004_deferrals",
        "chassis.ledger.migrations:0005_final_events",
        "chassis.ledger.migrations:0006_projects",
        "chassis.ledger.migrations:0007_counted_crashes",
        "chassis.ledger.migrations:0008_traceparent",
        "chassis.ledger.migrations:0009_clock",
        "chassis.ledger.migrations:0010_deferral_reasons",
        "chassis.ledger.migrations:0011_runs",
        "chassis.ledger.migrations:0012_cancellations_of_projects",
        "chassis.ledger.migrations:0013_order",
        "chassis.ledger.migrations:0014_erasures",
    }
    await database.migrate()
    assert await database.recorded() == after


async def test_rows_of_every_state_are_taken_over(database: Database) -> None:
    old = database.old
    await old.add("a_done", "b_failed", "c_cancelled", "d_running", "e_crashed", "f_retried", "g_fresh")
    for id, end in (("a_done", "done"), ("b_failed", "failed"), ("c_cancelled", "cancelled")):
        assert (await old.claim())["id"] == id
        await old.value("finish", id, "old", 1, end)
    assert (await old.claim())["id"] == "d_running"
    assert (await old.claim())["id"] == "e_crashed"
    assert (await old.claim())["id"] == "f_retried"
    await old.value("retry", "f_retried", "old", 1, timedelta(0), "ServerDisconnected")
    await old.value("mark_cancel", "h_unknown")
    await database.pool.execute("UPDATE ledger SET lease_until = now() - interval '1 s' WHERE id = 'e_crashed'")
    await database.migrate()

    queue = database.queue()
    rows = await database.pool.fetch("SELECT id, state, attempt, failures, payload::text FROM job_queue ORDER BY id")
    assert [(row["id"], row["state"], row["attempt"], row["failures"]) for row in rows] == [
        ("a_done", "done", 1, 0),
        ("b_failed", "failed", 1, 0),
        ("c_cancelled", "cancelled", 1, 0),
        ("d_running", "running", 1, 0),
        ("e_crashed", "running", 1, 0),
        ("f_retried", "queued", 1, 1),
        ("g_fresh", "queued", 0, 0),
    ]
    async with database.pool.acquire() as conn:
        assert await queue.pending_cancellations(conn, ["h_unknown", "g_fresh"]) == ["h_unknown"]
        (cancelled,) = await queue.request_cancel(conn, "g_fresh")
        assert (cancelled.id, cancelled.payload) == ("g_fresh", PAYLOAD)
        await queue.finish(cancelled, "cancelled")
        assert not await queue.add(conn, id="a_done", project="prj_a", kind="video", payload={})
    async with running(Worker(finishes).runner(queue)):
        await until(lambda: is_done(database, "e_crashed", "f_retried"), within=60)
    crashed = await database.pool.fetchrow("SELECT attempt, crashed FROM job_queue WHERE id = 'e_crashed'")
    assert crashed is not None and tuple(crashed) == (2, 1)
    # The worker of the old release lives, and its connections go on.
    assert await old.value("heartbeat", "d_running", "old", 1, LEASE) is False
    assert await old.value("finish", "d_running", "old", 1, "done")


async def is_done(database: Database, *ids: str) -> bool:
    query = "SELECT count(*) FROM job_queue WHERE state = 'done' AND id = ANY ($1)"
    return bool(await database.pool.fetchval(query, ids) == len(ids))


async def test_processes_of_release_0_1_work_beside_new_ones(database: Database) -> None:
    old, queue = database.old, database.queue()
    # Statements that the old process has prepared before the migration:
    await old.add("before")
    assert (await old.claim())["id"] == "before"
    assert await old.value("heartbeat", "before", "old", 1, LEASE) is False
    await old.value("release", "before", "old", 1)
    await old.value("next_due")
    await database.migrate()

    assert (await old.claim())["id"] == "before"
    assert await old.value("heartbeat", "before", "old", 1, LEASE) is False
    async with database.pool.acquire() as conn:
        assert await queue.request_cancel(conn, "before") == []
    assert await old.value("heartbeat", "before", "old", 1, LEASE) is True
    assert await old.value("hold", "before", "old", 1)
    assert await old.value("finish", "before", "old", 1, "cancelled")

    await old.add("by_old")
    item = await queue.claim("new")
    assert item is not None and (item.id, item.payload, item.failures) == ("by_old", PAYLOAD, 0)
    assert await old.claim() is None
    await queue.retry(item, timedelta(0), "why")
    row = await old.claim()
    assert (row["id"], row["payload"], row["attempt"]) == ("by_old", PAYLOAD, 2)
    await old.value("retry", "by_old", "old", 2, timedelta(0), "why")
    item = await queue.claim("new")
    assert item is not None and item.attempt == 3
    await queue.finish(item, "done")

    async with database.pool.acquire() as conn:
        assert await queue.add(conn, id="by_new", project="prj_a", kind="video", payload=PAYLOAD)
    assert await old.value("add", "by_new", "prj_a", "video", {}, 0, 1.0, None) is None
    row = await old.pool.fetchrow(OLD["request_cancel"], "by_new", "cancel-old", LEASE)
    assert row is not None and row["payload"] == PAYLOAD
    await old.value("mark_cancel", "unknown")
    assert [each["id"] for each in await old.pool.fetch(OLD["unwanted"], ["unknown", "by_new"])] == ["unknown"]
    counts = await old.pool.fetchrow(OLD["counts"])
    assert counts is not None and (counts["queued"], counts["running"]) == (0, 1)
    await database.pool.execute("UPDATE job_queue SET finished_at = now() - interval '1 d' WHERE id = 'by_old'")
    assert await old.value("purge", timedelta(hours=1), 1000) == 1


async def test_a_write_of_release_0_1_in_a_transaction_fails_at_most_once(database: Database) -> None:
    """Its prepared statements are invalid after the migration; asyncpg prepares them again outside of a transaction."""
    old = database.old
    async with old.pool.acquire() as conn:
        await conn.fetchval(OLD["add"], "first", "prj_a", "video", PAYLOAD, 0, 1.0, None)
        await database.migrate()
        failures = 0
        for _ in range(3):
            try:
                async with conn.transaction():
                    await conn.fetchval(OLD["add"], "second", "prj_a", "video", PAYLOAD, 0, 1.0, None)
                break
            except asyncpg.InvalidCachedStatementError:
                failures += 1
        assert failures <= 1
    item = await database.queue().claim("new")
    assert item is not None and item.payload == PAYLOAD
