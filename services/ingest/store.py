"""The tables of ingest, but for uploads (`upload_rows`) and replies (`reply_store`).

Rows go in and come out as the project's own types.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg
import orjson

from chassis.adapters.postgres import Connection, Pool, sql
from chassis.runtime.outbox import Insert
from chassis.runtime.service_spec import RATE_LIMIT_MIGRATIONS
from schemas.events import CancelRequested
from schemas.faults import Fault
from schemas.files import File
from schemas.jobs import EarlierRun, Job, Status
from schemas.keys import ApiKey
from schemas.media import MediaItem
from schemas.projects import Project
from services.ingest.errors import NameTaken
from services.ingest.idempotency import IdempotencyKey, StoredResponse

SCHEMA = "ingest"
MIGRATIONS = (
    "chassis.runtime.outbox.migrations",
    "chassis.runtime.job_queue.migrations",
    RATE_LIMIT_MIGRATIONS,
    "services.ingest.sql.migrations",
)
QUERIES = sql.load("services.ingest.sql")
DEADLINE_S = 8.0
"""For one piece of work, the wait for a connection included: a request then ends with 503 within 10 s."""

AlsoWrite = Callable[[Connection], Awaitable[None]]
"""Writes more in a transaction."""
JobWrite = Callable[[Sequence[tuple[Job, Insert]]], Awaitable[None]]


@dataclass(frozen=True)
class JobEnd:
    """How the present run of a job has ended; `status` is None where it has not."""

    status: Status | None
    run: int


class Store:
    """Methods with a `conn` belong to the caller's transaction; the others raise TimeoutError after `deadline_s`."""

    def __init__(self, pool: Pool, *, deadline_s: float = DEADLINE_S) -> None:
        self._pool = pool
        self._deadline_s = deadline_s

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for one short piece of work."""
        async with asyncio.timeout(self._deadline_s), self._pool.acquire() as conn:
            yield conn

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection in a transaction, committed where the block does not raise."""
        async with self.connection() as conn, conn.transaction():
            yield conn

    # Jobs

    async def add_jobs(self, conn: Connection, jobs: Sequence[Job]) -> None:
        """Adds jobs that are not there yet."""
        await conn.execute(QUERIES["add_jobs"], *_job_columns(jobs))

    @asynccontextmanager
    async def job_writer(self) -> AsyncIterator[JobWrite]:
        """A function that adds new jobs and the outbox rows of their events in one statement, on one connection."""
        async with self._pool.acquire() as conn:

            async def write(rows: Sequence[tuple[Job, Insert]]) -> None:
                events = Insert.joined([insert for _, insert in rows])
                statement = f"{QUERIES['with_jobs']}\n{events.statement}"
                await conn.execute(statement, *events.columns, *_job_columns([job for job, _ in rows]))

            yield write

    async def end_jobs(self, conn: Connection, jobs: Sequence[Job]) -> dict[str, dict[str, Any]]:
        """Records the ends of finished jobs; where those ends are to be sent, by the id of the job, if anywhere."""
        ends = (
            [job.id for job in jobs],
            [job.status for job in jobs],
            [job.finished_at for job in jobs],
            [job.run for job in jobs],
            [job.started_at for job in jobs],
            [job.error.model_dump_json() if job.error else None for job in jobs],
            [job.project for job in jobs],
            [job.output.model_dump_json() if job.output else None for job in jobs],
        )
        rows = await conn.fetch(QUERIES["end_jobs"], *ends)
        return {row["id"]: dict(row["reply"]) for row in rows if row["reply"] is not None}

    async def run_again(self, conn: Connection, id: str, project: str, at: int, most: int) -> Job | None:
        """Begins the next run of a job that failed or was cancelled, up to run number `most`; None for all others."""
        row = await conn.fetchrow(QUERIES["run_again"], id, project, at, most)
        return queued_job(row) if row else None

    async def purge_job(self, conn: Connection, id: str, project: str) -> bool:
        """Deletes a job of the project that has ended; False where there is none."""
        return await conn.fetchval(QUERIES["purge_job"], id, project) is not None

    async def purge_expired_jobs(self, conn: Connection, project: str, keep_s: int, limit: int) -> list[str]:
        """Deletes jobs of the project that ended more than `keep_s` seconds ago; their ids, at most `limit`."""
        return [row["id"] for row in await conn.fetch(QUERIES["purge_expired_jobs"], project, keep_s, limit)]

    async def job_run(self, conn: Connection, id: str, project: str) -> JobEnd | None:
        """The present run of a job of the project."""
        row = await conn.fetchrow(QUERIES["job_run"], id, project)
        return JobEnd(row["ended"], row["run"]) if row else None

    async def request_cancellation(self, conn: Connection, id: str, project: str, at: int) -> JobEnd | None:
        """Marks a job of the project that has no end; None where the project has no such job."""
        row = await conn.fetchrow(QUERIES["request_cancellation"], id, project, at)
        return JobEnd(row["ended"], row["run"]) if row else None

    async def job_end(self, id: str) -> Status | None:
        """How the job has ended; None where it has not, or is not there."""
        async with self.connection() as conn:
            ended: Status | None = await conn.fetchval(QUERIES["job_end"], id)
        return ended

    async def cancellations_of(self, conn: Connection, jobs: Sequence[Job]) -> list[CancelRequested]:
        """The cancellations that were requested of the present runs of these jobs."""
        projects = {job.id: job.project for job in jobs}
        rows = await conn.fetch(QUERIES["cancellations_of"], list(projects))
        return [
            CancelRequested(job_id=id, project=projects[id], at=at, run=run)
            for id, at, run in ((row["id"], row["cancel_requested_at"], row["run"]) for row in rows)
        ]

    async def jobs_without_end(self, conn: Connection, ids: Sequence[str]) -> dict[str, int]:
        """Those of the jobs that have no end, with the number of their present run."""
        return {row["id"]: row["run"] for row in await conn.fetch(QUERIES["jobs_without_end"], ids)}

    async def unfinished_jobs(self, project: str, most: int) -> int:
        """How many jobs of the project have no end, counted up to `most`."""
        return await self._counted("unfinished_jobs", project, most)

    async def unfinished_imports(self, project: str, most: int) -> int:
        """How many media items of the project are being imported, counted up to `most`."""
        return await self._counted("unfinished_imports", project, most)

    async def unexpired_uploads(self, project: str, most: int) -> int:
        """How many uploads of the project have not expired, counted up to `most`."""
        return await self._counted("waiting_uploads", project, most)

    async def _counted(self, query: str, project: str, most: int) -> int:
        async with self.connection() as conn:
            number: int = await conn.fetchval(QUERIES[query], project, most)
        return number

    # Announcing again

    async def try_announcing(self, conn: Connection, max_unpublished: int) -> bool:
        """Whether this transaction is the only one that announces, and at most so many events wait for Kafka."""
        if not await conn.fetchval(QUERIES["try_announcing"]):
            return False
        unpublished: int = await conn.fetchval(QUERIES["unpublished_events"], max_unpublished + 1)
        return unpublished <= max_unpublished

    async def announce_jobs(self, conn: Connection, pauses: Sequence[timedelta], limit: int) -> list[Job]:
        """Jobs without an end that are due to be announced again, marked as announced."""
        rows = await conn.fetch(QUERIES["announce_jobs"], list(pauses), limit)
        return [queued_job(row) for row in rows]

    async def announce_media(self, conn: Connection, pause: timedelta, limit: int) -> list[MediaItem]:
        """Items that are due to be announced again, marked as announced."""
        rows = await conn.fetch(QUERIES["announce_media"], pause, limit)
        return [MediaItem.model_validate(row["item"]) for row in rows]

    # Media items

    async def add_media(self, conn: Connection, item: MediaItem) -> None:
        row = (item.id, item.project, item.version, item.status, item.model_dump_json())
        await conn.execute(QUERIES["add_media"], *row)

    async def media_item(self, id: str) -> MediaItem | None:
        async with self.connection() as conn:
            row = await conn.fetchrow(QUERIES["media_item"], id)
        return MediaItem.model_validate(row["item"]) if row else None

    async def deleted_within(self, id: str, time: timedelta) -> bool:
        """Whether the item was deleted so recently, by the clock of Postgres, which removes its files."""
        async with self.connection() as conn:
            return bool(await conn.fetchval(QUERIES["deleted_within"], id, time))

    async def lock_media_items(self, conn: Connection, ids: Iterable[str]) -> dict[str, MediaItem]:
        """The items by id; no other transaction can change them until this one ends."""
        rows = await conn.fetch(QUERIES["lock_media_items"], list(ids))
        return {row["id"]: MediaItem.model_validate(row["item"]) for row in rows}

    async def update_media(self, conn: Connection, item: MediaItem) -> bool:
        """Stores the next version of an item; False where another writer stored one first."""
        row = (item.id, item.version - 1, item.version, item.status, item.model_dump_json())
        return await conn.fetchval(QUERIES["update_media"], *row) is not None

    async def update_media_items(self, conn: Connection, items: Sequence[MediaItem]) -> None:
        """Stores new versions of items that this transaction has locked."""
        columns = (
            [item.id for item in items],
            [item.version for item in items],
            [item.status for item in items],
            [item.model_dump_json() for item in items],
        )
        await conn.execute(QUERIES["update_locked_media"], *columns)

    # Names

    async def reserve_name(self, conn: Connection, project: str, path: str, media_id: str) -> None:
        """Reserves the path for the item, once or again. Raises NameTaken where another item has it."""
        if await conn.fetchval(QUERIES["reserve_name"], project, path, media_id) is not None:
            return
        if await self.name_holder(conn, project, path) != media_id:
            raise NameTaken(path)

    async def name_holder(self, conn: Connection, project: str, path: str) -> str | None:
        """The id of the item that has the name."""
        holder: str | None = await conn.fetchval(QUERIES["name_holder"], project, path)
        return holder

    async def release_names(self, conn: Connection, media_id: str) -> None:
        await conn.execute(QUERIES["release_names"], media_id)

    # Idempotency keys

    async def use_key(
        self, conn: Connection, key: IdempotencyKey, *, project: str, resource_id: str, at: int, response: bytes | None
    ) -> bool:
        """Stores the key; False where it was used before. Waits for a transaction that is storing it just now."""
        row = (project, key.scope, key.key, key.fingerprint, resource_id, response, at, key.expires_at)
        return await conn.fetchval(QUERIES["use_key"], *row) is not None

    async def use_submission(
        self, conn: Connection, key: IdempotencyKey, project: str, resource_id: str, at: int
    ) -> bool:
        """As `use_key`, for a submission: its repetitions get no response."""
        return await self.use_key(conn, key, project=project, resource_id=resource_id, at=at, response=None)

    async def stored_response(self, project: str, key: IdempotencyKey) -> StoredResponse | None:
        """The row of a key that was used before."""
        async with self.connection() as conn:
            row = await conn.fetchrow(QUERIES["stored_response"], project, key.scope, key.key)
        return StoredResponse(row["fingerprint"], row["resource_id"], row["response"]) if row else None

    async def keep_response(self, project: str, key: IdempotencyKey, resource_id: str, response: bytes) -> bytes:
        """Stores a response for repetitions; returns the stored one, which is the first."""
        async with self.connection() as conn:
            kept = await conn.fetchval(QUERIES["keep_response"], project, key.scope, key.key, resource_id, response)
        return bytes(kept) if kept is not None else response

    # Projects and API keys

    async def project(self, id: str) -> Project | None:
        async with self.connection() as conn:
            row = await conn.fetchrow(QUERIES["project"], id)
        return Project.model_validate(dict(row)) if row else None

    async def short_retentions(self) -> dict[str, int]:
        """The seconds for which ended jobs are kept, of the projects that have a retention of their own."""
        async with self.connection() as conn:
            return {row["id"]: row["retain_jobs_s"] for row in await conn.fetch(QUERIES["short_retentions"])}

    async def key_by_hash(self, hash: str) -> ApiKey | None:
        async with self.connection() as conn:
            row = await conn.fetchrow(QUERIES["key_by_hash"], hash)
        return ApiKey.model_validate(dict(row)) if row else None


