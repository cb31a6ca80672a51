"""What a worker's Kafka handlers do: one short write each into the queue, repeatable as messages are."""

from collections.abc import Awaitable, Callable

from chassis.adapters.postgres import Connection, Pool
from chassis.runtime.job_queue import Complete, JobQueue, QueueItem
from schemas.jobs import Job, JobKind

Estimate = Callable[[Job], float]
"""How many seconds of work a job will probably be. What waits is added up by it, and workers are added by the sum."""


class JobIntake:
    """Takes in the jobs of the kind that this worker does; the rest is somebody else's."""

    def __init__(
        self,
        pool: Pool,
        queue: JobQueue,
        kind: JobKind,
        estimate: Estimate,
        on_cancel: Callable[[QueueItem], Awaitable[Complete]],
    ) -> None:
        self._pool = pool
        self._queue = queue
        self._kind = kind
        self._estimate = estimate
        self._on_cancel = on_cancel

    async def accept(self, *jobs: Job) -> None:
        """Queues those that are ours; one that is known already stays as it is."""
        ours = [job for job in jobs if job.kind == self._kind]
        if not ours:
            return
        async with self._pool.acquire() as conn:
            async with conn.transaction():
                for job in ours:
                    await self._add(conn, job)
            pending_cancellations = await self._queue.pending_cancellations(conn, [job.id for job in ours])
        self._queue.wake()
        # Topics keep no order between each other: a wish may overtake its job. It must not wait for a free worker.
        for id in pending_cancellations:
            await self.cancel(id)

    async def _add(self, conn: Connection, job: Job) -> None:
        await self._queue.add(
            conn,
            id=job.id,
            project=job.project,
            kind=job.kind,
            payload=job.model_dump(mode="json"),
            estimate_s=self._estimate(job),
        )

    async def cancel(self, job_id: str) -> None:
        """A queued job ends here and now; a running one is stopped by the worker that has it."""
        async with self._pool.acquire() as conn:
            item = await self._queue.request_cancel(conn, job_id)
        self._queue.wake()
        if item is not None:
            done = await self._on_cancel(item)
            await self._queue.finish(item, done.state, *done.events)
