"""Which jobs are on a page of `GET /jobs`, each page by an index, also with millions of jobs.

Without metadata filters an index on kind, status or input is walked in the order of the list. With them that is the
index on the pairs of `job_metadata`, from the rarest pair on, unless a kind, status or input is rarer. The times of
creation narrow the positions down that are walked: see `services.catalog.job_spans`.
"""

import json
from collections.abc import Sequence
from typing import NamedTuple

from chassis.adapters.postgres import Connection, sql
from chassis.core.redact import masked_url
from services.catalog.filters import JobsQuery, pair_ids
from services.catalog.job_positions import Place, place_after, place_before
from services.catalog.job_spans import EVERYWHERE, Run, runs_of_time
from services.catalog.paging import scan_of

SQL = sql.load("services.catalog.sql")
COUNTED = 1_000
"""How many jobs of each pair are counted: reading so many rows costs little more. Beyond it, estimates are compared."""


class Driver(NamedTuple):
    """The query that reads the fewest rows; the pairs, rarest first; whether it reads few rows however they are."""

    query: str
    pairs: Sequence[object]
    few: bool


class Bounds(NamedTuple):
    """The places above and below which the jobs of the page are, exclusive; None is open."""

    above: Place | None
    below: Place | None


async def read_page(connection: Connection, project: str, query: JobsQuery) -> list[str]:
    """Up to `limit + 1` jobs as JSON, in the order of `scan_of(query)`."""
    scan = scan_of(query)
    bounds = Bounds(
        await place_after(connection, project, scan.above) if scan.above else None,
        await place_before(connection, project, scan.below) if scan.below else None,
    )
    driver = await _driver(connection, project, query)
    after, before = query.created_after, query.created_before
    whole = driver.few or (after is None and before is None)
    runs = EVERYWHERE if whole else await runs_of_time(connection, project, after, before)
    rows: list[str] = []
    for run in reversed(runs) if scan.newest_first else runs:
        text, arguments = page_query(driver, project, query, bounds, run, query.limit + 1 - len(rows))
        rows += [row["job"] for row in await connection.fetch(text, *arguments)]
        if len(rows) > query.limit:
            break
    return rows


def page_query(
    driver: Driver, project: str, query: JobsQuery, bounds: Bounds, run: Run, limit: int
) -> tuple[str, tuple[object, ...]]:
    """The text of the query, and its arguments (pure)."""
    # Identifiers cannot be parameters; this word comes out of a closed list.
    text = SQL[driver.query].format(order="DESC" if scan_of(query).newest_first else "ASC")
    above, below = (bounds.above or (None, None)), (bounds.below or (None, None))
    times = (query.created_after, query.created_before)
    return text, (project, *_columns(query), *times, *above, *below, *run, list(driver.pairs), limit)


async def _driver(connection: Connection, project: str, query: JobsQuery) -> Driver:
    if not query.metadata:
        return Driver("jobs_page", (), few=False)
    rows = await connection.fetch(SQL["rarest_pairs_of_jobs"], pair_ids(project, query.metadata), COUNTED)
    pairs, columns = [row["pair"] for row in rows], _columns(query)
    if rows[0]["count"] < COUNTED:
        return Driver("jobs_page_with", pairs, few=True)
    if any(value is not None for value in columns):
        of_pair = await _estimate(connection, "jobs_with_pair", pairs[0])
        if await _estimate(connection, "jobs_with_columns", project, *columns) < of_pair:
            return Driver("jobs_page", pairs, few=False)
    return Driver("jobs_page_with", pairs, few=False)


async def _estimate(connection: Connection, name: str, *arguments: object) -> int:
    """How many rows the planner expects the query to give."""
    plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {SQL[name]}", *arguments)
    parsed = json.loads(plan) if isinstance(plan, str) else plan
    return int(parsed[0]["Plan"]["Plan Rows"])


def _columns(query: JobsQuery) -> tuple[str | None, ...]:
    masked = masked_url(query.input) if query.input is not None else None
    return (query.kind, query.status, query.input, masked)
