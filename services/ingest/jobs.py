"""Accepting jobs: each is stored together with its event, in one statement that concurrent requests share."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import Context
from typing import Generic, TypeVar

from chassis.adapters.failure_policy import describe, is_outage
from chassis.adapters.postgres import Connection
from chassis.core.encryption import Keyring, protect_url
from chassis.core.metrics import counter
from chassis.runtime.outbox import Insert, Outbox
from schemas.events import JobCreated
from schemas.ids import derived
from schemas.jobs import Job, url_context
from services.ingest import input_rows
from services.ingest.idempotency import IdempotencyKey
from services.ingest.inputs import Inputs
from services.ingest.job_stores import JobAddresses, JobStore
from services.ingest.requests import WorkRequest, address_of
from services.ingest.store import DEADLINE_S, AlsoWrite, Store

MAX_BATCH = 100
"""Large enough to spread the cost of a statement and a commit, small enough that no request waits long for others."""

jobs_accepted = counter("bitmill_jobs_accepted", "Jobs accepted, by the way they came in.", ("service", "via"))

_NO_STORE = JobStore()

T = TypeVar("T")
Write = Callable[[Sequence[T]], Awaitable[None]]


def addresses_of(request: WorkRequest, id: str) -> JobAddresses:
    """Where the files of a request are, for the job with this id."""
    return JobAddresses(address_of(request), request.output, request.connection_id, id, request.kind, request.metadata)


def new_job(
    request: WorkRequest,
    *,
    id: str,
    project: str,
    at: int,
    keyring: Keyring | None = None,
    strip: bool = False,
    store: JobStore = _NO_STORE,
) -> Job:
    """The queued job or task of a request; `strip`: whether an import removes tags. Its options are those that were
    sent, without defaults: customers see their own.

    With a `keyring` the private parts of its addresses are encrypted. `store`: how its `s3://` addresses are reached.
    """
    input, encrypted_input = protect_url(keyring, address_of(request), url_context(project, "input"))
    webhook_url, encrypted_webhook_url = request.webhook_url, None
    if webhook_url is not None:
        webhook_url, encrypted_webhook_url = protect_url(keyring, webhook_url, url_context(project, "webhook_url"))
    return Job.queued(
        id=id,
        project=project,
        kind=request.kind,
        input=input,
        encrypted_input=encrypted_input,
        options=request.options.model_dump(mode="json", exclude_unset=True),
        metadata=request.metadata,
        at=at,
        webhook_url=webhook_url,
        encrypted_webhook_url=encrypted_webhook_url,
        media_id=request.media_id,
        ref=None if request.media_id is None else request.label or derived("file", id, "output"),
        atomic=not isinstance(request.input, str),
        strip=strip,
        priority=request.priority,
        destination=request.output,
        connection_id=store.connection_id,
        connection=store.access,
    )


class WriteUnavailable(ConnectionError):
    """The database did not take a batch of writes: an outage, after which the same request may be sent again."""


class BatchWriter(Generic[T]):
    """Combines small concurrent writes: items that arrive while a write is in progress share the next one.

    `open` gives the function that writes a list, all or none. It is entered when there is something to write and left
    when there is nothing more, so that a connection is taken once for a burst of requests. A list that fails for
    another reason than an outage is written item by item, so that a bad item fails alone. `deadline_s` is for one
    item, the wait for the write before it included.
    """

    def __init__(
        self,
        open: Callable[[], AbstractAsyncContextManager[Write[T]]],
        *,
        max_batch: int = MAX_BATCH,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._open = open
        self._max_batch = max_batch
        self._deadline_s = deadline_s
        self._waiting: deque[tuple[T, asyncio.Future[None]]] = deque()
        self._writer: asyncio.Task[None] | None = None

    async def add(self, item: T) -> None:
        """Returns when the item is written. Raises TimeoutError after the deadline, and what its write raised."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if self._writer is None or self._writer.done():
            # In a context of its own: it outlives the request that happens to start it.
            self._writer = asyncio.create_task(self._drain(), context=Context())
        async with asyncio.timeout(self._deadline_s):
            await done

    async def _drain(self) -> None:
        while batch := self._take():
            try:
                async with self._open() as write:
                    while batch:
                        await _write(write, batch)
                        batch = self._take()
            except Exception as error:  # noqa: BLE001 - every item of the batch gets it
                _fail(batch, error)
            except BaseException:
                for _, done in batch:
                    done.cancel()
                raise

    def _take(self) -> "list[tuple[T, asyncio.Future[None]]]":
        batch: list[tuple[T, asyncio.Future[None]]] = []
        while self._waiting and len(batch) < self._max_batch:
            item, done = self._waiting.popleft()
            if not done.done():  # otherwise the request was cancelled, or got a 503
                batch.append((item, done))
        return batch


async def _write(write: Write[T], batch: "list[tuple[T, asyncio.Future[None]]]") -> None:
    """Writes a batch and settles its futures. Raises outages only; then the futures that are left are not settled."""
    try:
        await write([item for item, _ in batch])
    except Exception as error:
        if is_outage(error):
            raise
        if len(batch) == 1:
            _set_exception(batch[0][1], error)
            return
        for entry in batch:
            await _write(write, [entry])
    else:
        for _, done in batch:
            if not done.done():
                done.set_result(None)


def _fail(batch: "list[tuple[T, asyncio.Future[None]]]", error: Exception) -> None:
    for _, done in batch:
        # One exception object each: every request adds its own traceback and context to the one it raises.
        own = WriteUnavailable(describe(error)) if is_outage(error) else RuntimeError(describe(error))
        own.__cause__ = error
        _set_exception(done, own)


def _set_exception(done: "asyncio.Future[None]", error: Exception) -> None:
    if not done.done():
        done.set_exception(error)


class JobWriter:
    """Stores accepted jobs, each with its event.

    `inputs` prepares those that name something of this installation: both methods raise InputRefused.
    """

    def __init__(
        self, store: Store, outbox: Outbox, *, inputs: Inputs | None = None, deadline_s: float = DEADLINE_S
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._inputs = inputs
        self._batches: BatchWriter[tuple[Job, Insert]] = BatchWriter(store.job_writer, deadline_s=deadline_s)

    async def accept(self, job: Job) -> None:
        """Stores a new job. Jobs that arrive at the same time share a round trip and a commit."""
        if self._inputs is not None and self._inputs.concerns(job):
            async with self._store.transaction() as conn:
                await self._add(conn, job)
            self._outbox.wake()
            return
        # The event is encoded here, in the request's own context, because it carries the request's trace.
        await self._batches.add((job, self._outbox.rows(JobCreated(job=job))))
        self._outbox.wake()

    async def accept_once(
        self, job: Job, key: IdempotencyKey, response: bytes | None = None, *, also: AlsoWrite | None = None
    ) -> bool:
        """Stores a job under an idempotency key; False where the key was used before.

        `response` is what a repetition of the request will get. `also` writes more in the same transaction.
        """
        async with self._store.transaction() as conn:
            if not await self._store.use_key(
                conn, key, project=job.project, resource_id=job.id, at=job.created_at, response=response
            ):
                return False
            await self._add(conn, job)
            if also is not None:
                await also(conn)
        self._outbox.wake()
        return True

    async def _add(self, conn: Connection, job: Job) -> None:
        concerned = self._inputs is not None and self._inputs.concerns(job)
        if self._inputs is not None and concerned:
            job = await self._inputs.prepared(conn, job)
        await self._store.add_jobs(conn, [job])
        if concerned:
            await input_rows.set_input(conn, job)
        await self._outbox.put(conn, JobCreated(job=job))
