"""Kafka in, for every worker: jobs to queue and jobs to cancel. Each batch is a few short, idempotent statements."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from faststream.kafka import KafkaBroker

from chassis.adapters.kafka.consumer import subscribe
from chassis.adapters.postgres import Pool
from chassis.core import logs, tracing
from chassis.runtime.job_queue import Complete, JobQueue, NewItem, QueueItem
from schemas.base import Unknown
from schemas.events import CancelRequested, JobCreated, JobPurged, MediaCreated
from schemas.jobs import Job, JobKind, Priority
from schemas.topics import JOB_CONTROL, JOB_CREATED, MEDIA_CREATED

log = logs.get_logger(__name__)

Estimate = Callable[[Job, float | None], float]
"""Seconds of work that a job will probably take, from the duration of its input in seconds if that is known.

Autoscaling uses the sum over the queued jobs; long work does not get the work slot that is kept for short work."""


PRIORITIES: Mapping[Priority | Unknown, int] = {"low": -1, "normal": 0, "unknown": 0, "high": 1}
"""The queue serves higher ones of a project first."""


class JobIntake:
    """Queues the jobs of some kinds; the others are another worker's. Known runs of jobs are left as they are, and
    those that wait for their input are not queued yet."""

    def __init__(
        self,
        pool: Pool,
        queue: JobQueue,
        kinds: tuple[JobKind, ...],
        estimate: Estimate,
        on_cancel: Callable[[QueueItem], Awaitable[Complete]],
    ) -> None:
        self._pool = pool
        self._queue = queue
        self._kinds = frozenset(kinds)
        self._estimate = estimate
        self._on_cancel = on_cancel

    async def created(self, events: Sequence[JobCreated]) -> None:
        """Queues new jobs. Those that are announced again and have ended get their ends published again."""
        await self.enqueue([event.job for event in events])
        repeated = [event.job.id for event in events if event.repeated and event.job.kind in self._kinds]
        if not repeated:
            return
        async with self._pool.acquire() as conn:
            ids = await self._queue.repeat_final_events(conn, repeated)
        if ids:
            log.info("job_ends_repeated", job_ids=ids)

    async def purged(self, events: Sequence[JobPurged]) -> None:
        """Forgets all but the ids of jobs that have ended; what they have stored is deleted first, elsewhere."""
        if not events:
            return
        async with self._pool.acquire() as conn:
            await self._queue.request_erasure(conn, {event.job_id: event.project for event in events})
        self._queue.erasures.notify()

    async def media_created(self, events: Sequence[MediaCreated]) -> None:
        """Queues the jobs of new media items, in the traces of the items."""
        traces = {job.id: tracing.traceparent(event.subject()) for event in events for job in event.jobs}
        await self.enqueue([job for event in events for job in event.jobs], traces)

    async def enqueue(self, jobs: Sequence[Job], traces: Mapping[str, str | None] = MappingProxyType({})) -> None:
        """Queues the jobs of this worker's kinds, in one statement. `traces`: by job id, where not those of the ids."""
        mine = [job for job in jobs if job.kind in self._kinds and job.waits_for is None]
        latest = {job.id: job for job in sorted(mine, key=lambda job: job.run)}
        items = [self._item(job, traces.get(job.id)) for job in latest.values()]
        if not items:
            return
        async with self._pool.acquire() as conn:
            await self._queue.add_many(conn, items)
            cancelled = await self._queue.pending_cancellations(conn, [item.id for item in items])
        self._queue.wake()
        if cancelled:
            # Topics have no order between them: a cancellation may come before its job. It does not wait for a slot.
            await self.cancel_of_projects((job.project, job.id, job.run) for job in jobs if job.id in cancelled)

    async def cancel_of_projects(self, cancellations: Iterable[tuple[str, str, int]]) -> None:
        """Cancels jobs by their project, id and run: one of another project than the request's stays as it is."""
        by_project: dict[str, dict[str, int]] = {}
        for project, id, run in cancellations:
            runs = by_project.setdefault(project, {})
            runs[id] = max(run, runs.get(id, 1))
        for project, runs in by_project.items():
            await self.cancel(list(runs), runs, project)

    async def cancel(
        self, job_ids: Sequence[str], runs: Mapping[str, int] = MappingProxyType({}), project: str | None = None
    ) -> None:
        """Ends queued jobs at once; a running one is stopped by the worker that runs it.

        `runs` are those that are to be cancelled, by job, the first by default; `project` is that of the jobs.
        """
        async with self._pool.acquire() as conn:
            items = await self._queue.request_cancel(conn, *job_ids, runs=runs, project=project)
        self._queue.wake()
        for item in items:
            outcome = await self._on_cancel(item)
            await self._queue.finish(item, outcome.state, *outcome.events)

    def _item(self, job: Job, traceparent: str | None = None) -> NewItem:
        return NewItem(
            id=job.id,
            project=job.project,
            kind=job.kind,
            payload=job.model_dump(mode="json"),
            priority=PRIORITIES[job.priority],
            estimate_s=self._estimate(job, job.source.duration if job.source else None),
            traceparent=traceparent,
            run=job.run,
        )


def register(broker: KafkaBroker, intake: JobIntake) -> None:
    """Subscribes a worker to its topics."""

    @subscribe(broker, JOB_CREATED)
    async def on_job_created(events: Sequence[JobCreated | JobPurged]) -> None:
        await intake.created([event for event in events if isinstance(event, JobCreated)])
        # Afterwards: nothing follows the removal of a job.
        await intake.purged([event for event in events if isinstance(event, JobPurged)])

    @subscribe(broker, MEDIA_CREATED)
    async def on_media_created(events: Sequence[MediaCreated]) -> None:
        await intake.media_created(events)

    @subscribe(broker, JOB_CONTROL)
    async def on_cancel_requested(events: Sequence[CancelRequested]) -> None:
        await intake.cancel_of_projects((event.project, event.job_id, event.run) for event in events)
