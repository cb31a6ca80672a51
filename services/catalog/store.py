"""What the projection writes: one statement a table for a whole batch. Requests read by `services.catalog.queries`.

Every list of snapshots has each id once and is in ascending order of ids: see `services.catalog.snapshots`.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from chassis.adapters.postgres import Connection, Pool, sql
from schemas.jobs import Job
from schemas.keys import ApiKey
from services.catalog.filters import pair_ids
from services.catalog.snapshots import FileRow, MediaSnapshot, job_rank

SQL = sql.load("services.catalog.sql")


@dataclass(frozen=True, slots=True)
class MetadataRows:
    """The rows of `media_metadata` that belong to one item: one for each of `pairs` (32 hexadecimal digits)."""

    media_id: str
    kind: str | None
    created_at: int
    pairs: frozenset[str]

    def rows(self) -> list[tuple[str, int, str, str | None]]:
        """(pair, created_at, media_id, kind) of each."""
        return [(pair, self.created_at, self.media_id, self.kind) for pair in self.pairs]


class Transaction:
    """Writes that happen together or not at all."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def put_jobs(self, jobs: Sequence[Job]) -> set[str]:
        """Inserts or updates what is newer than the stored rows; the ids of those."""
        rows = [
            (
                job.id,
                job.project,
                job.kind,
                job.status,
                job.input,
                job_rank(job),
                job.updated_at,
                job.model_dump_json(),
            )
            for job in jobs
        ]
        return {row["id"] for row in await self._fetch("put_jobs", rows)}

    async def put_media(self, snapshots: Sequence[MediaSnapshot]) -> Mapping[str, MetadataRows | None]:
        """Inserts or updates what is newer than the stored rows, with its metadata; the ids of those.

        The value is None for a new item, and otherwise the metadata rows that the item had before.
        """
        wanted = {snapshot.item.id: _metadata_rows(snapshot) for snapshot in snapshots}
        rows = [_media_row(snapshot, wanted[snapshot.item.id]) for snapshot in snapshots]
        written = {row["id"]: _replaced(row) for row in await self._fetch("put_media", rows)}
        changed = [(replaced, wanted[id]) for id, replaced in written.items() if replaced != wanted[id]]
        await self._execute("delete_pairs", [row[:3] for replaced, _ in changed if replaced for row in replaced.rows()])
        await self._execute("insert_pairs", [row for _, new in changed for row in new.rows()])
        return written

    async def put_files(self, files: Sequence[FileRow]) -> None:
        """Inserts the names, or points them at what they name now."""
        await self._execute("put_files", files)

    async def delete_files(self, owners: Sequence[str]) -> None:
        """Deletes all names of these owners."""
        if owners:
            await self._connection.execute(SQL["delete_files"], owners)

    async def put_keys(self, keys: Sequence[ApiKey]) -> None:
        await self._execute("put_keys", [(key.id, key.hash, key.model_dump_json(), key.revoked_at) for key in keys])

    async def _fetch(self, name: str, rows: Sequence[tuple[object, ...]]) -> Sequence[asyncpg.Record]:
        return await self._connection.fetch(SQL[name], *zip(*rows, strict=True)) if rows else []

    async def _execute(self, name: str, rows: Sequence[tuple[object, ...]]) -> None:
        if rows:
            await self._connection.execute(SQL[name], *zip(*rows, strict=True))


class Store:
    """Opens transactions on the pool of the projection."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        async with self._pool.acquire() as connection, connection.transaction():
            yield Transaction(connection)


def _metadata_rows(snapshot: MediaSnapshot) -> MetadataRows:
    item = snapshot.item
    pairs = frozenset() if snapshot.hidden else frozenset(pair_ids(item.project, item.metadata.items()))
    return MetadataRows(item.id, item.original.kind if item.original else None, item.created_at, pairs)


def _replaced(row: asyncpg.Record) -> MetadataRows | None:
    if row["replaced_pairs"] is None:
        return None
    pairs = frozenset(pair.hex for pair in row["replaced_pairs"])
    return MetadataRows(row["id"], row["replaced_kind"], row["replaced_created_at"], pairs)


def _media_row(snapshot: MediaSnapshot, metadata: MetadataRows) -> tuple[object, ...]:
    item, file = snapshot.item, snapshot.item.original
    return (
        item.id,
        item.project,
        item.version,
        snapshot.hidden,
        metadata.kind,
        item.created_at,
        item.updated_at,
        *((file.filesize, file.duration, file.width, file.height, file.fps) if file else (None,) * 5),
        item.filename,
        f"{{{','.join(metadata.pairs)}}}",
        item.model_dump_json(),
    )
