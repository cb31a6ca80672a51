"""The clock of one worker, or that of Postgres' host, is set by an hour in the middle of work: only times show it.

One job is encoded, one is fetched, and the server of a third says when it wants to be asked again. Meanwhile another
worker, whose clock is right, looks for leases that run out.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

from aiohttp import web

from chassis.adapters.postgres import Pool, open_pool
from chassis.runtime.job_queue import Cause, Complete, JobQueue, Outcome, QueueItem, Runner
from chassis.runtime.job_queue.runner import RunnerTimes
from chassis.runtime.outbox import Outbox
from schemas.jobs import Job
from tests.services.worker_harness import WorkerHarness, worker_settings
from tests.support.file_server import Answer, file
from tests.support.footage import Material
from tests.support.moved_clock import PostgresClock, ProcessClock
from tests.support.servers import Postgres
from tests.support.waiting import until
from tests.worker.frozen_worker import LEASE
from tests.worker.moved_clock_worker import CLOCK, GO_ON, encoding_file
from tests.worker.worker_process import WorkerProcess
from worker.settings import FileSettings

HOUR_S = 3600.0
RENEWALS = 4
"""Of which three are one lease."""
ASKED_AGAIN_AFTER_S = 2


def busy_first(then: Answer) -> Answer:
    """503 with a date for `Retry-After`, then the other answer."""
    answered = False

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal answered
        if answered:
            return await then(request)
        answered = True
        at = datetime.now(UTC) + timedelta(seconds=ASKED_AGAIN_AFTER_S)
        return web.Response(status=503, headers={"Retry-After": format_datetime(at, usegmt=True)})

    return answer


class Watcher:
    """A worker that takes over every lease that runs out, as soon as it may; `taken` is what it got."""

    def __init__(self, pool: Pool) -> None:
        self.taken: list[str] = []
        self._queue = JobQueue(pool, Outbox(pool, "transcoder"), lease=LEASE)
        times = RunnerTimes(poll=timedelta(milliseconds=50), watch_clock=timedelta(milliseconds=200))
        self._runner = Runner(
            self._queue, self._work, slots=4, exhausted=self._exhausted, on_cancel=self._on_cancel, times=times
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ready to take over inside the block."""
        task = asyncio.create_task(self._runner.run())
        try:
            await until(self._queue.contact.is_established, within=60)
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _work(self, item: QueueItem) -> Outcome:
        self.taken.append(item.id)
        return Complete("done", ())

    async def _exhausted(self, item: QueueItem, _: Cause) -> Complete:
        raise AssertionError(item.id)

    async def _on_cancel(self, item: QueueItem) -> Complete:
        raise AssertionError(item.id)


class Bench:
    """The worker whose clock is set, and the watcher."""

    def __init__(self, worker: WorkerHarness, pool: Pool, source: Path, folder: Path) -> None:
        self.worker = worker
        self.watcher = Watcher(pool)
        self.pool = pool
        self.source = source
        self.folder = folder

    async def work_through_a_jump(self, name: str, jump: Callable[[], Awaitable[None]]) -> None:
        """Three jobs are in work when the clock is set, and end once, by their first attempts."""
        worker, files = self.worker, self.worker.files
        go_on = self.folder / GO_ON
        go_on.unlink(missing_ok=True)
        fetched = files.hold(f"fetched-{name}", file(self.source))
        busy = files.hold(f"busy-{name}", busy_first(file(self.source)))
        encoded_id = await worker.submit(files.url(self.source.name))
        await until(encoding_file(self.folder, encoded_id).exists, within=120)
        fetched_id, busy_id = [await worker.submit(held.url) for held in (fetched, busy)]
        await fetched.requested.wait()
        await busy.requested.wait()
        async with self.watcher.running():
            await jump()
            await asyncio.gather(*[self._until_renewed(job_id) for job_id in (encoded_id, fetched_id, busy_id)])
        assert self.watcher.taken == []
        busy.release.set()
        fetched.release.set()
        go_on.touch()
        jobs = [await worker.finished(job_id) for job_id in (encoded_id, fetched_id, busy_id)]
        for job in jobs:
            await self._check(job, attempts=2 if job.id == busy_id else 1)
        (retry,) = await until(lambda: self._retries(busy_id))  # on another topic than the end
        assert retry.retry_at is not None
        assert 0 < retry.retry_at - retry.updated_at <= 10_000, "as long as the server wants, whatever our clock shows"

    async def _until_renewed(self, job_id: str) -> None:
        seen: set[datetime] = set()

        async def renewed() -> bool:
            seen.add(await self.pool.fetchval("SELECT lease_until FROM job_queue WHERE id = $1", job_id))
            return len(seen) > RENEWALS

        await until(renewed, within=60)

    async def _check(self, job: Job, attempts: int) -> None:
        """Nothing was lost, nothing failed, and there is one end."""
        assert job.status == "succeeded", job.error
        row = await self.pool.fetchrow("SELECT * FROM job_queue WHERE id = $1", job.id)
        assert row is not None
        found = [row[name] for name in ("state", "attempt", "crashed", "crashed_waiting", "failures", "postponements")]
        assert found == ["done", attempts, 0, 0, 0, 0]
        assert row["counted_crashes"] == {}, "no crash was counted and taken back"
        assert self.worker.terminal_events(job.id) == 1
        shown = [event.job.updated_at for event in self.worker.events[job.id] if event.job.started_at == job.started_at]
        assert shown == sorted(shown), "the times of an attempt do not go back"

    def _retries(self, job_id: str) -> list[Job]:
        return [event.job for event in self.worker.progress[job_id] if event.job.retry_at is not None]


@asynccontextmanager
async def bench(url: str, bootstrap: str, source: Path, folder: Path) -> AsyncIterator[Bench]:
    process = WorkerProcess("tests.worker.moved_clock_worker", url, bootstrap, str(folder))
    settings = FileSettings(**worker_settings(url, bootstrap, folder))
    async with WorkerHarness(process, settings, "video").running() as worker:
        worker.files.add(source)
        async with await open_pool(url, process.name, size=4) as pool:
            yield Bench(worker, pool, source, folder)


async def test_the_clock_of_a_worker_is_set_by_an_hour(
    postgres_server: Postgres, kafka_bootstrap: str, material: Material, tmp_path: Path
) -> None:
    clock = ProcessClock(tmp_path / CLOCK)
    async with bench(await postgres_server.database(), kafka_bootstrap, material.flat(), tmp_path) as running:
        for name, seconds in (("forward", HOUR_S), ("back", -HOUR_S)):

            async def jump(by: float = seconds) -> None:
                clock.set_by(by)

            await running.work_through_a_jump(name, jump)


async def test_the_clock_of_postgres_is_set_by_an_hour(
    postgres_server: Postgres, kafka_bootstrap: str, material: Material, tmp_path: Path
) -> None:
    url = await postgres_server.database()
    clock = await PostgresClock.install(url)
    async with bench(url, kafka_bootstrap, material.flat(), tmp_path) as running:
        for name, seconds in (("forward", HOUR_S), ("back", 0.0)):

            async def jump(by: float = seconds) -> None:
                await clock.set_by(by)

            await running.work_through_a_jump(name, jump)
