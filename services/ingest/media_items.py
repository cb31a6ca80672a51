"""Accepting media items: each is stored together with its import and its event."""

from dataclasses import dataclass
from typing import Any

from chassis.core.encryption import Keyring, protect_url
from chassis.core.metrics import counter
from chassis.runtime.job_queue import JobQueue
from chassis.runtime.outbox import Outbox
from schemas.api import MediaRequest
from schemas.events import MediaAccepted
from schemas.jobs import url_context
from schemas.media import MediaItem
from services.ingest import names
from services.ingest.idempotency import IdempotencyKey
from services.ingest.store import AlsoWrite, Store
from services.ingest.upload_inputs import UploadInputs

IMPORT = "import"
"""The kind of queue item that fetches the file of a media item; its id is the media item's."""

media_accepted = counter("bitmill_media_accepted", "Media items accepted, by the way they came in.", ("service", "via"))


@dataclass(frozen=True)
class MediaWriter:
    """Stores accepted media items."""

    store: Store
    queue: JobQueue
    outbox: Outbox
    keyring: Keyring | None = None
    uploads: UploadInputs | None = None

    async def accept(
        self,
        item: MediaItem,
        request: MediaRequest,
        key: IdempotencyKey | None = None,
        *,
        also: AlsoWrite | None = None,
    ) -> bool:
        """Stores the item, its import and its event; False where the idempotency key was used before.

        From then on the item survives any crash, because its import is in the queue. With `overwrite` it takes its name
        from another item once its file is stored; without, raises NameTaken where another has it. `also` writes more in
        the same transaction. Raises UploadRefused.
        """
        stored = None
        if self.uploads is not None:
            stored = await self.uploads.file_of(request.url, item.project, item.id, item.created_at, "url")
        shown, encrypted = protect_url(self.keyring, request.url, url_context(item.project, "media_url"))
        async with self.store.transaction() as conn:
            if key is not None and not await self.store.use_key(
                conn, key, project=item.project, resource_id=item.id, at=item.created_at, response=None
            ):
                return False
            if item.filename is not None and not request.overwrite:
                path = names.original_path(item.folder, item.filename)
                await self.store.reserve_name(conn, item.project, path, item.id)
            await self.store.add_media(conn, item)
            payload: dict[str, Any] = {
                "url": shown,
                "encrypted_url": encrypted,
                "strip": request.strip,
                "overwrite": request.overwrite,
            }
            if stored is not None:
                payload["stored_key"] = stored.key
            await self.queue.add(conn, id=item.id, project=item.project, kind=IMPORT, payload=payload)
            await self.outbox.put(conn, MediaAccepted(media=item))
            if also is not None:
                await also(conn)
        self.queue.wake()
        self.outbox.wake()
        return True

    async def accept_without_file(self, item: MediaItem, key: IdempotencyKey | None = None) -> bool:
        """Stores an item that has no file, and its event; False where the idempotency key was used before."""
        async with self.store.transaction() as conn:
            if key is not None and not await self.store.use_key(
                conn, key, project=item.project, resource_id=item.id, at=item.created_at, response=None
            ):
                return False
            await self.store.add_media(conn, item)
            await self.outbox.put(conn, MediaAccepted(media=item))
        self.outbox.wake()
        return True
