"""Reports the progress of one attempt at a job: to the customer as events, and in the queue row as the step."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any

from chassis.adapters.kafka.producer import LossyPublisher
from chassis.core import logs
from chassis.core.concurrency import abandon_after
from chassis.runtime.job_queue import JobQueue, LeaseLost, QueueItem
from schemas.base import Unknown
from schemas.events import JobProgressed, JobStarted
from schemas.jobs import Job, TaskKind

FIRST_REPORT_SECONDS = 0.25
"""Most image jobs end earlier, and need no report."""
REPORT_INTERVAL_SECONDS = 1.0
"""At most one report per second and job: progress is only displayed."""
WRITE_SECONDS = 1.0
"""How long the job waits for a write: at the end of its attempt, and before each step of a suspect item."""

log = logs.get_logger(__name__)


class ProgressReporter:
    """The reports of one attempt; an async context manager. `job` is the newest snapshot.

    JobStarted is published through the outbox. After that a background task reports the newest state: JobProgressed by
    the lossy publisher, and the step to the row. No report comes after the block, so that the terminal event is the
    last. Reports that fail are dropped: the work goes on.
    """

    def __init__(
        self,
        job: Job,
        item: QueueItem,
        queue: JobQueue,
        publisher: LossyPublisher,
        now_ms: Callable[[], int],
        *,
        first_report_s: float = FIRST_REPORT_SECONDS,
        interval_s: float = REPORT_INTERVAL_SECONDS,
    ) -> None:
        self.job = job
        self._item = item
        self._queue = queue
        self._publisher = publisher
        self._now_ms = now_ms
        self._first_report_s = first_report_s
        self._interval_s = interval_s
        self._changed = asyncio.Event()
        self._step: TaskKind | Unknown | None = None
        self._reporting: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()
        """Held by each write, so that steps are written in order."""

    def at(self) -> int:
        """The time of the next snapshot in Unix milliseconds: now, but later than the last one, by which readers order
        the snapshots of a job."""
        return max(self._now_ms(), self.job.updated_at + 1)

    async def start_step(self, step: TaskKind | Unknown, progress: float | None = None) -> None:
        """The job begins `step`. Recorded before the step begins if the item may have crashed its last worker."""
        self.report(step, progress)
        if self._item.suspect:
            await self._write_step_in_time()

    def report(self, step: TaskKind | Unknown, progress: float | None = None) -> None:
        """The job is at `step`, of which the share `progress` (0 to 1) is done."""
        self.job = self.job.step(step, self.at(), progress)
        self._step = step
        self._changed.set()

    async def __aenter__(self) -> "ProgressReporter":
        self.job = self.job.start(self.at())
        self._reporting = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reporting is not None:
            with suppress(TimeoutError):
                # A write in progress may end: cancelling a query closes its connection.
                async with asyncio.timeout(WRITE_SECONDS), self._writing:
                    self._reporting.cancel()
            self._reporting.cancel()
            await asyncio.gather(self._reporting, return_exceptions=True)
        if error is not None:
            # Another replica may write the terminal event of this job, from the row.
            await self._write_step_in_time()

    async def _run(self) -> None:
        await self._ignore_failure(self._emit_started())
        await asyncio.sleep(self._first_report_s)
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._publisher.publish(JobProgressed(job=self.job))
            await self._ignore_failure(self._write_step())
            await asyncio.sleep(self._interval_s)

    async def _write_step_in_time(self) -> None:
        await self._ignore_failure(abandon_after(WRITE_SECONDS, self._write_step()))

    async def _emit_started(self) -> None:
        async with self._writing:
            await self._queue.emit(self._item, JobStarted(job=self.job))

    async def _write_step(self) -> None:
        async with self._writing:
            if self._step is not None and self._step != self._item.step:
                await self._queue.set_step(self._item, self._step)

    async def _ignore_failure(self, writing: Coroutine[Any, Any, None]) -> None:
        try:
            await writing
        except LeaseLost:
            log.debug("job_progress_dropped", error="lease lost")  # the heartbeat stops the work
        except Exception as error:  # noqa: BLE001 - the work goes on without reports
            log.debug("job_progress_dropped", error=f"{type(error).__name__}: {error}")
