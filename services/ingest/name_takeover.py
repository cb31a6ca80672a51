"""`overwrite`: an item takes the name of another, which stays in the catalog with its file under the default name."""

from dataclasses import dataclass

from chassis.adapters.postgres import Connection
from chassis.core import logs
from chassis.core.ids import now_ms
from chassis.runtime.outbox import Outbox
from schemas.events import MediaUpdated
from schemas.media import MediaItem
from services.ingest import transitions
from services.ingest.errors import NameTaken
from services.ingest.store import Store

_TRIES = 10
"""Between the look for the holder and its lock another request can take the name: then the next holder is displaced."""

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class NameTakeover:
    """Takes names over, each in the transaction that changes the item which gets it."""

    store: Store
    outbox: Outbox

    async def take(self, conn: Connection, item: MediaItem) -> None:
        """Reserves the item's `original_path`; whoever has it gets another name and an event.

        The caller wakes the outbox after the commit. Raises NameTaken where many requests take the name at once.
        """
        path = item.original_path
        if path is None:
            return
        for _ in range(_TRIES):
            holder = await self.store.name_holder(conn, item.project, path)
            if holder is None or holder == item.id:
                try:
                    await self.store.reserve_name(conn, item.project, path, item.id)
                except NameTaken:
                    continue
                return
            await self._displace(conn, item.project, path, holder)
        raise NameTaken(path)

    async def _displace(self, conn: Connection, project: str, path: str, id: str) -> None:
        """Gives the item another name, unless it has released this one meanwhile."""
        # The item's row before its name, as all changes of items lock them.
        holder = (await self.store.lock_media_items(conn, [id])).get(id)
        if holder is None or await self.store.name_holder(conn, project, path) != id:
            return
        displaced = transitions.displaced(holder, now_ms())
        await self.store.release_names(conn, id)
        if displaced.original_path is not None:
            await self.store.reserve_name(conn, project, displaced.original_path, id)
        await self.store.update_media_items(conn, [displaced])
        await self.outbox.put(conn, MediaUpdated(media=displaced))
        log.info("media_name_overwritten", media_id=id, project=project, filename=displaced.filename)
