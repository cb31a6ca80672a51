"""Filters of `GET /jobs` on a real Postgres: which jobs they give, page by page."""

import os
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from random import Random

import psycopg
import pytest

from chassis.core.ids import new_id, now_ms
from schemas.events import JobCreated, JobFailed
from schemas.ids import typeid, uuid7
from schemas.jobs import Job
from services.catalog.app import SPEC
from services.catalog.filters import Parameters, jobs_query, pair_id
from services.catalog.queries import Queries, open_query_pool
from tests.services.catalog import factories
from tests.services.catalog.conftest import Tables

MIGRATIONS = Path(__file__).parents[3] / "services/catalog/sql/migrations"
ODD = ("", " ", "YourApp/iOS", "a=b&c", 'quote"', "\u202e", "é", "🎬" * 20, "\\x00", "null")


def job(project: str, at: int, **fields: object) -> Job:
    """A job that was created `at`, with an id of that time."""
    return factories.queued(project, id=typeid("job", uuid7(at, os.urandom(10))), at=at, **fields)


async def put(tables: Tables, jobs: Iterable[Job]) -> None:
    """In this order: one after the other becomes visible."""
    for each in jobs:
        event = JobFailed(job=each) if each.status == "failed" else JobCreated(job=each)
        await tables.projection.jobs(factories.prepared([event]))


async def ids(queries: Queries, project: str, parameters: Parameters) -> list[str]:
    """Of all pages, followed by their cursors."""
    found: list[str] = []
    while True:
        after = [("after", found[-1])] if found else []
        page, _ = await queries.jobs(project, jobs_query([*parameters, *after]))
        found += page.ids
        if not page.later:
            return found


async def test_every_pair_of_the_metadata_has_to_match_exactly(tables: Tables, project: str) -> None:
    both = job(project, 1_000, metadata={"user": "7", "source": "YourApp/iOS"})
    one = job(project, 2_000, metadata={"user": "7"})
    other = job(project, 3_000, metadata={"user": "70", "Source": "YourApp/iOS"})
    elsewhere = job(new_id("prj"), 4_000, metadata={"user": "7"})
    await put(tables, [both, one, other, elsewhere])
    queries = tables.queries
    assert await ids(queries, project, [("metadata.user", "7")]) == [one.id, both.id]
    assert await ids(queries, project, [("metadata.user", "7"), ("metadata.source", "YourApp/iOS")]) == [both.id]
    assert await ids(queries, project, [("metadata.user", "7"), ("metadata.source", "yourapp/ios")]) == []
    assert await ids(queries, project, [("metadata.user", "7"), ("metadata.user", "70")]) == []


async def test_both_ends_of_a_time_are_exclusive(tables: Tables, project: str) -> None:
    jobs = [job(project, at) for at in (1_000, 2_000, 3_000)]
    await put(tables, jobs)
    queries = tables.queries
    assert await ids(queries, project, [("created_after", "1000")]) == [jobs[2].id, jobs[1].id]
    assert await ids(queries, project, [("created_before", "3000")]) == [jobs[1].id, jobs[0].id]
    assert await ids(queries, project, [("created_after", "1000"), ("created_before", "3000")]) == [jobs[1].id]
    assert await ids(queries, project, [("created_after", "3000")]) == []
    assert await ids(queries, project, [("created_before", "0")]) == []


@pytest.mark.parametrize("seed", range(3))
async def test_pages_of_any_filters_have_each_matching_job_once_and_in_order(
    tables: Tables, project: str, seed: int
) -> None:
    random = Random(seed)
    # Of the last hour: a service of other tests purges the same tables of jobs that ended long ago.
    base = now_ms() - 3_600_000
    jobs = []
    for _ in range(60):
        metadata = {"tenth": str(random.randrange(10)), "half": str(random.randrange(2))}
        made = job(project, base + random.randrange(40), kind=random.choice(["video", "image"]), metadata=metadata)
        jobs.append(factories.failed(made) if random.random() < 0.3 else made)
    await put(tables, jobs)
    # As if there were many more jobs between them: each is in a small span of its own, and late ones make runs.
    await tables.pool.execute("DELETE FROM job_metadata WHERE pair = ANY ($1)", [*_pairs(project)])
    await tables.pool.execute("DELETE FROM job_spans WHERE project = $1", project)
    await _move_apart(tables, project)
    for _ in range(60):
        parameters = [
            each
            for each in (
                ("kind", random.choice(["video", "image"])),
                ("status", random.choice(["failed", "queued"])),
                ("metadata.tenth", str(random.randrange(10))),
                ("metadata.half", str(random.randrange(2))),
                ("created_after", str(base + random.randrange(40))),
                ("created_before", str(base + random.randrange(45))),
                ("input", "https://example.com/clip.mov"),
            )
            if random.random() < 0.4
        ]
        expected = [each.id for each in jobs if _matches(each, dict(parameters))]
        limit = ("limit", str(random.choice([1, 3, 7, 100])))
        assert await ids(tables.queries, project, [*parameters, limit, ("order", "asc")]) == expected, parameters
        assert await ids(tables.queries, project, [*parameters, limit]) == expected[::-1], parameters
        if len(expected) > 2:
            before = [*parameters, ("order", "asc"), ("before", expected[2]), ("limit", "2")]
            page, _ = await tables.queries.jobs(project, jobs_query(before))
            assert (list(page.ids), page.earlier, page.later) == (expected[:2], False, True)


