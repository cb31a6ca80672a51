"""Cancelling jobs: a request is stored together with its event, and the worker that has the job ends it.

The response waits a moment for the end, which comes back on `job.results`: mostly it is there within half a second.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from chassis.core import logs
from chassis.runtime.outbox import Outbox
from schemas.events import CancelRequested, JobCreated
from schemas.ids import is_id
from schemas.job_resource import CancellationResource
from schemas.jobs import Status
from services.ingest import input_rows
from services.ingest.idempotency import IdempotencyKey
from services.ingest.store import Store

PAUSES_S = (0.1, 0.1, 0.2, 0.4, 0.8, 1.4)
"""Between two looks for the end. A request that waits holds no connection to Postgres."""

log = logs.get_logger(__name__)


class UnknownJob(Exception):
    """The project has no job with this id."""


class JobEnded(Exception):
    """The job has ended in another way: `status`."""

    def __init__(self, status: Status) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True)
class Cancellations:
    """Takes requests to cancel jobs. A repeated one changes nothing."""

    store: Store
    outbox: Outbox
    pauses_s: Sequence[float] = PAUSES_S

    async def submit(self, id: str, project: str, at: int, key: IdempotencyKey) -> None:
        """Requests it without waiting for the end. Of a submission that was seen before, by its `key`, nothing changes.

        Raises UnknownJob and JobEnded.
        """
        await self._store_request(id, project, at, key)

    async def request(self, id: str, project: str, at: int) -> CancellationResource:
        """Requests it, and says whether the job has ended by now. Raises UnknownJob and JobEnded."""
        ended = await self._store_request(id, project, at)
        for pause_s in self.pauses_s:
            if ended is not None:
                break
            await asyncio.sleep(pause_s)
            ended = await self.store.job_end(id)
        if ended is not None and ended != "cancelled":
            raise JobEnded(ended)
        return {"id": id, "status": "cancelling" if ended is None else "cancelled"}

    async def _store_request(self, id: str, project: str, at: int, key: IdempotencyKey | None = None) -> Status | None:
        """How the job has ended, if it has."""
        if not is_id(id, "job", "task"):
            raise UnknownJob(id)
        async with self.store.transaction() as conn:
            if key is not None and not await self.store.use_submission(conn, key, project, id, at):
                return None
            end = await self.store.request_cancellation(conn, id, project, at)
            if end is None:
                raise UnknownJob(id)
            if end.status is not None:
                if key is not None and end.status != "cancelled":
                    raise JobEnded(end.status)  # nothing is stored: its redelivery is refused as well
                return end.status
            # The worker ends it, also where it has been waiting for its input until now.
            waiting = await input_rows.stop_waiting(conn, id, project)
            if waiting is not None:
                await self.outbox.put(conn, JobCreated(job=waiting))
            await self.outbox.put(conn, CancelRequested(job_id=id, project=project, at=at, run=end.run))
        self.outbox.wake()
        log.info("job_cancel_requested", job_id=id, project=project)
        return None
