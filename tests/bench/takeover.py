"""`python -m tests.bench.takeover`: seconds from the SIGKILL of a worker until its job runs in another one.

`python -m tests.bench.takeover DSN` is a worker: a runner with the queue's own lease and intervals, whose work never
ends. Two of them share a queue; whichever has the job is killed, at another moment of its lease in each round.
"""

import asyncio
import random
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import uvloop

from chassis.adapters.postgres import migrate, open_pool
from chassis.runtime.job_queue import Cause, Complete, JobQueue, Outcome, QueueItem, Runner
from chassis.runtime.job_queue.lease import LEASE
from chassis.runtime.outbox import Outbox
from chassis.runtime.service_spec import ServiceSpec
from embedded.postgres import PostgresServer
from tests.bench.figures import Row, print_rows
from tests.support.processes import clean_environment, killed_process

ROUNDS = 4
SCHEMA = "takeover"
BOUND_S = LEASE.total_seconds() + 1
DEADLINE_SECONDS = 120.0
CONTACT_SECONDS = LEASE.total_seconds() / 3 + 5
_ITEM = "job"


async def work_for_ever(dsn: str) -> None:
    """A worker process; it prints a line when it begins to work on an item."""

    async def work(item: QueueItem) -> Outcome:
        print(item.id, flush=True)
        await asyncio.Event().wait()
        raise AssertionError("the event is never set")

    async def exhausted(item: QueueItem, cause: Cause) -> Complete:
        return Complete("failed")

    async def on_cancel(item: QueueItem) -> Complete:
        return Complete("cancelled")

    async with await open_pool(dsn, SCHEMA) as pool:
        queue = JobQueue(pool, Outbox(pool, SCHEMA))
        await Runner(queue, work, slots=1, exhausted=exhausted, on_cancel=on_cancel).run()


async def measure(folder: Path, rounds: int = ROUNDS) -> list[float]:
    """The seconds of each round."""
    found = []
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(PostgresServer(folder).running(print))
        await migrate(dsn, SCHEMA, ServiceSpec(name="notifier", job_queue=True).all_migrations)
        pool = await stack.enter_async_context(await open_pool(dsn, SCHEMA))
        other = await stack.enter_async_context(_worker(dsn))
        for round_ in range(rounds):
            async with pool.acquire() as conn, conn.transaction():
                await JobQueue(pool, Outbox(pool, SCHEMA)).add(conn, id=_ITEM, project="prj", kind="x", payload={})
            busy = other
            await _begins(busy)
            other = await stack.enter_async_context(_worker(dsn))
            # The other one claims no expired lease until it has been in contact with Postgres for a while. Lease and
            # heartbeats are at another point in each round.
            await asyncio.sleep(CONTACT_SECONDS + random.Random(round_).uniform(0, 5))
            busy.kill()
            killed = time.perf_counter()
            await _begins(other)
            found.append(time.perf_counter() - killed)
            other.kill()
            await pool.execute("DELETE FROM job_queue")
            other = await stack.enter_async_context(_worker(dsn))
    return found


def _worker(dsn: str) -> AbstractAsyncContextManager[Process]:
    command = (sys.executable, "-m", "tests.bench.takeover", dsn)
    return killed_process(*command, env=clean_environment(), stdout=PIPE)


async def _begins(worker: Process) -> None:
    assert worker.stdout is not None
    async with asyncio.timeout(DEADLINE_SECONDS):
        line = await worker.stdout.readline()
    if line.decode().strip() != _ITEM:
        raise RuntimeError("a worker ended")


def row(seconds: list[float]) -> Row:
    return Row(
        "SIGKILL of a worker until its job runs in another",
        f"{max(seconds):.1f} s",
        f"≤ {BOUND_S:g} s",
        max(seconds) <= BOUND_S,
        f"the longest of {len(seconds)}, the shortest {min(seconds):.1f} s; the lease is {LEASE.total_seconds():g} s",
    )


async def rows(folder: Path) -> list[Row]:
    return [row(await measure(folder))]


async def main() -> int:
    with tempfile.TemporaryDirectory(prefix="bitmill-bench-") as name:
        return print_rows(await rows(Path(name)))


if __name__ == "__main__":
    sys.exit(uvloop.run(work_for_ever(sys.argv[1]) if len(sys.argv) > 1 else main()))
