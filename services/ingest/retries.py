"""Running jobs again that failed or were cancelled: the next run of the same job, which is announced as a new one is.

A run has one end. The row keeps how the earlier runs ended, and the events of the new run carry that.
"""

from dataclasses import dataclass

from chassis.core import logs
from chassis.runtime.outbox import Outbox
from schemas.events import JobCreated
from schemas.ids import is_id
from schemas.jobs import Job, Status
from services.ingest.cancellations import UnknownJob
from services.ingest.connection_rows import with_connections
from services.ingest.idempotency import IdempotencyKey
from services.ingest.inputs import Inputs
from services.ingest.store import Store

MAX_RUNS = 20
"""Of one job: its events carry how all of them ended."""

log = logs.get_logger(__name__)


class JobNotFailed(Exception):
    """The job has not ended (`status` is None), or has succeeded."""

    def __init__(self, status: Status | None) -> None:
        super().__init__(status)
        self.status = status


class TooManyRuns(Exception):
    """The job has been run `MAX_RUNS` times."""


class ConnectionDeleted(Exception):
    """The connection by which the job reaches its files was deleted."""


@dataclass(frozen=True)
class Retries:
    """Takes requests to run jobs again. Of several at a time one begins a run."""

    store: Store
    outbox: Outbox
    inputs: Inputs | None = None
    max_runs: int = MAX_RUNS

    async def request(self, id: str, project: str, at: int) -> Job:
        """The job, queued again. Raises UnknownJob, JobNotFailed, TooManyRuns and ConnectionDeleted."""
        job = await self._run_again(id, project, at, None)
        assert job is not None  # noqa: S101 - only a submission can be a repetition
        return job

    async def submit(self, id: str, project: str, at: int, key: IdempotencyKey) -> None:
        """As `request`. A submission that was seen before, by its `key`, changes nothing."""
        await self._run_again(id, project, at, key)

    async def _run_again(self, id: str, project: str, at: int, key: IdempotencyKey | None) -> Job | None:
        if not is_id(id, "job", "task"):
            raise UnknownJob(id)
        async with self.store.transaction() as conn:
            if key is not None and not await self.store.use_submission(conn, key, project, id, at):
                return None
            job = await self.store.run_again(conn, id, project, at, self.max_runs)
            if job is None:
                end = await self.store.job_run(conn, id, project)
                if end is None:
                    raise UnknownJob(id)
                if end.status in ("failed", "cancelled"):
                    raise TooManyRuns(id)
                raise JobNotFailed(end.status)
            if self.inputs is not None and job.source is None and self.inputs.concerns(job):
                job = await self.inputs.refreshed(conn, job)
            [job] = await with_connections(conn, [job])
            if job.connection_id is not None and job.connection is None:
                raise ConnectionDeleted(job.connection_id)
            await self.outbox.put(conn, JobCreated(job=job))
        self.outbox.wake()
        log.info("job_retry_requested", job_id=id, project=project, run=job.run)
        return job
