"""`python -m tests.bench.claims [claims]`: claims a second of 16 runners on one Postgres, with few rows and with many.

Two schemas on one server, measured in turn: one has a short queue, the other the rows of a large installation. A runner
is a loop that claims as many items as it has slots, by the query that `Runner` uses, and ends them in one statement;
both are timed, so that the rate of the claims alone is higher. Afterwards every item has been claimed at most once.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop

from chassis.adapters.postgres import Pool, migrate, open_pool
from chassis.runtime.job_queue import JobQueue
from chassis.runtime.outbox import Outbox
from chassis.runtime.service_spec import ServiceSpec
from embedded.postgres import PostgresServer
from tests.bench.figures import Pairs, Row, print_rows

ROUNDS = 5
CLAIMS = 4000
RUNNERS = 16
PAUSE_SECONDS = 0.01
SLOTS = 4
"""Of a runner: so many items it claims at a time."""


@dataclass(frozen=True)
class Size:
    """The rows of a queue."""

    ended: int
    queued: int
    projects: int


SMALL = Size(ended=0, queued=40_000, projects=10)
LARGE = Size(ended=1_000_000, queued=100_000, projects=10_000)


@asynccontextmanager
async def filled_queue(dsn: str, schema: str, size: Size) -> AsyncIterator[tuple[Pool, JobQueue]]:
    """A queue in a schema of its own, with that many rows, analysed as autovacuum would have done."""
    migrations = ServiceSpec(name="notifier", job_queue=True).all_migrations
    await migrate(dsn, schema, migrations)
    async with await open_pool(dsn, schema, size=RUNNERS) as pool:
        queue = JobQueue(pool, Outbox(pool, "bench"))
        for state, rows in (("done", size.ended), ("queued", size.queued)):
            await pool.execute(_FILL, state, rows, size.projects, timeout=600)
        async with pool.acquire() as conn:
            await conn.execute("VACUUM ANALYZE", timeout=600)
            await conn.execute("CHECKPOINT", timeout=600)
        yield pool, queue


async def claims_a_second(pool: Pool, queue: JobQueue, claims: int) -> float:
    """16 runners claim `claims` items in all and end them."""
    left = iter(range(0, claims, SLOTS))
    claimed: list[str] = []

    async def runner(number: int) -> None:
        for _ in left:
            while not (items := (await queue.claim_many(f"runner-{number}", SLOTS)).items):
                # As `Runner` does: what is due is locked by the other claimers.
                await asyncio.sleep(PAUSE_SECONDS)
            claimed.extend(item.id for item in items)
            await pool.execute(_END, [item.id for item in items])

    began = time.perf_counter()
    await asyncio.gather(*(runner(number) for number in range(RUNNERS)))
    seconds = time.perf_counter() - began
    if len(set(claimed)) != len(claimed):
        raise RuntimeError(f"{len(claimed)} claims of {len(set(claimed))} items")
    return len(claimed) / seconds


async def measure(folder: Path, claims: int = CLAIMS, rounds: int = ROUNDS, large: Size = LARGE) -> Pairs:
    """Claims a second of the large queue (`ours`) and of the small one (`peer`)."""
    pairs = Pairs()
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(PostgresServer(folder).running(print))
        few = await stack.enter_async_context(filled_queue(dsn, "few", SMALL))
        many = await stack.enter_async_context(filled_queue(dsn, "many", large))
        for round_ in range(rounds + 1):
            ours = await claims_a_second(*many, claims)
            peer = await claims_a_second(*few, claims)
            if round_:  # the first one warms caches
                pairs.add(ours, peer)
    return pairs


_FILL = """
    INSERT INTO job_queue (id, project, kind, payload, state, finished_at, not_before)
    SELECT $1 || '_' || n, 'prj_' || n % $3::integer, 'video', '{"input": "https://example.com/clip.mov"}', $1,
        CASE $1 WHEN 'done' THEN now() END, now() - interval '1 s' * ($2::integer - n)
    FROM generate_series(1, $2::integer) AS n
"""
_END = """
    UPDATE job_queue SET state = 'done', finished_at = now(), worker = NULL, lease_until = NULL, alone = false
    WHERE id = ANY ($1::text[])
"""


def rows_of(pairs: Pairs, claims: int) -> list[Row]:
    rate = statistics.median(pairs.peer)
    how = f"median of {len(pairs.ours)} rounds of {claims}"
    size = f"{LARGE.ended:,} ended and {LARGE.queued:,} queued items of {LARGE.projects:,} projects"
    return [
        Row(
            f"Claims a second of {RUNNERS} runners with {SLOTS} slots each on one Postgres, and as many ends",
            f"{rate:.0f}/s",
            "≥ 1000/s",
            rate >= 1000,
            f"{how}; {min(pairs.peer):.0f}/s to {max(pairs.peer):.0f}/s; durable, one process",
        ),
        pairs.row(f"The same with {size}, over the above", 0.9, how, "many rows", "few rows"),
    ]


async def rows(folder: Path) -> list[Row]:
    return rows_of(await measure(folder), CLAIMS)


async def main(claims: int) -> int:
    with tempfile.TemporaryDirectory(prefix="bitmill-bench-") as name:
        return print_rows(rows_of(await measure(Path(name), claims), claims))


if __name__ == "__main__":
    sys.exit(uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else CLAIMS)))
