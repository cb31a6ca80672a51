"""Workers for `test_killed_worker.py` that are killed at one await of a job after another.

python -m tests.worker.killed_worker DATABASE_URL SCHEMA FOLDER POINTS

Each time: the job is queued, a forked worker claims it and is killed at its await number N, and a second one ends it.
Prints a line of JSON for each, the first one for a worker that was not killed. POINTS: how many awaits, evenly spread.
"""

import asyncio
import os
import shutil
import signal
import sys
import types
from collections.abc import Coroutine, Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson

from chassis.adapters.egress.fetch import FetchLimits
from chassis.adapters.postgres import Pool, open_pool
from chassis.adapters.storage.local import LocalStorage
from chassis.core import logs
from chassis.core.ids import new_id, now_ms
from chassis.runtime.job_queue import JobQueue, Runner, WorkSlots
from chassis.runtime.job_queue.runner import RunnerTimes
from chassis.runtime.outbox import Outbox
from media.info import MediaInfo
from schemas.events import Event, JobCancelled, JobFailed, JobSucceeded
from schemas.files import File
from schemas.ids import derived
from schemas.jobs import Job
from worker.fetch_bounds import FetchBounds
from worker.input_space import InputSpace
from worker.runner import JobContext, JobOutput, JobRunner

CONTENT = b"a file of the customer"
LEASE = timedelta(seconds=15)
SHORT_LEASE = timedelta(milliseconds=600)
"""Of the second worker, so that it soon claims what another one has lost."""
_ENDS = {event.TYPE for event in (JobSucceeded, JobFailed, JobCancelled)}
_INFO = MediaInfo(kind="image", format="jpeg", content_type="image/jpeg", filesize=len(CONTENT), width=2, height=2)


