"""With twenty thousand items a first page reads a handful of rows: the plans are looked at, not the clock."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pytest

from chassis.adapters.postgres import Connection, sql
from chassis.core.ids import new_id
from schemas.events import JobSucceeded, MediaUpdated
from schemas.ids import typeid, uuid7
from services.catalog.filters import Parameters, jobs_query, media_filter, pair_id, pair_ids
from services.catalog.job_lists import COUNTED, read_page
from services.catalog.queries import page_query
from tests.services.catalog.conftest import Tables
from tests.services.catalog.factories import OLD_MS, item, queued

COUNT = 20_000
SQL = sql.load("services.catalog.sql")


@dataclass(frozen=True)
class Filled:
    """A big project between two smaller ones; each plan is made for this one."""

    tables: Tables
    project: str


@pytest.fixture(scope="module")
async def filled(tables: Tables) -> AsyncIterator[Filled]:
    project, other = new_id("prj"), new_id("prj")
    async with tables.pool.acquire() as connection, connection.transaction():
        await _fill(connection, project, COUNT)
        await _fill(connection, other, 2_000)
    for table in ("jobs", "job_metadata", "job_spans", "media", "media_metadata"):
        await tables.pool.execute(f"VACUUM (ANALYZE) {table}")
    yield Filled(tables, project)
    for table in ("jobs", "media"):
        await tables.pool.execute(f"DELETE FROM {table} WHERE project = ANY ($1)", [project, other])
    pairs = [pair for each in (project, other) for pair in _pairs(each)]
    await tables.pool.execute("DELETE FROM media_metadata WHERE pair = ANY ($1)", pairs)


def _metadata(number: int) -> dict[str, str]:
    """One pair that all have, one of a fifth, one of a tenth, one of twenty items."""
    return {"all": "1", "fifth": str(number % 5), "tenth": str(number % 10), "rare": str(number // 20)}


def _pairs(project: str) -> Iterator[str]:
    yield pair_id(project, "all", "1")
    for key, count in (("fifth", 5), ("tenth", 10), ("rare", COUNT // 20)):
        yield from (pair_id(project, key, str(value)) for value in range(count))


async def _fill(connection: Connection, project: str, count: int) -> None:
    job = JobSucceeded(job=queued(project, metadata={"given": "below"})).model_dump_json()
    media = MediaUpdated(media=item(project)).model_dump_json()
    jobs, items = [], []
    for number in range(count):
        random = number.to_bytes(4, "big") + project.encode()[-6:]
        at = OLD_MS + number
        kind = "audio" if number % 1000 == 0 else "image" if number % 3 == 0 else "video"
        status, rank = ("failed", 2) if number % 1000 == 0 else ("succeeded", 2)
        id = typeid("med", uuid7(at, random))
        length = None if number % 4 == 0 else float(number % 900)
        text = job.replace('{"given":"below"}', json.dumps(_metadata(number)))
        hashes = pair_ids(project, _metadata(number).items())
        literal = f"{{{','.join(hashes)}}}"
        columns = (typeid("job", uuid7(at, random)), project, "video", status, f"u{number // 3}", rank, at, text)
        jobs.append((*columns, "{job}", *[None] * 4, at, 1, literal))
        size = number * 7919 % 1_000_003
        items.append((id, project, 1, False, kind, at, at, size, length, 1, 1, length, f"f{size}", literal, media))
    async with connection.transaction():
        await connection.execute(SQL["prepare_incoming_jobs"])
        await connection.copy_records_to_table("incoming_jobs", records=jobs)
        positions = list(range(1, count + 1))
        await connection.execute(SQL["put_incoming_jobs"], [job[0] for job in jobs], positions)
    await connection.execute(SQL["put_media"], *zip(*items, strict=True), *[()] * 4)


async def rows_read(filled: Filled, query: str, arguments: Sequence[object]) -> tuple[int, str]:
    """How many rows the plan takes out of tables and indexes, filtered ones included; and the plan."""
    text = await filled.tables.query_pool.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", *arguments)
    plan = text if isinstance(text, list) else json.loads(text)

    def walk(node: dict[str, Any]) -> Iterator[int]:
        if "Relation Name" in node:
            rows = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
            yield round(rows * node["Actual Loops"])
        for child in node.get("Plans", ()):
            yield from walk(child)

    return sum(walk(plan[0]["Plan"])), json.dumps(plan)


async def assert_cheap(filled: Filled, query: str, arguments: Sequence[object], most: int) -> None:
    rows, plan = await rows_read(filled, query, arguments)
    assert '"Seq Scan"' not in plan, plan
    assert rows <= most, f"{rows} rows read: {plan}"


class Recorded:
    """A connection that reads, and keeps what it was asked for."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.asked: list[tuple[str, Sequence[object]]] = []

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def read(query: str, *arguments: object) -> object:
            self.asked.append((query, arguments))
            return await getattr(self._connection, name)(query, *arguments)

        return read


SPANS = 600
"""Rows of job_spans, while they are so few that Postgres reads those of all projects at once."""
SPAN = 256 + SPANS
COUNTS = 2 * COUNTED