def _pairs(project: str) -> Iterable[str]:
    for key, count in (("tenth", 10), ("half", 2)):
        yield from (pair_id(project, key, str(value)) for value in range(count))


async def _move_apart(tables: Tables, project: str) -> None:
    rows = await tables.pool.fetch("DELETE FROM jobs WHERE project = $1 RETURNING *", project)
    insert = """
    INSERT INTO jobs (id, project, kind, status, input, rank, updated_at, job, position, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    """
    columns = ("id", "project", "kind", "status", "input", "rank", "updated_at", "job")
    for row in rows:
        values = [row[column] for column in columns]
        # Half of them as a process of the previous release would insert them.
        at = row["created_at"] if row["position"] % 2 else None
        await tables.pool.execute(insert, *values, row["position"] * 1000, at)


def _matches(job: Job, filters: dict[str, str]) -> bool:
    return (
        filters.get("kind", job.kind) == job.kind
        and filters.get("status", job.status) == job.status
        and all(filters.get(f"metadata.{key}", value) == value for key, value in job.metadata.items())
        and int(filters.get("created_after", 0)) < job.created_at < int(filters.get("created_before", 10**15))
    )


async def test_a_reader_that_follows_a_filter_gets_a_job_that_comes_late(tables: Tables, project: str) -> None:
    on_time, late = job(project, 9_000), job(project, 5_000)
    await put(tables, [job(project, 1_000), on_time])
    following = [("created_after", "4000"), ("order", "asc")]
    assert await ids(tables.queries, project, following) == [on_time.id]
    await put(tables, [late])
    assert await ids(tables.queries, project, [*following, ("after", on_time.id)]) == [late.id]


@pytest.mark.parametrize("text", ODD)
async def test_postgres_and_python_find_a_pair_by_the_same_hash(tables: Tables, project: str, text: str) -> None:
    found = await tables.pool.fetchval("SELECT metadata_pair($1, $2, $3)", project, text, text[::-1])
    assert found.hex == pair_id(project, text, text[::-1])
    made = job(project, 1_000, metadata={text or "k": text})
    await put(tables, [made])
    assert await ids(tables.queries, project, [(f"metadata.{text or 'k'}", text)]) == [made.id]


async def test_a_job_that_is_deleted_leaves_nothing_behind(tables: Tables, project: str) -> None:
    jobs = [job(project, at, metadata={"user": "7"}) for at in (1_000, 2_000)]
    await put(tables, jobs)
    await tables.pool.execute("UPDATE job_positions SET last = 65536 WHERE project = $1", project)
    await put(tables, [job(project, 3_000)])

    async def left() -> tuple[int, list[tuple[int, int]]]:
        count = await tables.pool.fetchval("SELECT count(*) FROM job_metadata WHERE pair = $1", pair)
        rows = await tables.pool.fetch("SELECT size, span FROM job_spans WHERE project = $1 ORDER BY 1, 2", project)
        return count, [tuple(row) for row in rows]

    pair = pair_id(project, "user", "7")
    small, large, last = (256, 0), (65536, 0), [(256, 256), (65536, 1)]
    await tables.pool.execute("DELETE FROM jobs WHERE id = $1", jobs[0].id)
    assert await left() == (1, [small, last[0], large, last[1]])
    await tables.pool.execute("DELETE FROM jobs WHERE id = $1", jobs[1].id)
    assert await left() == (0, last)
    await tables.pool.execute("DELETE FROM jobs WHERE project = $1", project)
    assert await left() == (0, last), "new jobs may be given positions in it at this moment"


async def test_jobs_of_before_the_migration_are_found_as_well(fresh_dsn: str, project: str) -> None:
    jobs = [job(project, at, metadata={"user": str(at % 2)}) for at in (1_001, 1_002, 1_003)]
    scripts = sorted(MIGRATIONS.glob("*.sql"))
    split = next(number for number, script in enumerate(scripts) if script.name.startswith("0006"))
    with psycopg.connect(fresh_dsn, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA catalog")
        connection.execute("SET search_path TO catalog")
        _apply(connection, scripts[:split])
        for each in jobs:
            connection.execute(
                "INSERT INTO jobs (id, project, kind, status, input, rank, updated_at, job)"
                " VALUES (%s, %s, 'video', 'queued', 'u', 0, 1, %s)",
                (each.id, project, each.model_dump_json()),
            )
        _apply(connection, scripts[split:])
    async with await open_query_pool(fresh_dsn, SPEC.name, size=2, timeout=timedelta(seconds=30)) as pool:
        queries = Queries(pool)
        assert await ids(queries, project, [("metadata.user", "1")]) == [jobs[2].id, jobs[0].id]
        assert await ids(queries, project, [("created_before", "1003")]) == [jobs[1].id, jobs[0].id]


def _apply(connection: "psycopg.Connection[tuple[object, ...]]", scripts: Sequence[Path]) -> None:
    for script in scripts:
        connection.execute(script.read_bytes())
