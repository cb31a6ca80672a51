"""What requests read: the catalog's rows, as types of `schemas`. The projection writes by `services.catalog.store`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias
from uuid import UUID

from chassis.adapters.postgres import Connection, Pool, open_pool, sql
from schemas.jobs import Job
from schemas.keys import ApiKey
from schemas.media import MediaItem
from services.catalog.filters import JobsQuery, MediaFilter, TasksPage, pair_ids
from services.catalog.job_lists import read_page
from services.catalog.paging import JobsPage, page_of

SQL = sql.load("services.catalog.sql")
SORT_ALL_MAX = 6_000
"""Up to so many hits, fetching and sorting all of them costs less than scanning the sort column's index for them.

Scanning costs about limit * items / hits rows, fetching costs the hits: with millions of items they meet near here.
"""
PairId: TypeAlias = str | UUID
_COLUMNS = {"created": "created_at", "updated": "updated_at"}
"""Where a sort word is not the column's own name."""


@dataclass(frozen=True)
class Hidden:
    """The item exists and is deleted."""


@dataclass(frozen=True)
class StoredFile:
    """The stored object behind a name at the delivery address; `lasting`: the name never points at other bytes."""

    key: str
    content_type: str
    lasting: bool


@dataclass(frozen=True)
class MediaList:
    """The items of one page, and how many there are in all."""

    items: Sequence[MediaItem]
    total: int


async def open_query_pool(dsn: str, schema: str, *, size: int, timeout: timedelta) -> Pool:
    """The pool for `Queries`; Postgres cancels a query that takes longer than `timeout`.

    Each query is planned for its values: the plan for a rare metadata value takes seconds with a common one, and
    asyncpg's prepared statements would settle on one plan for both.
    """
    milliseconds = str(round(timeout.total_seconds() * 1000))
    settings = {"plan_cache_mode": "force_custom_plan", "statement_timeout": milliseconds, "jit": "off"}
    return await open_pool(dsn, schema, size=size, settings=settings)


class Queries:
    """Reads only, through a pool of `open_query_pool`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def job(self, id: str, project: str) -> Job | None:
        """The job, unless it is unknown or another project's."""
        text = await self._value("find_job", id, project)
        return Job.model_validate_json(text) if text else None

    async def job_of_step(self, id: str, project: str) -> Job | None:
        """The job that has a step of this id."""
        text = await self._value("find_job_of_step", id, project)
        job = Job.model_validate_json(text) if text else None
        return None if job is None or job.atomic else job

    async def project_is_signed(self, project: str) -> bool:
        """Whether the files of the project are delivered only with a signature."""
        return bool(await self._value("project_is_signed", project))

    async def project_rates(self, project: str) -> tuple[int | None, int | None]:
        """Requests a minute of the project and of each of its keys, where it has limits of its own."""
        async with self._pool.acquire() as connection:
            row = await connection.fetchrow(SQL["project_rates"], project)
        return (row["rate_limit"], row["key_rate_limit"]) if row else (None, None)

    async def jobs(self, project: str, query: JobsQuery) -> tuple[JobsPage, Sequence[Job]]:
        async with self._pool.acquire() as connection:
            rows = await read_page(connection, project, query)
        jobs = {job.id: job for job in map(Job.model_validate_json, rows)}
        page = page_of(list(jobs), query)
        return page, [jobs[id] for id in page.ids]

    async def jobs_page(self, project: str, query: TasksPage) -> tuple[JobsPage, Sequence[Job]]:
        """A numbered page of all jobs, newest first."""
        if query.page == 1:
            return await self.jobs(project, JobsQuery(limit=query.limit))
        last = await self._value("nth_newest_job", project, query.before - 1)
        if last is None:
            return JobsPage((), earlier=True, later=False), []
        return await self.jobs(project, JobsQuery(limit=query.limit, after=last))

    async def media_item(self, id: str, project: str) -> MediaItem | Hidden | None:
        """The item; None where it is unknown or another project's."""
        async with self._pool.acquire() as connection:
            row = await connection.fetchrow(SQL["find_media"], id, project)
        if row is None:
            return None
        return Hidden() if row["hidden"] else MediaItem.model_validate_json(row["item"])

    async def media(self, project: str, filter: MediaFilter) -> MediaList:
        """One page, counted exactly."""
        pairs: list[PairId] = [*pair_ids(project, filter.metadata)]
        async with self._pool.acquire() as connection:
            if len(pairs) > 1:
                pairs = [row["pair"] for row in await connection.fetch(SQL["rarest_first"], pairs)]
            total = await _count(connection, project, filter, pairs)
            offset = (filter.query.page - 1) * filter.query.limit
            if offset >= total:
                return MediaList([], total)
            query, arguments = page_query(project, filter, pairs, total)
            rows = await connection.fetch(query, *arguments, filter.query.limit, offset)
        return MediaList([MediaItem.model_validate_json(row["item"]) for row in rows], total)

    async def file(self, project: str, path: str) -> StoredFile | None:
        async with self._pool.acquire() as connection:
            row = await connection.fetchrow(SQL["find_file"], project, path)
        return StoredFile(**dict(row)) if row else None

    async def had_file(self, project: str, path: str) -> bool:
        """Whether a deleted media item had the name."""
        return bool(await self._value("had_file", project, path))

    async def key(self, hash: str) -> ApiKey | None:
        text = await self._value("find_key", hash)
        return ApiKey.model_validate_json(text) if text else None

    async def _value(self, name: str, *arguments: object) -> str | None:
        async with self._pool.acquire() as connection:
            value: str | None = await connection.fetchval(SQL[name], *arguments)
            return value


async def _count(connection: Connection, project: str, filter: MediaFilter, pairs: Sequence[PairId]) -> int:
    if pairs:
        total = await connection.fetchval(SQL["count_media_with"], pairs[0], list(pairs[1:]), filter.query.kind)
    else:
        total = await connection.fetchval(SQL["count_media"], project, filter.query.kind)
    return int(total)


def page_query(
    project: str, filter: MediaFilter, pairs: Sequence[PairId], total: int
) -> tuple[str, tuple[object, ...]]:
    """The query that reads this page by an index, and its first arguments; rarest pair first."""
    sort, kind = filter.query.sort, filter.query.kind
    if pairs and sort == "created":
        name, arguments = "media_page_with", (pairs[0], list(pairs[1:]), kind)
    elif pairs and total <= SORT_ALL_MAX:
        name, arguments = "media_page_of_few", (pairs[0], list(pairs[1:]), kind)
    else:
        return _ordered("media_page", filter), (project, list(pairs), kind)
    return _ordered(name, filter), arguments


def _ordered(name: str, filter: MediaFilter) -> str:
    # Identifiers cannot be parameters. Both words come out of closed lists, never out of a request as they stand.
    sort = filter.query.sort
    return SQL[name].format(sort=_COLUMNS.get(sort, sort), order=filter.query.order.upper())
