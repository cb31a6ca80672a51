"""A job under way: its snapshot, and the events that say how far it is. What the two workers share around one job."""

import asyncio
from collections.abc import Callable
from types import TracebackType

from chassis.core import logs
from chassis.runtime.job_queue import JobQueue, LeaseLost, QueueItem
from schemas.base import Unknown
from schemas.events import JobEvent, JobProgressed, JobStarted
from schemas.jobs import Job, TaskKind

EVERY_SECONDS = 1.0
"""At most one event a second for each job: people watch progress, and nothing is decided by it."""

log = logs.get_logger(__name__)


class ProgressReporter:
    """One attempt at a job. `job` is the newest snapshot; the events about it go out in the background, the last wins.

    An async context manager: at its end nothing more goes out, so that the event of the end is the last one.
    """

    def __init__(self, job: Job, item: QueueItem, queue: JobQueue, now_ms: Callable[[], int]) -> None:
        self.job = job
        self._item = item
        self._queue = queue
        self._now_ms = now_ms
        self._news = asyncio.Event()
        self._telling: asyncio.Task[None] | None = None

    def at(self) -> int:
        """Now, and later than the last snapshot: readers put snapshots in order by their times."""
        return max(self._now_ms(), self.job.updated_at + 1)

    async def __aenter__(self) -> "ProgressReporter":
        self.job = self.job.start(self.at())
        self._telling = asyncio.create_task(self._tell())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)

    def step(self, kind: TaskKind | Unknown, progress: float | None = None) -> None:
        """The step `kind` is under way, and so far done (0 to 1)."""
        self.job = self.job.step(kind, self.at(), progress)
        self._news.set()

    async def _tell(self) -> None:
        await self._emit(JobStarted(job=self.job))
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            await self._news.wait()
            self._news.clear()
            await self._emit(JobProgressed(job=self.job))

    async def _emit(self, event: JobEvent) -> None:
        try:
            await self._queue.emit(self._item, event)
        except LeaseLost:
            log.debug("no progress told: the lease is lost")  # the heartbeat stops the work
        except Exception as error:  # noqa: BLE001 - whatever is away, the work goes on without being watched
            log.debug("no progress told", reason=f"{type(error).__name__}: {error}")
