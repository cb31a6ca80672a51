"""What became of jobs, as far as ingest cares: outputs are attached to their media items."""

from dataclasses import dataclass

from chassis.adapters.postgres import Connection
from chassis.core import logs
from chassis.runtime.outbox import Outbox
from schemas.events import MediaUpdated
from schemas.jobs import Job
from services.ingest import transitions
from services.ingest.store import Store

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class Results:
    """Takes the ends of jobs. Everything may come twice and in odd order."""

    store: Store
    outbox: Outbox

    async def ended(self, job: Job, at: int) -> None:
        """Remembers the end; an output that belongs to a media item changes the item, once."""
        async with self.store.transaction() as conn:
            await self.store.end_job(conn, job)
            changed = await self._attach(conn, job, at)
        if changed:
            self.outbox.wake()

    async def _attach(self, conn: Connection, job: Job, at: int) -> bool:
        if job.media_id is None:
            return False
        if job.status != "succeeded":
            # The item stays as it is: its original is fine, it only lacks this derivative.
            log.warning("derivative not made", media_id=job.media_id, ref=job.ref, fault=job.error and job.error.kind)
            return False
        item = await self.store.media_item_locked(conn, job.media_id, job.project)
        changed = transitions.attached(item, job, at) if item is not None else None
        if changed is None:
            log.debug("nothing to attach", media_id=job.media_id, ref=job.ref)
            return False
        await self.store.update_media(conn, changed)
        await self.outbox.put(conn, MediaUpdated(media=changed))
        return True