@pytest.mark.parametrize(
    ("parameters", "count", "most"),
    [
        ([], 21, 21),
        ([("order", "asc")], 21, 21),
        ([("status", "failed")], 20, 21),
        ([("kind", "video")], 21, 21),
        ([("kind", "image")], 0, 1),
        ([("input", "u500")], 3, 3),
        ([("input", "u500?signature=1")], 0, 3),
        ([("limit", "100")], 101, 101),
        ([("metadata.rare", "7")], 20, 100),
        ([("metadata.rare", "7"), ("order", "asc")], 20, 100),
        ([("metadata.rare", "7"), ("status", "failed")], 0, 100),
        ([("metadata.all", "1")], 21, COUNTS),
        ([("metadata.fifth", "3"), ("metadata.tenth", "8")], 21, COUNTS + 300),
        ([("metadata.fifth", "3"), ("metadata.rare", "7")], 4, COUNTS),
        ([("metadata.fifth", "3"), ("metadata.rare", "nothing")], 0, COUNTS),
        # The status is rarer than the pair.
        ([("metadata.all", "1"), ("status", "failed")], 20, COUNTS + 200),
        # At most one span is walked that has jobs outside the time, and the spans themselves.
        ([("created_before", str(OLD_MS + 9_000))], 21, SPAN),
        ([("created_after", str(OLD_MS + 9_000)), ("order", "asc")], 21, SPAN),
        ([("created_after", str(OLD_MS + 9_000))], 21, SPANS),
        ([("created_before", str(OLD_MS + 9_000)), ("metadata.rare", "7")], 20, SPANS),
        ([("created_before", str(OLD_MS + 9_000)), ("metadata.fifth", "3")], 21, COUNTS + SPAN),
        ([("created_after", str(OLD_MS + COUNT))], 0, SPANS),
    ],
)
async def test_lists_of_jobs_walk_an_index(filled: Filled, parameters: Parameters, count: int, most: int) -> None:
    async with filled.tables.query_pool.acquire() as connection:
        recorded = Recorded(connection)
        found = await read_page(cast(Connection, recorded), filled.project, jobs_query(parameters))
    assert len(found) == count
    asked = [each for each in recorded.asked if not each[0].startswith("EXPLAIN")]
    plans = [await rows_read(filled, query, arguments) for query, arguments in asked]
    assert not [plan for _, plan in plans if '"Seq Scan"' in plan and '"jobs"' in plan], plans
    assert sum(rows for rows, _ in plans) <= most, plans


SORTS = ("created", "updated", "filesize", "duration", "width", "height", "fps", "filename")


async def assert_page_cheap(filled: Filled, parameters: Parameters, total: int, most: int) -> None:
    filter = media_filter(parameters)
    found = await filled.tables.queries.media(filled.project, filter)
    assert found.total == total
    pairs = pair_ids(filled.project, filter.metadata)
    if len(pairs) > 1:
        rows = await filled.tables.query_pool.fetch(SQL["rarest_first"], pairs)
        pairs = [row["pair"].hex for row in rows]
    query, arguments = page_query(filled.project, filter, pairs, total)
    offset = (filter.query.page - 1) * filter.query.limit
    await assert_cheap(filled, query, (*arguments, filter.query.limit, offset), most)


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("sort", SORTS)
async def test_a_first_page_in_any_order_reads_hardly_more_than_it_shows(filled: Filled, sort: str, order: str) -> None:
    # 12 from each of the two parts, and the 12 that are shown.
    await assert_page_cheap(filled, [("sort", sort), ("order", order)], COUNT, 36)


async def test_a_rare_kind_is_found_by_its_index(filled: Filled) -> None:
    await assert_page_cheap(filled, [("kind", "audio")], COUNT // 1000, 36)


@pytest.mark.parametrize(
    ("metadata", "total", "most"),
    [
        ({"rare": "7"}, 20, 24),
        ({"all": "1"}, COUNT, 24),
        ({"fifth": "3"}, COUNT // 5, 24),
        # Each hit of the rarer pair is asked for the other one: half of those of the tenth are of the fifth, at worst.
        ({"fifth": "3", "tenth": "3"}, COUNT // 10, 50),
        ({"all": "1", "rare": "7"}, 20, 60),
        ({"all": "1", "fifth": "3", "tenth": "8"}, COUNT // 10, 100),
        ({"rare": "7", "fifth": "nothing"}, 0, 20),
    ],
)
async def test_metadata_filters_read_hardly_more_than_they_show(
    filled: Filled, metadata: dict[str, str], total: int, most: int
) -> None:
    parameters = [(f"metadata.{key}", value) for key, value in metadata.items()]
    await assert_page_cheap(filled, parameters, total, most)
    await assert_page_cheap(filled, [*parameters, ("order", "asc")], total, most)


async def test_a_rare_value_in_another_order_reads_its_own_items_only(filled: Filled) -> None:
    for sort in SORTS[1:]:
        await assert_page_cheap(filled, [("metadata.rare", "7"), ("sort", sort)], 20, 60)


async def test_a_common_value_in_another_order_walks_that_orders_index(filled: Filled) -> None:
    for order in ("asc", "desc"):
        parameters = [("metadata.all", "1"), ("sort", "filesize"), ("order", order)]
        await assert_page_cheap(filled, parameters, COUNT, 60)


async def test_a_deep_page_fetches_the_items_it_shows_only(filled: Filled) -> None:
    # The way there is counted in index entries.
    await assert_page_cheap(filled, [("page", "500")], COUNT, 6100)
    await assert_page_cheap(filled, [("page", "300"), ("metadata.fifth", "1")], COUNT // 5, COUNT // 5 + 12)
