"""Jobs as customers and producers ask for them: built, written down with their event, or recognised as asked before."""

from typing import cast

from chassis.adapters.postgres import Connection
from chassis.runtime.outbox import Outbox
from schemas.events import JobCreated
from schemas.jobs import Job
from services.ingest.batch import Batch
from services.ingest.claims import Claim
from services.ingest.requests import JobBody
from services.ingest.store import Insert, Store


def queued(body: JobBody, *, id: str, project: str, at: int) -> Job:
    """The new job. Its options are those that were sent, without defaults: customers see what they wrote."""
    return Job.queued(
        id=id,
        project=project,
        kind=body.kind,
        input=body.input,
        options=body.options.model_dump(mode="json", exclude_unset=True),
        metadata=body.metadata,
        at=at,
        webhook_url=body.webhook_url,
    )


class Jobs:
    """Accepts jobs. Each is written down together with its event: in one statement, or in one transaction."""

    def __init__(self, store: Store, outbox: Outbox) -> None:
        self._store = store
        self._outbox = outbox
        self._batch: Batch[tuple[Job, Insert]] = Batch(self._store.job_writer)

    async def accept(self, job: Job) -> None:
        """Writes the job down. Those that arrive at the same time share a round trip and a commit."""
        asked = _Asked()
        # Here, in the request's own context, because events carry its trace.
        await self._outbox.put(cast(Connection, asked), JobCreated(job=job))
        await self._batch.add((job, asked.insert))
        self._outbox.wake()

    async def accept_once(self, job: Job, claim: Claim, response: bytes | None = None) -> bool:
        """Writes the job down with its claim; False where the claim was made before.

        `response` is what a repetition of the request will get.
        """
        async with self._store.transaction() as conn:
            if not await self._store.claim(
                conn, claim, project=job.project, resource_id=job.id, at=job.created_at, response=response
            ):
                return False
            await self._store.add_jobs(conn, [job])
            await self._outbox.put(conn, JobCreated(job=job))
        self._outbox.wake()
        return True


class _Asked:
    """Stands in for a connection: keeps the one insert that the outbox asks for, so that it is sent with ours."""

    insert: Insert

    async def execute(self, query: str, *arguments: object) -> str:
        self.insert = Insert(query, arguments)
        return ""
