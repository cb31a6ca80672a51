"""Faults of the kind that `make chaos` has to catch, put into a service process from outside.

python -m tests.chaos.seeded_faults FAULT serve SERVICE

The product has no code for this: each function here replaces a part of it before the command runs.
"""

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chassis.adapters.kafka.record_decoder import ReceivedRecord
from chassis.adapters.kafka.record_handler import RecordHandler
from chassis.adapters.postgres.connection import GuardedConnection
from chassis.runtime.job_queue import FinalState, JobQueue, QueueItem
from chassis.runtime.job_queue.claims import Claims
from chassis.runtime.job_queue.item import Renewal, Write
from cli.__main__ import main
from schemas.events import Event
from services.ingest.announcements import Announced, Announcements

GAP_SECONDS = 0.3
"""Between two steps that a process may die in."""
LONG_GAP_SECONDS = 2.0
_FENCE = "worker = $2 AND attempt = $3 AND state = 'running'"
_NO_FENCE = "$2::text IS NOT NULL AND $3::integer IS NOT NULL"
_tasks: set[asyncio.Task[None]] = set()


def ack_before_insert() -> None:
    """The offsets of a batch are committed before its rows are written."""
    handle = RecordHandler.__call__

    async def later(
        handler: RecordHandler, batch: Sequence[ReceivedRecord], before: "asyncio.Task[None] | None"
    ) -> None:
        if before is not None:
            await asyncio.wait([before])
        await asyncio.sleep(GAP_SECONDS)
        await handle(handler, batch)

    last: dict[RecordHandler, asyncio.Task[None]] = {}

    async def call(self: RecordHandler, batch: Sequence[ReceivedRecord]) -> None:
        task = last[self] = asyncio.create_task(later(self, batch, last.get(self)))
        _tasks.add(task)
        task.add_done_callback(_ended)

    _replace(RecordHandler, "__call__", call)


def no_fence() -> None:
    """The transaction that ends an attempt does not ask whether the item is still this worker's."""
    _replace_queries({"finish": ((_FENCE, _NO_FENCE),), "retry": ((_FENCE, _NO_FENCE),)})
    ask = Claims.renew

    async def renew(self: Claims, items: Sequence[QueueItem]) -> list[Renewal]:
        """Nobody else tells the worker either."""
        return ["held" if result == "lost" else result for result in await ask(self, items)]

    _replace(Claims, "renew", renew)
    write = JobQueue.finish

    async def finish(self: JobQueue, item: QueueItem, *arguments: Any, **options: Any) -> None:
        """Later, so that a worker is often frozen right before it writes."""
        await asyncio.sleep(LONG_GAP_SECONDS)
        await write(self, item, *arguments, **options)

    _replace(JobQueue, "finish", finish)


def event_outside_transaction() -> None:
    """The item ends in one transaction, and its events go to the outbox in the next."""
    put = JobQueue.finish

    async def finish(
        self: JobQueue, item: QueueItem, state: FinalState, *events: Event, also: Write | None = None
    ) -> None:
        await put(self, item, state, also=also)
        await asyncio.sleep(GAP_SECONDS)
        pool: Any = vars(self)["_pool"]
        outbox: Any = vars(self)["_outbox"]
        async with pool.acquire() as conn, conn.transaction():
            await outbox.put(conn, *events)
        outbox.wake()

    _replace(JobQueue, "finish", finish)


def attempt_counted_at_end() -> None:
    """An attempt counts when it ends, so that one that ends with its process never does."""
    counted = ("worker = NULL", "worker = NULL, attempt = attempt + 1")
    _replace_queries(
        {
            "claim": (
                ("attempt = attempt + 1", "attempt = attempt"),
                ("job_queue.worker <> $1 AS worker", "job_queue.worker <> $1 AND false AS worker"),
            ),
            "finish": (counted,),
            "retry": (counted,),
        }
    )


def no_flush() -> None:
    """Nothing is announced again. The harness starts a Kafka that does not flush, and loses records in a power cut."""

    async def repeat(_: Announcements) -> Announced:
        return Announced()

    _replace(Announcements, "repeat", repeat)


def swallowed_cancellation() -> None:
    """A query whose caller does not want to wait any more is waited for, however long the server does not answer."""
    for name in ("execute", "executemany", "fetch", "fetchrow", "fetchval"):
        _replace(GuardedConnection, name, _patient(getattr(GuardedConnection, name)))


FAULTS: Mapping[str, Callable[[], None]] = {
    fault.__name__: fault
    for fault in (
        ack_before_insert,
        no_fence,
        event_outside_transaction,
        attempt_counted_at_end,
        no_flush,
        swallowed_cancellation,
    )
}


def _patient(query: Callable[..., Any]) -> Callable[..., Any]:
    async def call(self: GuardedConnection, *arguments: Any, **options: Any) -> Any:
        asking = asyncio.ensure_future(query(self, *arguments, **{**options, "timeout": 10**6}))
        while True:
            try:
                return await asyncio.shield(asking)
            except asyncio.CancelledError:
                if asking.done():
                    raise

    return call


def _replace(owner: type, name: str, by: Callable[..., Any]) -> None:
    if name not in vars(owner):
        raise AttributeError(f"{owner.__name__} has no {name} any more: the fault has to be adapted")
    setattr(owner, name, by)


def _replace_queries(changes: Mapping[str, Sequence[tuple[str, str]]]) -> None:
    """Changes the texts of queries of the job queue."""
    construct = JobQueue.__init__

    def init(self: JobQueue, *arguments: Any, **options: Any) -> None:
        construct(self, *arguments, **options)
        queries: dict[str, str] = dict(vars(self)["_queries"])
        for name, pairs in changes.items():
            for old, new in pairs:
                if old not in queries[name]:
                    raise ValueError(f"the query {name} has no {old!r} any more: the fault has to be adapted")
                queries[name] = queries[name].replace(old, new)
        vars(self)["_queries"] = queries

    _replace(JobQueue, "__init__", init)


def _ended(task: "asyncio.Task[None]") -> None:
    _tasks.discard(task)
    if not task.cancelled():
        task.exception()  # the batch is lost: its offsets are committed


if __name__ == "__main__":
    FAULTS[sys.argv[1]]()
    sys.exit(main(sys.argv[2:]))
