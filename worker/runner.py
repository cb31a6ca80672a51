"""The bench: one claimed job from its input to its result event. Both workers stand at one; what they make differs."""

import shutil
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from chassis.adapters.egress.errors import FetchError
from chassis.adapters.egress.fetch import FetchLimits
from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.storage import Storage
from chassis.core import logs
from chassis.runtime.job_queue import Complete, JobQueue, Outcome, QueueItem, Retry
from chassis.runtime.job_queue.attempt import BACKOFF
from media.faults import MediaFault
from media.formats import FORMATS
from media.info import MediaInfo
from media.tools import Tools
from schemas.events import JobFailed, JobSucceeded
from schemas.faults import Fault
from schemas.files import Output
from schemas.ids import derived
from schemas.jobs import Job
from worker.input import acquire
from worker.progress import ProgressReporter
from worker.room import with_room
from worker.terminal_events import Endings

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class JobOutput:
    """What a job made: the file, its facts, and for pictures what stands for them while they load."""

    path: Path
    info: MediaInfo
    placeholder: str | None = None
    background: str | None = None


@dataclass(frozen=True)
class JobContext:
    """What a maker gets: the job, its probed input, an empty folder for its output, and whom to tell of progress."""

    job: Job
    source: Path
    info: MediaInfo
    folder: Path
    on_progress: Callable[[float], None]


Encoder = Callable[[JobContext], Awaitable[JobOutput]]
"""Makes the output. Raises MediaFault where the input is to blame; everything else is ours and is tried again."""


class JobRunner:
    """Works on the items of a queue whose payloads are Jobs; `work`, `exhausted`, `on_cancel` are for its Runner."""

    def __init__(
        self,
        queue: JobQueue,
        storage: Storage,
        guard: EgressPolicy,
        tools: Tools,
        make: Encoder,
        *,
        fetching: FetchLimits,
        now_ms: Callable[[], int],
    ) -> None:
        self._queue = queue
        self._storage = storage
        self._guard = guard
        self._tools = tools
        self._make = make
        self._fetching = fetching
        self._now_ms = now_ms
        self._endings = Endings(now_ms)
        self.exhausted = self._endings.exhausted
        self.on_cancel = self._endings.on_cancel

    async def work(self, item: QueueItem) -> Outcome:
        """One attempt. Its folder is gone afterwards, however it ends; so are its children."""
        folder = Path(tempfile.mkdtemp(prefix=f"{item.id}-", dir=self._tools.workdir))
        run = ProgressReporter(Job.model_validate(item.payload), item, self._queue, self._now_ms)
        try:
            async with run:
                outcome = await self._carry_out(run, item, folder)
        except BaseException:
            self._endings.remember(item, run.job)
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(outcome, Retry):
            self._endings.remember(item, run.job)
        else:
            self._endings.forget(item)
        return outcome

    async def _carry_out(self, run: ProgressReporter, item: QueueItem, folder: Path) -> Outcome:
        try:
            output = await self._output(run, folder)
        except MediaFault as error:
            log.info("job failed", kind=error.kind, reason=error.message, detail=error.detail)
            return Complete("failed", [JobFailed(job=run.job.fail(error.fault(), run.at()))])
        except FetchError as error:
            log.info("input not fetched", kind=error.kind, reason=error.message, again=error.retriable)
            if error.retriable:
                return Retry(BACKOFF[min(item.attempt, len(BACKOFF)) - 1], f"{error.kind}: {error.message}")
            fault = Fault(kind=error.kind, message=error.message)
            return Complete("failed", [JobFailed(job=run.job.fail(fault, run.at()))])
        log.info("job succeeded", filesize=output.filesize, format=output.format)
        return Complete("done", [JobSucceeded(job=run.job.succeed(output, run.at()))])

    async def _output(self, run: ProgressReporter, folder: Path) -> Output:
        job = run.job
        run.step("import")
        source = await with_room(lambda: acquire(job, folder, self._storage, self._guard, self._fetching))
        run.step("probe")
        info = await self._tools.prober.probe(source)
        run.step(job.kind, 0.0)
        made_in = folder / "made"
        made_in.mkdir()
        order = JobContext(job, source, info, made_in, lambda progress: run.step(job.kind, progress))
        made = await self._make(order)
        output = describe(job, made)
        await with_room(lambda: self._storage.put(output.key, made.path, output.content_type))
        return output


def describe(job: Job, made: JobOutput) -> Output:
    """The output as the job's result names it (pure): id and key follow from the job, so that twice is once."""
    id = derived("file", job.id, "output")
    extension = FORMATS[made.info.format].extension
    file = made.info.to_file(id, f"{job.project}/jobs/{job.id}/{id}.{extension}")
    attached = job.ref is not None and job.media_id is not None
    path = f"{job.media_id}/{job.ref}.{extension}" if attached else f"{job.id}/{job.kind}.{extension}"
    extras = {"placeholder": made.placeholder, "background": made.background}
    return Output(**(file.model_dump() | extras), path=path)
