"""Purging on a real Postgres: the queue's tables and one of the test's own."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from chassis.adapters.postgres import Pool, migrate, open_pool
from chassis.runtime.job_queue import JobQueue
from chassis.runtime.outbox import Outbox
from chassis.runtime.purge import PurgeHook, PurgeLimits, Purger
from chassis.runtime.retention import Dependent, Kept, Purged, age_s, cutoff, queue_retention
from schemas.ids import typeid, uuid7

DAY = timedelta(days=1)
PARENTS = Purged(
    "parents",
    "ended_at",
    "keep",
    clock="milliseconds",
    where="ended",
    dependents=(Dependent("children", "parent"),),
)
RETENTION = (*queue_retention("keep"), PARENTS, Kept("children", "their parents"))
TABLES = """
    CREATE TABLE parents (id text PRIMARY KEY, ended boolean NOT NULL, ended_at bigint);
    CREATE TABLE children (parent text NOT NULL);
"""
OLD, YOUNG = "now() - interval '2 days'", "now()"


@dataclass
class Tables:
    pool: Pool
    queue: JobQueue
    service: str

    def purger(self, hooks: Mapping[str, PurgeHook] | None = None, rows: int = 1000) -> Purger:
        limits = PurgeLimits(rows=rows, hooked_rows=rows)
        return Purger(self.pool, self.service, RETENTION, lambda _: DAY, hooks=hooks, limits=limits)

    async def parent(self, id: str, ended: bool = True, age: timedelta = 2 * DAY) -> None:
        at = int((datetime.now(UTC) - age).timestamp() * 1000)
        await self.pool.execute("INSERT INTO parents VALUES ($1, $2, $3)", id, ended, at)
        await self.pool.execute("INSERT INTO children VALUES ($1)", id)

    async def ids(self, table: str, column: str = "id") -> list[str]:
        rows = await self.pool.fetch(f"SELECT {column} FROM {table} ORDER BY 1")
        return [row[0] for row in rows]

    def metric(self, name: str, table: str) -> float | None:
        return REGISTRY.get_sample_value(name, {"service": self.service, "table": table})


@pytest.fixture
async def tables(fresh_dsn: str, request: pytest.FixtureRequest) -> AsyncIterator[Tables]:
    packages = ("chassis.runtime.outbox.migrations", "chassis.runtime.job_queue.migrations")
    await migrate(fresh_dsn, "purged", packages)
    async with await open_pool(fresh_dsn, "purged", size=4) as pool:
        await pool.execute(TABLES)
        yield Tables(pool, JobQueue(pool, Outbox(pool, "purged")), request.node.name)


async def test_ended_items_of_the_queue_go_after_their_time_and_others_never(tables: Tables) -> None:
    async with tables.pool.acquire() as conn:
        for id in ("old", "young", "queued"):
            await tables.queue.add(conn, id=id, project="prj_a", kind="video", payload={})
    for _ in range(2):
        item = await tables.queue.claim("w1")
        assert item is not None
        await tables.queue.finish(item, "done")
    await tables.pool.execute(f"UPDATE job_queue SET finished_at = {OLD} WHERE id = 'old'")
    await tables.pool.execute("UPDATE job_queue SET created_at = now() - interval '1 year'")
    await tables.pool.execute(f"INSERT INTO job_queue_cancellations VALUES ('x', {OLD}), ('y', {YOUNG})")
    assert await tables.purger().purge() == {"job_queue": 1, "job_queue_cancellations": 1, "parents": 0, "children": 0}
    assert await tables.ids("job_queue") == ["queued", "young"]
    assert await tables.ids("job_queue_cancellations") == ["y"]


async def test_dependent_rows_go_with_their_row_in_batches(tables: Tables) -> None:
    for number in range(7):
        await tables.parent(f"old-{number}")
    await tables.parent("young", age=DAY / 2)
    await tables.parent("open", ended=False)
    purged = await tables.purger(rows=3).purge()
    assert (purged["parents"], purged["children"]) == (7, 7)
    assert await tables.ids("parents") == ["open", "young"]
    assert await tables.ids("children", "parent") == ["open", "young"]


async def test_what_is_deleted_and_how_old_the_rest_is_show_in_metrics(tables: Tables) -> None:
    await tables.parent("old")
    await tables.parent("young", age=DAY / 2)
    await tables.purger().purge()
    assert tables.metric("bitmill_rows_purged_total", "parents") == 1
    oldest = tables.metric("bitmill_table_oldest_seconds", "parents")
    assert oldest is not None and oldest == pytest.approx(DAY.total_seconds() / 2, abs=600)
    assert tables.metric("bitmill_table_overdue_seconds", "parents") == 0
    size = tables.metric("bitmill_table_bytes", "parents")
    assert size is not None and size > 0
    assert tables.metric("bitmill_table_rows", "children") is not None


async def test_one_replica_deletes_at_a_time_and_the_other_does_not_wait(tables: Tables) -> None:
    await tables.parent("old")
    async with tables.pool.acquire() as other, other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock(hashtextextended('bitmill.purge.purged', 0))")
        assert not any((await tables.purger().purge()).values())
    assert (await tables.purger().purge())["parents"] == 1


async def test_rows_that_others_have_locked_are_left_for_the_next_pass(tables: Tables) -> None:
    await tables.parent("locked")
    await tables.parent("free")
    async with tables.pool.acquire() as other, other.transaction():
        await other.execute("SELECT FROM parents WHERE id = 'locked' FOR UPDATE")
        assert (await tables.purger().purge())["parents"] == 1
        assert await tables.ids("parents") == ["locked"]
        overdue = tables.metric("bitmill_table_overdue_seconds", "parents")
        assert overdue is not None and overdue > 600
    assert (await tables.purger().purge())["parents"] == 1


async def test_claims_go_on_while_a_batch_is_being_deleted(tables: Tables) -> None:
    async with tables.pool.acquire() as conn:
        for id in ("ended", "waiting"):
            await tables.queue.add(conn, id=id, project="prj_a", kind="video", payload={})
    item = await tables.queue.claim("w1")
    assert item is not None
    await tables.queue.finish(item, "done")
    await tables.pool.execute(f"UPDATE job_queue SET finished_at = {OLD} WHERE id = $1", item.id)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def before(rows: Sequence[Mapping[str, Any]]) -> None:
        begun.set()
        await go_on.wait()

    purging = asyncio.create_task(tables.purger({"job_queue": PurgeHook((), before)}).purge())
    await begun.wait()
    claimed = await tables.queue.claim("w2")
    assert claimed is not None and claimed.id == "waiting"
    go_on.set()
    assert (await purging)["job_queue"] == 1


async def test_rows_stay_until_their_hook_has_succeeded_and_other_tables_are_purged(tables: Tables) -> None:
    seen: list[list[str]] = []
    broken = True

    async def before(rows: Sequence[Mapping[str, Any]]) -> None:
        seen.append([row["id"] for row in rows])
        assert all(row["ended"] for row in rows)
        if broken:
            raise ConnectionError("the storage is away")

    await tables.parent("a", age=3 * DAY)
    await tables.parent("b")
    await tables.pool.execute(f"INSERT INTO job_queue_cancellations VALUES ('x', {OLD})")
    purger = tables.purger({"parents": PurgeHook(("ended",), before)})
    first = await purger.purge()
    assert (first.get("parents"), first["job_queue_cancellations"]) == (None, 1)
    assert await tables.ids("parents") == ["a", "b"]
    assert tables.metric("bitmill_purge_failures_total", "parents") == 1
    broken = False
    assert (await purger.purge())["parents"] == 2
    assert seen == [["a", "b"], ["a", "b"]], "the same rows again"


async def test_a_batch_that_takes_too_long_is_tried_again_with_fewer_rows(tables: Tables) -> None:
    await tables.pool.execute(
        """
        CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.1); RETURN OLD; END $$;
        CREATE TRIGGER slow BEFORE DELETE ON parents FOR EACH ROW EXECUTE FUNCTION slow();
        """
    )
    for number in range(16):
        await tables.parent(f"old-{number}")
    limits = PurgeLimits(rows=16, statement_s=1.2)
    purger = Purger(tables.pool, tables.service, [PARENTS], lambda _: DAY, limits=limits)
    assert await purger.purge() == {}
    passes = 1
    while await tables.ids("parents"):
        await purger.purge()
        passes += 1
        assert passes < 6
    assert tables.metric("bitmill_purge_failures_total", "parents") in (1, 2, 3)


def test_a_cutoff_has_the_form_of_its_column() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    ms = int(at.timestamp() * 1000)
    assert cutoff(Purged("t", "c", None), at) == at
    assert cutoff(Purged("t", "c", None, clock="milliseconds"), at) == ms
    found = cutoff(Purged("t", "c", None, clock="id"), at)
    assert isinstance(found, str) and len(found) == 26
    before, after = (typeid("job", uuid7(ms + step, b"\xff" * 10))[-26:] for step in (-1, 0))
    assert before < found <= after


@pytest.mark.parametrize("clock", ["timestamp", "milliseconds", "id"])
def test_the_age_of_a_value_does_not_depend_on_its_form(clock: Any) -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    assert age_s(cutoff(Purged("t", "c", None, clock=clock), now - DAY), now) == DAY.total_seconds()
