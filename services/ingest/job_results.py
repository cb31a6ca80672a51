"""Results of jobs: ingest records that a job has ended, and attaches outputs to their media items."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chassis.adapters.postgres import Connection
from chassis.core import logs, tracing
from chassis.runtime.outbox import Outbox
from schemas.events import MediaDeleted, MediaEvent, MediaFailed, MediaUpdated
from schemas.jobs import Job
from schemas.media import MediaItem
from services.ingest import input_rows, transitions
from services.ingest.inputs import Inputs
from services.ingest.replies import Replies
from services.ingest.store import Store

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class Attachments:
    """Makes the outputs of jobs files of their media items, in the transaction of the caller, who wakes the outbox.

    An item that is being imported gets them when its import has ended, one that was deleted keeps them to be restored.
    """

    store: Store
    outbox: Outbox

    async def of_jobs(self, conn: Connection, jobs: Sequence[Job], at: int) -> None:
        """Attaches the outputs of jobs that have just succeeded."""
        wanted = {job.media_id for job in jobs if job.media_id is not None}
        items = await self.store.lock_media_items(conn, wanted) if wanted else {}
        imported = {id: item for id, item in items.items() if item.status != "processing"}
        await self._attach(conn, imported, jobs, at)

    async def of_item(self, conn: Connection, item: MediaItem, at: int) -> None:
        """Attaches what jobs have made for the item during its import, which has ended in this transaction."""
        await self._attach(conn, {item.id: item}, await input_rows.succeeded_jobs_of_item(conn, item.id), at)

    async def _attach(self, conn: Connection, stored: Mapping[str, MediaItem], jobs: Sequence[Job], at: int) -> None:
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
                await self.outbox.put(conn, *map(_event, changes))


def _event(item: MediaItem) -> MediaEvent:
    match item.status:
        case "deleted":
            return MediaDeleted(media=item)
        case "failed":
            return MediaFailed(media=item)
        case _:
            return MediaUpdated(media=item)


@dataclass(frozen=True)
class JobResults:
    """Applies finished jobs. Each may come twice and in any order."""

    store: Store
    outbox: Outbox
    attachments: Attachments
    inputs: Inputs | None = None
    replies: Replies | None = None

    async def apply(self, jobs: Sequence[Job], at: int) -> None:
        """Records the ends of `jobs`, attaches their outputs to media items, and lets jobs go on that wait for them, in
        one transaction."""
        async with self.store.transaction() as conn:
            remembered = await self.store.end_jobs(conn, jobs)
            if self.replies is not None and remembered:
                await self.replies.ended(conn, jobs, remembered, at)
            await self.attachments.of_jobs(conn, [job for job in jobs if _attaches(job)], at)
            if self.inputs is not None:
                await self.inputs.release(conn, [job.id for job in jobs])
        self.outbox.wake()
        if self.replies is not None and remembered:
            self.replies.added.notify()


def _attaches(job: Job) -> bool:
    if job.media_id is None:
        return False
    if job.status != "succeeded":
        # The item stays as it is: its original is fine, and only this derived file is missing.
        fault = job.error.kind if job.error else None
        log.warning("derived_file_failed", job_id=job.id, media_id=job.media_id, ref=job.ref, fault=fault)
        return False
    return True
