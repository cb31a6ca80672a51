"""What a worker's Kafka handlers do: one short write each into the ledger, repeatable as messages are."""

from collections.abc import Awaitable, Callable

from chassis.ledger import Done, Item, Ledger
from chassis.postgres import Connection, Pool
from schemas.jobs import Job, JobKind

Estimate = Callable[[Job], float]
"""How many seconds of work a job will probably be. What waits is added up by it, and workers are added by the sum."""


class Intake:
    """Takes in the jobs of the kind that this worker does; the rest is somebody else's."""

    def __init__(
        self,
        pool: Pool,
        ledger: Ledger,
        kind: JobKind,
        estimate: Estimate,
        on_cancel: Callable[[Item], Awaitable[Done]],
    ) -> None:
        self._pool = pool
        self._ledger = ledger
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
            unwanted = await self._ledger.unwanted(conn, [job.id for job in ours])
        self._ledger.wake()
        # Topics keep no order between each other: a wish may overtake its job. It must not wait for a free worker.
        for id in unwanted:
            await self.cancel(id)

    async def _add(self, conn: Connection, job: Job) -> None:
        await self._ledger.add(
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
            item = await self._ledger.request_cancel(conn, job_id)
        self._ledger.wake()
        if item is not None:
            done = await self._on_cancel(item)
            await self._ledger.finish(item, done.state, *done.events)
