"""Results of jobs: ingest records that a job has ended, and attaches outputs to their media items."""

from collections.abc import Sequence
from dataclasses import dataclass

from chassis.adapters.postgres import Connection
from chassis.core import logs, tracing
from chassis.runtime.outbox import Outbox
from schemas.events import MediaUpdated
from schemas.jobs import Job
from services.ingest import transitions
from services.ingest.store import Store

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class JobResults:
    """Applies finished jobs. Each may come twice and in any order."""

    store: Store
    outbox: Outbox

    async def apply(self, jobs: Sequence[Job], at: int) -> None:
        """Records the ends of `jobs`, and publishes each media item that their outputs change, in one transaction."""
        async with self.store.transaction() as conn:
            await self.store.end_jobs(conn, jobs)
            changed = await self._attach(conn, [job for job in jobs if _attaches(job)], at)
        if changed:
            self.outbox.wake()

    async def _attach(self, conn: Connection, jobs: Sequence[Job], at: int) -> bool:
        if not jobs:
            return False
        stored = await self.store.lock_media_items(conn, {job.media_id for job in jobs if job.media_id is not None})
        items, traces = dict(stored), dict[str, str]()
        for job in jobs:
            item = items.get(job.media_id or "")
            changed = transitions.attached(item, job, at) if item and item.project == job.project else None
            if changed is not None:
                items[changed.id] = changed
                if (trace := tracing.traceparent(job.id)) is not None:
                    traces[changed.id] = trace
        changes = [item for id, item in items.items() if item is not stored[id]]
        if changes:
            await self.store.update_media_items(conn, changes)
            with tracing.subjects(traces):
                await self.outbox.put(conn, *[MediaUpdated(media=item) for item in changes])
        return bool(changes)


def _attaches(job: Job) -> bool:
    if job.media_id is None:
        return False
    if job.status != "succeeded":
        # The item stays as it is: its original is fine, and only this derived file is missing.
        fault = job.error.kind if job.error else None
        log.warning("derived_file_failed", job_id=job.id, media_id=job.media_id, ref=job.ref, fault=fault)
        return False
    return True