def _job_columns(jobs: Sequence[Job]) -> tuple[list[Any], ...]:
    return (
        [job.id for job in jobs],
        [job.project for job in jobs],
        [_request_json(job) for job in jobs],
        [job.media_id for job in jobs],
        [job.created_at for job in jobs],
    )


def queued_job(row: asyncpg.Record) -> Job:
    """The job as it was accepted, or as its present run was; the inverse of `_job_columns`."""
    request = dict(row["request"])
    found = row["input_file"] or {}
    source, fault = found.get("source") or request.pop("source", None), found.get("input_fault")
    request.pop("source", None)
    job = Job.queued(
        id=row["id"],
        project=row["project"],
        media_id=row["media_id"],
        at=row["created_at"],
        source=File.model_validate(source) if source else None,
        input_fault=Fault.model_validate(fault) if fault else None,
        waits_for=row["waits_for"],
        **request,
    )
    if row["run"] == 1:
        return job
    earlier = [EarlierRun.model_validate(each) for each in row["earlier_runs"]]
    return job.run_again(row["run"], earlier, row["run_requested_at"])


def _request_json(job: Job) -> str:
    """What `Job.queued` needs besides the other columns: the JobCreated event can be made again from the row."""
    request: dict[str, Any] = {
        "kind": job.kind,
        "input": job.input,
        "encrypted_input": job.encrypted_input,
        "options": job.options,
        "metadata": job.metadata,
        "webhook_url": job.webhook_url,
        "encrypted_webhook_url": job.encrypted_webhook_url,
    }
    if job.priority != "normal":
        request["priority"] = job.priority
    if job.atomic:
        request |= {"atomic": True, "strip": job.strip}
    if job.destination is not None:
        request["destination"] = job.destination
    if job.connection_id is not None:
        # Without its secret: a job that is announced again, or runs again, gets what the connection has then.
        request["connection_id"] = job.connection_id
    if job.media_id is not None:
        request |= {"ref": job.ref, "source": job.source.model_dump(mode="json") if job.source else None}
    elif job.source is not None:
        request["source"] = job.source.model_dump(mode="json")
    return orjson.dumps(request).decode()
