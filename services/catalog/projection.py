"""From events to rows: each event may come twice and in any order, and the same rows come out.

A job's snapshot wins by `schemas.jobs.supersedes`, a media item's by its version, a key's revocation for ever.
"""

from collections.abc import Sequence

from chassis.core import logs
from schemas.events import (
    JobCancelled,
    JobCreated,
    JobFailed,
    JobProgressed,
    JobStarted,
    JobSucceeded,
    KeyChanged,
    MediaAccepted,
    MediaCreated,
    MediaDeleted,
    MediaFailed,
    MediaPurged,
    MediaRestored,
    MediaUpdated,
)
from schemas.jobs import Job
from schemas.media import MediaItem
from services.catalog.arrivals import Arrivals, file_name
from services.catalog.filters import pair_hashes
from services.catalog.rows import FileRow, files_of_job, files_of_media
from services.catalog.store import Store, Transaction

JobResults = JobStarted | JobSucceeded | JobFailed | JobCancelled
JobEvents = JobCreated | JobProgressed | JobResults
MediaChanges = MediaAccepted | MediaFailed | MediaUpdated | MediaDeleted | MediaRestored | MediaPurged

log = logs.get_logger(__name__)


class Projection:
    """Writes what events tell, then wakes those who wait for it."""

    def __init__(self, store: Store, arrivals: Arrivals) -> None:
        self._store = store
        self._arrivals = arrivals

    async def job(self, event: JobEvents) -> None:
        await self._job(event.job, quietly=isinstance(event, JobProgressed))

    async def media_created(self, event: MediaCreated) -> None:
        await self._media(event.media, hidden=False)
        for job in event.jobs:
            await self._job(job)

    async def media_changed(self, event: MediaChanges) -> None:
        await self._media(event.media, hidden=isinstance(event, MediaDeleted | MediaPurged))

    async def key(self, event: KeyChanged) -> None:
        await self._store.put_key(event.key)
        self._arrivals.announce(event.key.hash)

    async def _job(self, job: Job, *, quietly: bool = False) -> None:
        files = files_of_job(job)
        if files:
            async with self._store.transaction() as transaction:
                news = await transaction.put_job(job)
                if news:
                    await transaction.put_files(job.id, files)
        else:
            news = await self._store.put_job(job)
        self._announce(job.id, files)
        if news:
            told = log.debug if quietly else log.info
            told("projected", job_id=job.id, status=job.status, project=job.project)

    async def _media(self, item: MediaItem, *, hidden: bool) -> None:
        hidden = hidden or item.status == "deleted"
        files = [] if hidden else files_of_media(item)
        async with self._store.transaction() as transaction:
            news = await _put_media(transaction, item, files, hidden)
        self._announce(item.id, files)
        if news:
            log.info("projected", media_id=item.id, status=item.status, version=item.version, project=item.project)

    def _announce(self, id: str, files: Sequence[FileRow]) -> None:
        self._arrivals.announce(id)
        for file in files:
            self._arrivals.announce(file_name(file.project, file.path))


async def _put_media(transaction: Transaction, item: MediaItem, files: Sequence[FileRow], hidden: bool) -> bool:
    """Whether the snapshot was news."""
    before = await transaction.lock_media(item.id)
    if before is not None and item.version <= before.version:
        return False
    pairs = [] if hidden else pair_hashes(item.project, list(item.metadata.items()))
    kind = item.original.kind if item.original else None
    if before is None or (set(before.pairs), before.kind, before.created_at) != (set(pairs), kind, item.created_at):
        if before is not None:
            await transaction.drop_pairs(item.id, before)
        await transaction.add_pairs(item.id, pairs, kind, item.created_at)
    await transaction.replace_files(item.id, files)
    await transaction.put_media(item, hidden, pairs)
    return True