class KillPoints:
    """Counts the awaits of all tasks from `begin` on; kills the process at number `at`."""

    def __init__(self, at: int | None) -> None:
        self.count = 0
        self._at = at

    def begin(self) -> None:
        asyncio.get_running_loop().set_task_factory(self._make_task)  # type: ignore[arg-type]  # its arguments vary

    def _make_task(self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **more: Any) -> Any:
        return asyncio.Task(self._counted(coroutine), loop=loop, **more)

    async def _counted(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return await self._drive(coroutine)

    @types.coroutine
    def _drive(self, coroutine: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        result, error = None, None
        while True:
            try:
                awaited = coroutine.send(result) if error is None else coroutine.throw(error)
            except StopIteration as stop:
                return stop.value
            self.count += 1
            if self.count == self._at:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                result, error = (yield awaited), None
            except BaseException as raised:  # noqa: BLE001 - handed on to the coroutine
                result, error = None, raised


class Prober:
    """Stands in for the sandbox: the file is known."""

    async def probe(self, _: Path) -> MediaInfo:
        await asyncio.sleep(0)
        return _INFO


class NoProgress:
    def publish(self, event: Event) -> None:
        pass


async def copy(context: JobContext) -> JobOutput:
    await asyncio.sleep(0)
    dest = context.folder / "copy.jpg"
    shutil.copy(context.source, dest)
    return JobOutput(dest, _INFO)


class Bench:
    """The database and the folders of the run, in any of its processes."""

    def __init__(self, dsn: str, schema: str, folder: Path) -> None:
        self._dsn = dsn
        self._schema = schema
        self._storage = folder / "storage"
        self._work = folder / "work"
        self._work.mkdir(exist_ok=True)

    async def queue_job(self) -> None:
        """Empties everything and queues one job, whose input is in the storage."""
        shutil.rmtree(self._storage, ignore_errors=True)
        project, media_id = new_id("prj"), new_id("med")
        source = File(
            id=derived("file", media_id, "original"),
            key=f"{project}/media/{media_id}/original.jpg",
            **_INFO.model_dump(include={"kind", "format", "content_type", "filesize", "width", "height"}),
        )
        original = self._work / "original.jpg"
        original.write_bytes(CONTENT)
        storage = LocalStorage(self._storage)
        storage.prepare()
        await storage.put(source.key, original, source.content_type)
        job = Job.queued(
            id=new_id("job"),
            project=project,
            kind="image",
            input="https://example.com/a.jpg",
            source=source,
            options={},
            metadata={},
            at=now_ms(),
        )
        async with await open_pool(self._dsn, self._schema, size=2) as pool:
            await pool.execute("DELETE FROM job_queue; DELETE FROM outbox")
            async with pool.acquire() as conn:
                await JobQueue(pool, Outbox(pool, "thumbnailer")).add(
                    conn, id=job.id, project=project, kind="image", payload=job.model_dump(mode="json")
                )

    async def work(self, points: KillPoints | None = None, lease: timedelta = LEASE) -> None:
        """A worker, until the job has ended."""
        async with (
            await open_pool(self._dsn, self._schema, size=1) as watching,
            await open_pool(self._dsn, self._schema, size=4) as pool,
        ):
            runner = self._runner(pool, lease)
            if points is not None:
                points.begin()
            running = asyncio.create_task(runner.run())
            while await watching.fetchval("SELECT state FROM job_queue") not in ("done", "failed", "cancelled"):
                await asyncio.sleep(0.01)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def end_leases(self) -> None:
        async with await open_pool(self._dsn, self._schema, size=1) as pool:
            await pool.execute(
                "UPDATE job_queue SET lease_until = now() - interval '1 day' WHERE lease_until IS NOT NULL"
            )

    async def result(self) -> dict[str, Any]:
        async with await open_pool(self._dsn, self._schema, size=1) as pool:
            row = await pool.fetchrow("SELECT state, attempt, crashed FROM job_queue")
            events = await pool.fetch("SELECT value, headers::text AS headers FROM outbox ORDER BY id")
        ends = [event for event in events if dict(orjson.loads(event["headers"]))["ce_type"] in _ENDS]
        jobs = [orjson.loads(end["value"])["job"] for end in ends]
        paths = [path.relative_to(self._storage) for path in self._storage.rglob("*.jpg") if "jobs" in path.parts]
        objects = sorted(str(path) for path in paths)
        assert row is not None
        return {
            **dict(row),
            "keys": [job["output"]["key"] if job["output"] else job["error"] for job in jobs],
            "objects": objects,
        }

    def _runner(self, pool: Pool, lease: timedelta) -> Runner:
        outbox = Outbox(pool, "thumbnailer")
        queue = JobQueue(pool, outbox, lease=lease)
        tools: Any = types.SimpleNamespace(workdir=self._work, prober=Prober())
        nobody: Any = None
        slots = WorkSlots(queue, 2)
        jobs = JobRunner(
            queue,
            LocalStorage(self._storage),
            nobody,  # nothing is fetched
            tools,
            copy,
            NoProgress(),
            slots=slots,
            estimate=lambda *_: 1.0,
            bounds=FetchBounds(InputSpace(10**9, 10**9), 4),
            s3=nobody,
            fetch_limits=FetchLimits(),
            now_ms=now_ms,
        )
        return Runner(
            queue,
            jobs.run,
            exhausted=jobs.exhausted,
            on_cancel=jobs.on_cancel,
            slots=2,
            times=RunnerTimes(poll=timedelta(milliseconds=20)),
        )


def in_child(bench: Bench, at: int | None) -> int | None:
    """A worker in a forked process; how many awaits it had, None if it was killed at number `at`."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        points = KillPoints(at)
        asyncio.run(bench.work(points))
        os.write(writing, str(points.count).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        count = pipe.read()
    os.waitpid(pid, 0)
    return int(count) if count else None


def run(bench: Bench, at: int | None) -> dict[str, Any]:
    asyncio.run(bench.queue_job())
    count = in_child(bench, at)
    if count is None:
        asyncio.run(bench.end_leases())
    asyncio.run(bench.work(lease=SHORT_LEASE))
    return {"at": at, "count": count, **asyncio.run(bench.result())}


def main(dsn: str, schema: str, folder: Path, points: int) -> None:
    logs.configure("text", "error")
    bench = Bench(dsn, schema, folder)
    whole = run(bench, None)
    print(orjson.dumps(whole).decode(), flush=True)
    for number in range(min(points, whole["count"])):
        at = 1 + number * whole["count"] // min(points, whole["count"])
        print(orjson.dumps(run(bench, at)).decode(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
