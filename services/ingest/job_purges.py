"""Removing ended jobs for good: when a customer asks for it, and when the retention of their project is over.

The row goes in the transaction that writes the event, by which the other services forget the job and its worker deletes
its output. What the settings of the installation say (`RETAIN_JOBS`) needs no event: each service deletes those rows
by itself. So the retention of a project may only be shorter.
"""

from dataclasses import dataclass

from chassis.core import logs
from chassis.core.ids import now_ms
from chassis.core.metrics import counter
from chassis.runtime.outbox import Outbox
from schemas.events import JobPurged
from schemas.ids import is_id
from schemas.job_resource import PurgeResource
from services.ingest.announcements import MAX_UNPUBLISHED
from services.ingest.cancellations import UnknownJob
from services.ingest.idempotency import IdempotencyKey
from services.ingest.store import Store

BATCH = 200
"""Short transactions: requests use the same database."""

log = logs.get_logger(__name__)
_purged = counter(
    "bitmill_jobs_purged", "Jobs removed before RETAIN_JOBS, by reason: request or retention.", ("service", "reason")
)


class JobNotEnded(Exception):
    """The job has no end yet."""


@dataclass(frozen=True)
class JobPurges:
    """Removes ended jobs. `batch` bounds a transaction, `max_unpublished` the events that wait for Kafka meanwhile."""

    store: Store
    outbox: Outbox
    batch: int = BATCH
    max_unpublished: int = MAX_UNPUBLISHED

    async def request(self, id: str, project: str, at: int, key: IdempotencyKey | None = None) -> PurgeResource:
        """Removes the job. A submission that was seen before, by its `key`, changes nothing.

        Raises UnknownJob and JobNotEnded.
        """
        if not is_id(id, "job", "task"):
            raise UnknownJob(id)
        async with self.store.transaction() as conn:
            if key is not None and not await self.store.use_submission(conn, key, project, id, at):
                return {"id": id, "status": "purged"}
            if not await self.store.purge_job(conn, id, project):
                if await self.store.job_run(conn, id, project) is None:
                    raise UnknownJob(id)
                raise JobNotEnded(id)
            await self.outbox.put(conn, JobPurged(job_id=id, project=project, at=at))
        self.outbox.wake()
        _purged.labels("ingest", "request").inc()
        log.info("job_purged", job_id=id, project=project)
        return {"id": id, "status": "purged"}

    async def expired(self) -> int:
        """One pass over the projects with a retention of their own; the number of jobs removed."""
        purged = 0
        for project, keep_s in (await self.store.short_retentions()).items():
            while (found := await self._batch(project, keep_s)) is not None:
                purged += found
                if found < self.batch:
                    break
        return purged

    async def _batch(self, project: str, keep_s: int) -> int | None:
        """How many were removed; None where another replica does this, or Kafka is behind."""
        async with self.store.transaction() as conn:
            if not await self.store.try_announcing(conn, self.max_unpublished):
                return None
            ids = await self.store.purge_expired_jobs(conn, project, keep_s, self.batch)
            at = now_ms()
            await self.outbox.put(conn, *[JobPurged(job_id=id, project=project, at=at) for id in ids])
        if ids:
            self.outbox.wake()
            _purged.labels("ingest", "retention").inc(len(ids))
            log.info("jobs_expired", project=project, jobs=len(ids))
        return len(ids)
