"""A worker process for the tests of crashes: `python -m … DSN SCHEMA SLOTS`.

Items named `poison` kill it: the first time when all slots are busy, later at once. Other items are worked on for ever
in their first run and end well in the next; those named `slow_…` wait for their input for ever, and their rows say so.
A suspect that is not worked on alone leaves a row in the table `neighbours`.
"""

import asyncio
import os
import signal
import sys
from datetime import timedelta

from chassis.adapters.postgres import open_pool
from chassis.runtime.job_queue import Cause, Complete, JobQueue, Outcome, QueueItem, Runner, WorkSlots
from chassis.runtime.job_queue.runner import RunnerTimes
from chassis.runtime.outbox import Outbox
from tests.chassis.runtime.job_queue.conftest import LEASE, event, in_slots


async def main(dsn: str, schema: str, slots: int) -> None:
    busy: set[str] = set()
    full = asyncio.Event()
    async with await open_pool(dsn, schema, size=slots + 2) as pool:
        await pool.execute("CREATE TABLE IF NOT EXISTS neighbours (id text)")

        async def work(item: QueueItem) -> Outcome:
            print(item.id, item.attempt, flush=True)
            busy.add(item.id)
            if len(busy) == slots:
                full.set()
            try:
                if item.suspect and len(busy) > 1:
                    await pool.execute("INSERT INTO neighbours VALUES ($1)", item.id)
                if item.id == "poison":
                    if not item.suspect:
                        await full.wait()
                    os.kill(os.getpid(), signal.SIGKILL)
                if item.attempt == 1:
                    await asyncio.Event().wait()
                return Complete("done", [event(item.id)])
            except asyncio.CancelledError:
                print(item.id, "stopped", flush=True)
                raise
            finally:
                busy.discard(item.id)

        async def exhausted(item: QueueItem, cause: Cause) -> Complete:
            return Complete("failed", [event(item.id)])

        async def on_cancel(item: QueueItem) -> Complete:
            return Complete("cancelled")

        queue = JobQueue(pool, Outbox(pool, "test"), lease=LEASE, suspect_pause=timedelta(0))
        times = RunnerTimes(poll=timedelta(milliseconds=100))
        work_slots = WorkSlots(queue, slots, record_after_s=0.01)

        async def wait_for_input(item: QueueItem) -> Outcome:
            async with work_slots.attempt(item):
                while not await pool.fetchval("SELECT waiting FROM job_queue WHERE id = $1", item.id):
                    await asyncio.sleep(0.02)
                return await work(item)

        async def run(item: QueueItem) -> Outcome:
            slow = item.id.startswith("slow") and item.attempt == 1
            return await (wait_for_input(item) if slow else in_slots(work_slots, work)(item))

        await Runner(queue, run, slots=slots, exhausted=exhausted, on_cancel=on_cancel, times=times).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
