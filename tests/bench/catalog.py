"""`python -m tests.bench.catalog [items]`: lists, filters and single reads of the catalog beside plain SQL.

Each figure is a ratio of medians, measured in turn in one run. Plain SQL is one prepared statement, written for its
case alone, that returns the texts of the same rows: no count, no other filter, nothing validated, nothing rendered.
"""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from chassis.adapters.postgres import Pool, migrate, open_pool
from chassis.adapters.postgres.pool import Connection
from chassis.core.ids import new_id
from schemas.events import JobSucceeded, MediaUpdated
from schemas.ids import typeid, uuid7
from services.catalog.app import SPEC
from services.catalog.filters import Parameters, media_filter, pair_id, pair_ids
from services.catalog.queries import SQL, Queries, open_query_pool
from tests.services.catalog.factories import OLD_MS, item, queued
from tests.support import servers

ROUNDS = 60
BATCH = 5_000
_BY_JSON = (
    "SELECT item::text FROM media WHERE project = $1 AND NOT hidden AND (item::jsonb)->'metadata' @> $2 "
    "ORDER BY created_at DESC, id DESC LIMIT 12"
)
_BY_PAIR = (
    "SELECT media.item::text FROM media_metadata AS m JOIN media ON media.id = m.media_id "
    "WHERE m.pair = $1 ORDER BY m.created_at DESC, m.media_id DESC LIMIT 12"
)
_ALL = (
    "SELECT item::text FROM media WHERE project = $1 AND NOT hidden ORDER BY {0} DESC NULLS FIRST, id DESC "
    "LIMIT 12 OFFSET {1}"
)
_JOB = "SELECT job::text FROM jobs WHERE id = $1"


@dataclass(frozen=True)
class Case:
    """One query: through the catalog's code, and as one plain statement."""

    name: str
    ask: Callable[[], Awaitable[object]]
    plain: tuple[str, tuple[object, ...]]


@dataclass(frozen=True)
class Measured:
    """Seconds: median and 99th percentile of ours, median of the plain statement."""

    name: str
    ours: float
    p99: float
    plain: float


async def fill(pool: Pool, project: str, count: int) -> str:
    """`count` items, and as many jobs; the id of one job in the middle."""
    job, middle = JobSucceeded(job=queued(project)), ""
    async with pool.acquire() as connection:
        for start in range(0, count, BATCH):
            numbers = range(start, min(start + BATCH, count))
            middle = await _fill_batch(connection, project, job.model_dump_json(), numbers)
        for table in ("jobs", "media", "media_metadata"):
            await connection.execute(f"VACUUM (ANALYZE) {table}")
    return middle


async def _fill_batch(connection: Connection, project: str, job: str, numbers: Sequence[int]) -> str:
    items, jobs = [], []
    for number in numbers:
        at, random = OLD_MS + number, number.to_bytes(10, "big")
        id, job_id = typeid("med", uuid7(at, random)), typeid("job", uuid7(at, random))
        metadata = {"rare": str(number // 20), "tenth": str(number % 10), "fifth": str(number % 5)}
        media = item(project, id=id, metadata=metadata, created_at=at, updated_at=at)
        size, hashes = number * 7919 % 1_000_003, pair_ids(project, metadata.items())
        literal = f"{{{','.join(hashes)}}}"
        seconds = float(number % 900)
        text = MediaUpdated(media=media).model_dump_json()
        items.append((id, project, 1, False, "video", at, at, size, seconds, 1, 1, 25.0, media.filename, literal, text))
        jobs.append((job_id, project, "video", "succeeded", "u", 2, at, job))
    await connection.execute(SQL["put_media"], *zip(*items, strict=True), *[()] * 4)
    async with connection.transaction():
        await connection.execute(SQL["prepare_incoming_jobs"])
        rows = [(*row, "{job}", *[None] * 4, row[6], 1, "{}") for row in jobs]
        await connection.copy_records_to_table("incoming_jobs", records=rows)
        positions = [number + 1 for number in numbers]
        await connection.execute(SQL["put_incoming_jobs"], [row[0] for row in jobs], positions)
    return str(jobs[len(jobs) // 2][0])


def cases(queries: Queries, project: str, job_id: str, count: int) -> list[Case]:
    def media(*parameters: tuple[str, str]) -> Callable[[], Awaitable[object]]:
        asked: Parameters = parameters
        return lambda: queries.media(project, media_filter(asked))

    def pair(key: str, value: str) -> tuple[str, tuple[object, ...]]:
        return _BY_PAIR, (pair_id(project, key, value),)

    deep = count // 24
    return [
        Case("GET /jobs/{id}", lambda: queries.job(job_id, project), (_JOB, (job_id,))),
        Case("first page of all", media(), (_ALL.format("created_at", 0), (project,))),
        Case("first page by filesize", media(("sort", "filesize")), (_ALL.format("filesize", 0), (project,))),
        Case(f"page {deep}", media(("page", str(deep))), (_ALL.format("created_at", (deep - 1) * 12), (project,))),
        Case("a value of 20 items", media(("metadata.rare", "7")), pair("rare", "7")),
        Case("a value of a fifth", media(("metadata.fifth", "3")), pair("fifth", "3")),
        Case(
            "a fifth and a tenth",
            media(("metadata.fifth", "3"), ("metadata.tenth", "3")),
            (_BY_JSON, (project, {"fifth": "3", "tenth": "3"})),
        ),
        Case("a fifth, by filesize", media(("metadata.fifth", "3"), ("sort", "filesize")), pair("fifth", "3")),
    ]


async def measure(case: Case, pool: Pool) -> Measured:
    """Ours and the plain statement in turn, after five of each that do not count."""
    ours, plain = [], []
    for round_ in range(ROUNDS + 5):
        began = time.perf_counter()
        await case.ask()
        between = time.perf_counter()
        await pool.fetch(case.plain[0], *case.plain[1])
        if round_ >= 5:
            ours.append(between - began)
            plain.append(time.perf_counter() - between)
    return Measured(case.name, statistics.median(ours), statistics.quantiles(ours, n=100)[98], statistics.median(plain))


async def main(count: int) -> None:
    async with servers.postgres() as server:
        dsn, project = await server.database(), new_id("prj")
        await migrate(dsn, SPEC.name, SPEC.all_migrations)
        async with (
            await open_pool(dsn, SPEC.name) as writing,
            await open_query_pool(dsn, SPEC.name, size=2, timeout=timedelta(minutes=1)) as reading,
        ):
            job_id = await fill(writing, project, count)
            found = [await measure(case, reading) for case in cases(Queries(reading), project, job_id, count)]
    print(f"{count} items\n\n| question | ours p50 ms | p99 ms | plain p50 ms | ratio |\n|---|---|---|---|---|")
    for row in found:
        figures = f"{row.ours * 1e3:.2f} | {row.p99 * 1e3:.2f} | {row.plain * 1e3:.2f} | {row.ours / row.plain:.1f}"
        print(f"| {row.name} | {figures} |")


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
