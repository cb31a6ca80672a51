"""What events write: the catalog's rows. Reading is the business of `services.catalog.queries`."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from chassis.adapters.postgres import Connection, Pool, sql
from schemas.base import Unknown
from schemas.files import MediaKind
from schemas.jobs import Job
from schemas.keys import ApiKey
from schemas.media import MediaItem
from services.catalog.rows import FileRow, MediaBefore, job_rank

SQL = sql.load("services.catalog.sql")


class Transaction:
    """Writes that happen together or not at all."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def put_job(self, job: Job) -> bool:
        """Whether the snapshot was news."""
        row = (
            job.id,
            job.project,
            job.kind,
            job.status,
            job.input,
            job_rank(job),
            job.updated_at,
            job.model_dump_json(),
        )
        return await self._connection.fetchval(SQL["put_job"], *row) is not None

    async def put_files(self, owner: str, files: Sequence[FileRow]) -> None:
        rows = [
            (file.project, file.path, owner, file.since, file.media_id, file.key, file.content_type, file.lasting)
            for file in files
        ]
        await self._connection.executemany(SQL["put_file"], rows)

    async def replace_files(self, owner: str, files: Sequence[FileRow]) -> None:
        await self._connection.execute(SQL["drop_files"], owner)
        if files:
            await self.put_files(owner, files)

    async def lock_media(self, id: str) -> MediaBefore | None:
        """What is known of the item, which nobody else writes until this transaction ends."""
        await self._connection.execute(SQL["lock_media"], id)
        row = await self._connection.fetchrow(SQL["media_before"], id)
        return MediaBefore(**dict(row)) if row else None

    async def put_media(self, item: MediaItem, hidden: bool, pairs: Sequence[UUID]) -> None:
        file = item.original
        described = (file.filesize, file.duration, file.width, file.height, file.fps) if file else (None,) * 5
        await self._connection.execute(
            SQL["put_media"],
            item.id,
            item.project,
            item.version,
            hidden,
            file.kind if file else None,
            item.created_at,
            item.updated_at,
            *described,
            item.filename,
            list(pairs),
            item.model_dump_json(),
        )

    async def drop_pairs(self, id: str, before: MediaBefore) -> None:
        if before.pairs:
            await self._connection.execute(SQL["drop_pairs"], before.pairs, before.created_at, id)

    async def add_pairs(
        self, id: str, pairs: Sequence[UUID], kind: MediaKind | Unknown | None, created_at: int
    ) -> None:
        if pairs:
            await self._connection.execute(SQL["add_pairs"], list(pairs), created_at, id, kind)


class Store:
    """The way to the tables; single writes need no transaction of their own."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        async with self._pool.acquire() as connection, connection.transaction():
            yield Transaction(connection)

    async def put_job(self, job: Job) -> bool:
        """Whether the snapshot was news."""
        async with self._pool.acquire() as connection:
            return await Transaction(connection).put_job(job)

    async def put_key(self, key: ApiKey) -> None:
        async with self._pool.acquire() as connection:
            await connection.execute(SQL["put_key"], key.id, key.hash, key.model_dump_json(), key.revoked_at)
