"""`python -m tests.bench.job_lists [jobs]`: the SQL of a first page of `GET /jobs`, by each filter, among many jobs.

One project has all of the jobs. Each round takes other values, as other customers' requests would.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random

from chassis.adapters.postgres import Pool, migrate, open_pool
from chassis.core.ids import new_id
from services.catalog.app import SPEC
from services.catalog.filters import Parameters, jobs_query
from services.catalog.job_lists import read_page
from services.catalog.queries import open_query_pool
from tests.bench.figures import Row, print_rows
from tests.services.catalog.factories import OLD_MS, queued
from tests.support import servers

JOBS = 1_000_000
BATCH = 50_000
ROUNDS = 300
BOUND_S = 0.005
_FILL = """
INSERT INTO jobs (id, project, kind, status, input, rank, updated_at, created_at, position, job)
SELECT 'job_' || lpad(n::text, 26, '0'), $1, CASE WHEN n % 3 = 0 THEN 'image' ELSE 'video' END,
    CASE WHEN n % 1000 = 0 THEN 'failed' ELSE 'succeeded' END, 'https://example.com/' || n / 3, 2, $2 + n, $2 + n, n,
    replace($3, '{}', format('{"user":"%s","source":"%s","tenth":"%s"}', n / 20, n % 5, n % 10))::json
FROM generate_series($4::bigint, $5::bigint) AS n
"""


@dataclass(frozen=True)
class Filter:
    """A combination of filters; `values` makes the parameters of a round."""

    name: str
    values: Callable[[Random, int], Parameters]


FILTERS = (
    Filter("none", lambda random, jobs: []),
    Filter("status of a thousandth", lambda random, jobs: [("status", "failed")]),
    Filter("kind of a third, oldest first", lambda random, jobs: [("kind", "image"), ("order", "asc")]),
    Filter("input", lambda random, jobs: [("input", f"https://example.com/{random.randrange(jobs // 3)}")]),
    Filter("a pair of 20 jobs", lambda random, jobs: [("metadata.user", str(random.randrange(jobs // 20)))]),
    Filter("a pair of a fifth", lambda random, jobs: [("metadata.source", str(random.randrange(5)))]),
    Filter("a fifth and a tenth", lambda random, jobs: [("metadata.source", "3"), ("metadata.tenth", "8")]),
    Filter("a tenth, and a status", lambda random, jobs: [("metadata.tenth", "0"), ("status", "failed")]),
    Filter("created before", lambda random, jobs: [("created_before", str(OLD_MS + random.randrange(jobs)))]),
    Filter(
        "created after, and a fifth",
        lambda random, jobs: [
            ("created_after", str(OLD_MS + random.randrange(jobs))),
            ("metadata.source", str(random.randrange(5))),
            ("order", "asc"),
        ],
    ),
)


async def fill(pool: Pool, project: str, jobs: int) -> None:
    text = queued(project, metadata={}).model_dump_json()
    if '"metadata":{}' not in text:
        raise AssertionError("the snapshot has no place for the metadata")
    text = text.replace("{}", "{ }").replace('"metadata":{ }', '"metadata":{}')
    for first in range(1, jobs + 1, BATCH):
        await pool.execute(_FILL, project, OLD_MS, text, first, min(first + BATCH - 1, jobs), timeout=600)
    for table in ("jobs", "job_metadata", "job_spans"):
        await pool.execute(f"VACUUM (ANALYZE) {table}", timeout=600)


async def seconds(pool: Pool, project: str, parameters: Parameters) -> float:
    """For all queries of a page."""
    query = jobs_query(parameters)
    async with pool.acquire() as connection:
        began = time.perf_counter()
        await read_page(connection, project, query)
        return time.perf_counter() - began


async def measure(dsn: str, jobs: int) -> dict[str, list[float]]:
    """Seconds of each round by the name of the filter."""
    project, random = new_id("prj"), Random(1)
    await migrate(dsn, SPEC.name, SPEC.all_migrations)
    async with await open_pool(dsn, SPEC.name, size=1) as pool:
        await fill(pool, project, jobs)
    found: dict[str, list[float]] = {each.name: [] for each in FILTERS}
    async with await open_query_pool(dsn, SPEC.name, size=1, timeout=timedelta(minutes=1)) as pool:
        for round_ in range(ROUNDS + 5):
            for each in FILTERS:
                took = await seconds(pool, project, each.values(random, jobs))
                if round_ >= 5:
                    found[each.name].append(took)
    return found


async def rows(folder: Path, jobs: int = JOBS) -> list[Row]:
    del folder  # the server has one of its own
    async with servers.postgres() as server:
        found = await measure(await server.database(), jobs)
    p99 = {name: statistics.quantiles(each, n=100)[98] for name, each in found.items()}
    worst = max(p99, key=lambda name: p99[name])
    return [
        Row(
            f"SQL of the first page of `GET /jobs` among {jobs:,} jobs, p99",
            f"{p99[worst] * 1000:.1f} ms",
            f"≤ {BOUND_S * 1000:g} ms",
            p99[worst] <= BOUND_S,
            f"the slowest of {len(FILTERS)} filters, {ROUNDS} rounds each; medians: "
            + ", ".join(f"{name} {statistics.median(each) * 1000:.1f}" for name, each in found.items()),
        )
    ]


if __name__ == "__main__":
    sys.exit(print_rows(asyncio.run(rows(Path(), int(sys.argv[1]) if len(sys.argv) > 1 else JOBS))))
