"""What the projection writes: one statement per batch. Requests read by `services.catalog.queries`.

Every list of snapshots has each id once and is in ascending order of ids: see `services.catalog.snapshots`.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from chassis.adapters.postgres import Connection, Pool, sql
from schemas.jobs import RANK
from schemas.keys import ApiKey, Revocation
from schemas.projects import Project
from services.catalog.filters import pair_ids
from services.catalog.job_changes import JobChange, JobState
from services.catalog.job_positions import give_positions, new_jobs
from services.catalog.snapshots import JobSnapshot, MediaSnapshot, PurgedJob, named_files

SQL = sql.load("services.catalog.sql")


class Transaction:
    """Writes that happen together or not at all."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def put_jobs(self, snapshots: Sequence[JobSnapshot]) -> dict[str, JobState | None]:
        """Inserts or updates what is newer than the stored rows, with the names of outputs.

        The ids of those, each with the state that was replaced; None for a new job.
        """
        if not snapshots:
            return {}
        new = await new_jobs(self._connection, snapshots)
        fresh = {id for ids in new.values() for id in ids}
        rows = [_job_row(snapshot, snapshot.id in fresh) for snapshot in snapshots]
        await self._connection.execute(SQL["prepare_incoming_jobs"])
        await self._connection.copy_records_to_table("incoming_jobs", records=rows)
        positions = await give_positions(self._connection, new)
        written = await self._connection.fetch(SQL["put_incoming_jobs"], list(positions), list(positions.values()))
        return {id: None if rank is None else JobState(run, rank, at) for id, run, rank, at in written}

    async def put_job_events(self, changes: Sequence[JobChange]) -> None:
        """Records what has changed, in its order. The last statement of its transaction: until the commit nobody else
        records a change of the same projects."""
        if changes:
            await self._connection.execute(SQL["put_job_events"], *_columns(changes, 7))

    async def purge_jobs(self, purged: Sequence[PurgedJob]) -> list[str]:
        """Deletes jobs for good, known or not yet; the ids of those that were there."""
        ids, projects = [each.id for each in purged], [each.project for each in purged]
        # A transaction that writes one of them has committed before this, or sees the mark.
        await self._connection.execute(SQL["lock_jobs_for_purge"])
        await self._connection.execute(SQL["mark_purged_jobs"], ids, projects)
        return [row["id"] for row in await self._connection.fetch(SQL["delete_purged_jobs"], ids, projects)]

    async def put_media(self, snapshots: Sequence[MediaSnapshot]) -> set[str]:
        """Inserts or updates what is newer than the stored rows, with its metadata and names; the ids of those."""
        if not snapshots:
            return set()
        rows = [_media_row(snapshot) for snapshot in snapshots]
        files = [
            (snapshot.item.id, path, file.key, file.content_type)
            for snapshot in snapshots
            for path, file in named_files(snapshot).items()
        ]
        owners, paths, *stored = _columns(files, 4)
        found = await self._connection.fetch(SQL["put_media"], *_columns(rows, 15), owners, paths, *stored)
        replaced = [row["id"] for row in found if row["replaced"]]
        if replaced:
            await self._connection.execute(SQL["delete_replaced_metadata"], replaced)
            await self._connection.execute(SQL["delete_replaced_files"], replaced, owners, paths)
        return {row["id"] for row in found}

    async def put_keys(self, keys: Sequence[ApiKey]) -> None:
        rows = [(key.id, key.hash, key.model_dump_json(), key.revoked_at) for key in keys]
        await self._connection.execute(SQL["put_keys"], *_columns(rows, 4))

    async def put_projects(self, projects: Sequence[Project]) -> None:
        rows = [
            (project.id, project.signed, project.version, project.rate_limit, project.key_rate_limit)
            for project in projects
        ]
        await self._connection.execute(SQL["put_projects"], *_columns(rows, 5))

    async def revoke_keys(self, revocations: Sequence[Revocation]) -> None:
        ids = [each.key_id for each in revocations]
        await self._connection.execute(SQL["revoke_keys"], ids, [each.revoked_at for each in revocations])


class Store:
    """Opens transactions on the pool of the projection."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        async with self._pool.acquire() as connection, connection.transaction():
            yield Transaction(connection)


def _columns(rows: Sequence[tuple[Any, ...]], count: int) -> Sequence[Sequence[Any]]:
    """The rows as parallel arrays: what `unnest` takes."""
    return list(zip(*rows, strict=True)) if rows else [()] * count


def _job_row(snapshot: JobSnapshot, new: bool) -> tuple[Any, ...]:
    return (
        snapshot.id,
        snapshot.project,
        snapshot.kind,
        snapshot.status,
        snapshot.input,
        RANK[snapshot.status],
        snapshot.updated_at,
        snapshot.event_json.decode(),
        snapshot.json_path,
        snapshot.media_id,
        *(snapshot.output or (None, None, None)),
        snapshot.created_at,
        snapshot.run,
        _array(pair_ids(snapshot.project, snapshot.metadata) if new else []),
    )


def _array(texts: Sequence[str]) -> str:
    """As Postgres writes an array; of texts that need no quotes."""
    return f"{{{','.join(texts)}}}"


def _media_row(snapshot: MediaSnapshot) -> tuple[Any, ...]:
    item, file = snapshot.item, snapshot.item.original
    pairs = [] if snapshot.hidden else sorted(pair_ids(item.project, item.metadata.items()))
    return (
        item.id,
        item.project,
        item.version,
        snapshot.hidden,
        file.kind if file else None,
        item.created_at,
        item.updated_at,
        *((file.filesize, file.duration, file.width, file.height, file.fps) if file else (None,) * 5),
        item.filename,
        _array(pairs),
        snapshot.event_json.decode(),
    )
