"""Changes that customers make to media items: title, folder and metadata; deletion and restoration.

Each is one transaction: the item's row, its names and its event. Files are not moved: a name points at an object.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from chassis.adapters.postgres import Connection
from chassis.core import logs
from chassis.core.ids import now_ms
from chassis.runtime.job_queue import JobQueue
from chassis.runtime.outbox import Outbox
from schemas.api import MediaPatch
from schemas.events import CancelRequested, Event, JobCreated, MediaDeleted, MediaRestored, MediaUpdated
from schemas.ids import is_id
from schemas.media import MediaItem
from schemas.media_resource import media_etag, names_etag
from services.ingest import input_rows, transitions
from services.ingest.inputs import Inputs
from services.ingest.name_takeover import NameTakeover
from services.ingest.store import Store

log = logs.get_logger(__name__)


class UnknownItem(Exception):
    """The project has no media item with this id, or it is deleted."""


class NotDeleted(Exception):
    """The item is not deleted, so that it cannot be restored."""


class VersionMismatch(Exception):
    """The item is not in the version that the customer has seen. `etag` is of its version now."""

    def __init__(self, etag: str) -> None:
        super().__init__(etag)
        self.etag = etag


class StillImported(Exception):
    """The item's file is being fetched: its names are not known yet."""


class NoFile(Exception):
    """The file of the deleted item was never stored, or is being removed: there is nothing to restore."""


@dataclass(frozen=True)
class MediaChanges:
    """`inputs` lets jobs end that wait for a deleted item. The methods raise UnknownItem.

    `if_match` is the request header: unless it names the item's version, VersionMismatch is raised and nothing changed.
    `restorable_for` ends before the files of a deleted item are removed, by more than a request can take.
    """

    store: Store
    queue: JobQueue
    outbox: Outbox
    takeover: NameTakeover
    inputs: Inputs
    restorable_for: timedelta

    async def edit(self, id: str, project: str, patch: MediaPatch, if_match: str | None = None) -> MediaItem:
        """Raises StillImported, NameTaken and MetadataOutOfBounds."""

        def edited(item: MediaItem) -> MediaItem:
            _require_version(item, if_match)
            if item.status == "processing":
                raise StillImported(id)
            return transitions.edited(item, patch, now_ms())

        return await self._change(id, project, edited, MediaUpdated, overwrite=patch.overwrite)

    async def restore(self, id: str, project: str) -> MediaItem:
        """Raises NotDeleted, NoFile, and NameTaken where another item has the name by now."""

        def restored(item: MediaItem) -> MediaItem:
            if item.status != "deleted":
                raise NotDeleted(id)
            if item.original is None or not recently:
                raise NoFile(id)
            return transitions.restored(item, now_ms())

        recently = await self.store.deleted_within(id, self.restorable_for)
        item = await self._change(id, project, restored, MediaRestored, deleted=True)
        log.info("media_restored", media_id=id, project=project)
        return item

    async def delete(self, id: str, project: str, if_match: str | None = None) -> None:
        """Hides the item and frees its names. Its import and the jobs for it that have not ended are cancelled."""
        at = now_ms()
        seen = await self.store.media_item(id) if is_id(id, "med") else None
        processing = seen is not None and seen.project == project and seen.status == "processing"
        async with self.store.transaction() as conn:
            # Before the item is locked: an import that ends locks its queue row first, then the item.
            imports = await self.queue.request_cancel(conn, id) if processing else []
            item = await self._locked(conn, id, project)
            if item.status == "deleted":
                raise UnknownItem(id)
            _require_version(item, if_match)
            deleted = transitions.deleted(item, at)
            await self.store.update_media_items(conn, [deleted])
            await self.store.release_names(conn, id)
            jobs = await input_rows.unfinished_jobs_of_item(conn, id)
            cancelled = [CancelRequested(job_id=job, project=project, at=at, run=run) for job, run in jobs.items()]
            await self.outbox.put(conn, MediaDeleted(media=deleted), *cancelled)
            # Those that wait for another input would end only when that is there.
            waiting = [await input_rows.stop_waiting(conn, job, project) for job in jobs]
            await self.outbox.put(conn, *[JobCreated(job=job) for job in waiting if job is not None])
            await self.inputs.release(conn, [id])
        self.outbox.wake()
        for queued in imports:
            await self.queue.finish(queued, "cancelled")
        log.info("media_deleted", media_id=id, project=project)

    async def _change(
        self,
        id: str,
        project: str,
        change: Callable[[MediaItem], MediaItem],
        event: Callable[..., Event],
        *,
        deleted: bool = False,
        overwrite: bool = False,
    ) -> MediaItem:
        async with self.store.transaction() as conn:
            item = await self._locked(conn, id, project)
            if item.status == "deleted" and not deleted:
                raise UnknownItem(id)
            changed = change(item)
            await self._rename(conn, changed, overwrite=overwrite)
            await self.store.update_media_items(conn, [changed])
            await self.outbox.put(conn, event(media=changed))
        self.outbox.wake()
        return changed

    async def _locked(self, conn: Connection, id: str, project: str) -> MediaItem:
        item = (await self.store.lock_media_items(conn, [id])).get(id) if is_id(id, "med") else None
        if item is None or item.project != project:
            raise UnknownItem(id)
        return item

    async def _rename(self, conn: Connection, item: MediaItem, *, overwrite: bool) -> None:
        """Its name is reserved, and no other. Raises NameTaken."""
        await self.store.release_names(conn, item.id)
        if overwrite:
            await self.takeover.take(conn, item)
        elif item.original_path is not None:
            await self.store.reserve_name(conn, item.project, item.original_path, item.id)


def _require_version(item: MediaItem, if_match: str | None) -> None:
    etag = media_etag(item)
    if if_match is not None and not names_etag(if_match, etag):
        raise VersionMismatch(etag)
