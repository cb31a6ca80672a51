"""Media items as customers and producers submit them: written down with their import, and announced, or refused."""

from dataclasses import dataclass

from chassis.runtime.job_queue import JobQueue
from chassis.runtime.outbox import Outbox
from schemas.events import MediaAccepted
from schemas.media import MediaItem
from services.ingest import names
from services.ingest.claims import Claim
from services.ingest.store import Store

IMPORT = "import"
"""The kind of queue item that fetches the file of a media item; its id is the media item's."""


@dataclass(frozen=True)
class MediaItems:
    """Accepts media items."""

    store: Store
    queue: JobQueue
    outbox: Outbox

    async def accept(self, item: MediaItem, url: str, claim: Claim | None = None) -> bool:
        """Writes down the item, its import from `url` and its event; False where the claim was made before.

        Raises NameTaken. From here on the item survives any crash, because its import is in the queue.
        """
        async with self.store.transaction() as conn:
            if claim is not None and not await self.store.claim(
                conn, claim, project=item.project, resource_id=item.id, at=item.created_at, response=None
            ):
                return False
            if item.filename is not None:
                path = names.original_path(item.folder, item.filename)
                await self.store.reserve_name(conn, item.project, path, item.id)
            await self.store.add_media(conn, item)
            await self.queue.add(conn, id=item.id, project=item.project, kind=IMPORT, payload={"url": url})
            await self.outbox.put(conn, MediaAccepted(media=item))
        self.queue.wake()
        self.outbox.wake()
        return True
