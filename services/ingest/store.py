"""The one module of ingest that speaks SQL. Rows in and out as the project's own types.

Connections are asked for with a deadline: where Postgres is away a request has to fail soon and not hang.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from chassis.adapters.postgres import Connection, Pool, sql
from schemas.jobs import Job
from schemas.keys import ApiKey
from schemas.media import MediaItem
from services.ingest.claims import Claim, Claimed
from services.ingest.errors import NameTaken

ACQUIRE_SECONDS = 5.0
"""How long a free connection is waited for: longer than any transaction here, shorter than a client's patience."""
WORK_SECONDS = 10.0
"""How long a transaction may take in all: a Postgres that hangs is as good as one that is away."""
QUERIES = sql.load("services.ingest.sql")


@dataclass(frozen=True)
class Insert:
    """A statement that somebody else would have sent, whose arguments are columns of rows."""

    query: str
    arguments: tuple[Any, ...]


def joined(inserts: Sequence[Insert]) -> Insert:
    """Inserts of one and the same statement as one, in their order."""
    columns_ = zip(*[insert.arguments for insert in inserts], strict=True)
    return Insert(inserts[0].query, tuple([value for column in parts for value in column] for parts in columns_))


JobWriter = Callable[[Sequence[tuple[Job, Insert]]], Awaitable[None]]


class Store:
    """Ingest's tables. Methods with a `conn` belong to the caller's transaction."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for one short piece of work; TimeoutError where there is none, or the work takes too long."""
        async with asyncio.timeout(WORK_SECONDS), self._pool.acquire(timeout=ACQUIRE_SECONDS) as conn:
            yield conn

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside a transaction, committed on leaving without an exception."""
        async with self.connection() as conn, conn.transaction():
            yield conn

    # Jobs

    async def add_jobs(self, conn: Connection, jobs: Sequence[Job]) -> None:
        """Jobs that are not there yet."""
        await conn.execute(QUERIES["add_jobs"], *columns(jobs, "id", "project", "request", "media_id", "created_at"))

    @asynccontextmanager
    async def job_writer(self) -> AsyncIterator[JobWriter]:
        """Writes new jobs, each list with the insert that goes with it in one statement: one round trip, one commit."""
        async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as conn:

            async def write(rows: Sequence[tuple[Job, Insert]]) -> None:
                insert = joined([insert for _, insert in rows])
                new = columns([job for job, _ in rows], "id", "project", "request", "created_at")
                query = f"{QUERIES['with_jobs']}\n{insert.query}"
                await conn.execute(query, *insert.arguments, *new, timeout=WORK_SECONDS)

            yield write

    async def end_job(self, conn: Connection, job: Job) -> None:
        """What became of a job."""
        await conn.execute(QUERIES["end_job"], job.id, job.status, job.finished_at)

    # Media items

    async def add_media(self, conn: Connection, item: MediaItem) -> None:
        await conn.execute(
            QUERIES["add_media"], item.id, item.project, item.version, item.status, item.model_dump(mode="json")
        )

    async def media_item(self, id: str) -> MediaItem | None:
        async with self.connection() as conn:
            row = await conn.fetchrow(QUERIES["media_item"], id)
        return MediaItem.model_validate(row["item"]) if row else None

    async def media_item_locked(self, conn: Connection, id: str, project: str) -> MediaItem | None:
        """The item, which nobody else can change until the transaction ends."""
        row = await conn.fetchrow(QUERIES["media_item_locked"], id, project)
        return MediaItem.model_validate(row["item"]) if row else None

    async def update_media(self, conn: Connection, item: MediaItem) -> bool:
        """Writes the next version; False where somebody else wrote it first."""
        dumped = item.model_dump(mode="json")
        query = QUERIES["update_media"]
        return (await conn.fetchrow(query, item.id, item.version - 1, item.version, item.status, dumped)) is not None

    async def announce_media(self, conn: Connection, id: str) -> None:
        """Tells everybody who waits for this item, once the transaction commits."""
        await conn.execute(QUERIES["announce_media"], id)

    # Names

    async def reserve_name(self, conn: Connection, project: str, path: str, media_id: str) -> None:
        """Gives the path to the item; NameTaken where another has it. Reserving one's own again is fine."""
        if await conn.fetchrow(QUERIES["reserve_name"], project, path, media_id) is None:
            holder = await conn.fetchrow(QUERIES["name_holder"], project, path)
            if holder is None or holder["media_id"] != media_id:
                raise NameTaken(path)

    async def release_names(self, conn: Connection, media_id: str) -> None:
        await conn.execute(QUERIES["release_names"], media_id)

    # Claims

    async def claim(
        self, conn: Connection, claim: Claim, *, project: str, resource_id: str, at: int, response: bytes | None
    ) -> bool:
        """Makes the claim; False where it is made already. Waits for a transaction that is just making it."""
        row = await conn.fetchrow(
            QUERIES["claim"],
            project,
            claim.scope,
            claim.key,
            claim.fingerprint,
            resource_id,
            response,
            at,
            claim.expires_at,
        )
        return row is not None

    async def claimed(self, project: str, claim: Claim) -> Claimed | None:
        """The claim that is in the way."""
        async with self.connection() as conn:
            row = await conn.fetchrow(QUERIES["claimed"], project, claim.scope, claim.key)
        return Claimed(row["fingerprint"], row["resource_id"], row["response"]) if row else None

    async def answer_claim(self, project: str, claim: Claim, resource_id: str, response: bytes) -> bytes:
        """Keeps the answer for repetitions; returns the one that is kept, which is the first."""
        async with self.connection() as conn:
            row = await conn.fetchrow(QUERIES["answer_claim"], project, claim.scope, claim.key, resource_id, response)
        return bytes(row["response"]) if row else response

    async def sweep_claims(self, now_ms: int) -> None:
        """Forgets claims whose time is over."""
        async with self.connection() as conn:
            await conn.execute(QUERIES["sweep_claims"], now_ms)

    # Projects and keys

    async def project_exists(self, id: str) -> bool:
        async with self.connection() as conn:
            return bool(await conn.fetchval(QUERIES["project_exists"], id))

    async def key_by_hash(self, hash: str) -> ApiKey | None:
        async with self.connection() as conn:
            row = await conn.fetchrow(QUERIES["key_by_hash"], hash)
        return ApiKey.model_validate(dict(row)) if row else None


def columns(jobs: Sequence[Job], *names: str) -> list[list[Any]]:
    """The jobs column by column; `request` is what the customer asked for, as JSON text."""
    return [[_request(job) if name == "request" else getattr(job, name) for job in jobs] for name in names]


def _request(job: Job) -> str:
    asked = {
        "kind": job.kind,
        "input": job.input,
        "options": job.options,
        "metadata": job.metadata,
        "webhook_url": job.webhook_url,
    }
    return orjson.dumps(asked).decode()
