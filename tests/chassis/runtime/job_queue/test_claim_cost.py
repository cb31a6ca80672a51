"""A claim stays cheap however many items are queued and ended, of however many projects.

Counted in pages: time depends on the machine.
"""

from typing import Any

import orjson

from chassis.adapters.postgres import open_pool, sql
from chassis.runtime.job_queue import JobQueue
from tests.chassis.runtime.job_queue.conftest import LONG_LEASE, QueueFixture

QUEUE_LEASE = LONG_LEASE

FILL = """
    INSERT INTO job_queue (id, project, kind, payload, state, priority, finished_at)
    SELECT $1 || n, 'prj_' || n % $3::integer, 'video', '{"input": "https://example.com/clip.mov"}', $1, n % 3,
           CASE $1 WHEN 'done' THEN now() END
    FROM generate_series(1, $2::integer) AS n
"""


async def pages_of_a_claim(fixture: QueueFixture) -> int:
    """How many pages a claim touches; it is rolled back."""
    claim = sql.load("chassis.runtime.job_queue")["claim"]
    values = ("'w'", "'15s'", "'infinity'", "true", "10", "5", "'{}'", "'{}'", "'15s'", "300", "1")
    for number in range(len(values), 0, -1):
        claim = claim.replace(f"${number}", values[number - 1])
    async with fixture.pool.acquire() as conn:
        transaction = conn.transaction()
        await transaction.start()
        answer = await conn.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {claim}")
        await transaction.rollback()
    plan: Any = answer if isinstance(answer, list) else orjson.loads(answer)
    root = plan[0]["Plan"]
    return int(root["Shared Hit Blocks"] + root["Shared Read Blocks"])


async def fill(fixture: QueueFixture, ended: int, queued: int, projects: int) -> None:
    await fixture.pool.execute("TRUNCATE job_queue, job_queue_projects")
    await fixture.pool.execute(FILL, "done", ended, 10)
    await fixture.pool.execute(FILL, "queued", queued, projects)
    await fixture.pool.execute("VACUUM ANALYZE job_queue, job_queue_projects")


async def test_a_claim_costs_the_same_whatever_the_number_of_items_and_projects(fixture: QueueFixture) -> None:
    costs = []
    for ended, queued, projects in ((1_000, 5_000, 10), (20_000, 20_000, 10), (10_000, 20_000, 10_000)):
        await fill(fixture, ended, queued, projects)
        await fixture.claim("w1")
        costs.append(await pages_of_a_claim(fixture))
    print(costs)
    # Which of a few cheap plans is taken varies.
    assert max(costs) < 200, costs


async def test_a_claim_costs_the_same_after_many_ends_since_the_last_statistics(fixture: QueueFixture) -> None:
    """The statistics then say that any page has items of the project; the first pages have none any more."""
    await fill(fixture, 0, 20_000, 10)
    await fixture.pool.execute("ALTER TABLE job_queue SET (autovacuum_enabled = false)")
    before = await pages_of_a_claim(fixture)
    await fixture.pool.execute(
        "UPDATE job_queue SET state = 'done', finished_at = now() WHERE id IN (SELECT 'queued' || n FROM"
        " generate_series(1, 8000) AS n)"
    )
    await fixture.claim("w1")  # marks what it finds dead in the indexes, as the claims between the ends do
    after = await pages_of_a_claim(fixture)
    print(before, after)
    assert after < 2 * before, (before, after)


async def test_a_claim_is_planned_once_for_a_connection_and_not_each_time(fixture: QueueFixture) -> None:
    """Planning it takes longer than the claim."""
    await fill(fixture, 0, 20_000, 10_000)
    async with await open_pool(fixture.dsn, fixture.schema, size=1) as pool:
        queue = JobQueue(pool, fixture.outbox)
        for _ in range(30):
            await queue.claim("w1")
        plans = await pool.fetchrow(
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement = $1",
            sql.load("chassis.runtime.job_queue")["claim"],
        )
    assert plans is not None
    # Postgres decides after five plans for the values of the call.
    assert (plans["generic_plans"], plans["custom_plans"]) == (25, 5)
