"""Runs one claimed job: input, probe, encoder, output. Also decides the end of jobs that no attempt ended."""

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
from media.faults import MediaFault
from media.formats import FORMATS
from media.info import MediaInfo
from media.tools import Tools
from schemas.events import JobFailed, JobSucceeded
from schemas.files import Output
from schemas.ids import derived
from schemas.jobs import Job
from worker.input import fetch_fault, fetch_input, fetch_retry_delay, retry_while_full
from worker.progress import ProgressReporter
from worker.terminal_events import Endings

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class JobOutput:
    """What an encoder made: the file, its facts, and for images what is shown while they load."""

    path: Path
    info: MediaInfo
    placeholder: str | None = None
    background: str | None = None


@dataclass(frozen=True)
class JobContext:
    """What an encoder gets: the job, its probed input, an empty folder for the output, and a callback for progress."""

    job: Job
    source: Path
    info: MediaInfo
    folder: Path
    on_progress: Callable[[float], None]


Encoder = Callable[[JobContext], Awaitable[JobOutput]]
"""Makes the output. Raises MediaFault where the input is to blame; anything else is ours and is retried."""


class JobRunner:
    """Runs the items of a queue whose payloads are Jobs. `run`, `exhausted` and `on_cancel` are for its `Runner`."""

    def __init__(
        self,
        queue: JobQueue,
        storage: Storage,
        policy: EgressPolicy,
        tools: Tools,
        encode: Encoder,
        *,
        fetch_limits: FetchLimits,
        now_ms: Callable[[], int],
    ) -> None:
        self._queue = queue
        self._storage = storage
        self._policy = policy
        self._tools = tools
        self._encode = encode
        self._fetch_limits = fetch_limits
        self._now_ms = now_ms
        self._endings = Endings(now_ms)
        self.exhausted = self._endings.exhausted
        self.on_cancel = self._endings.on_cancel

    async def run(self, item: QueueItem) -> Outcome:
        """One attempt. Its folder and its child processes are gone afterwards, however it ends."""
        folder = Path(tempfile.mkdtemp(prefix=f"{item.id}-", dir=self._tools.workdir))
        reporter = ProgressReporter(Job.model_validate(item.payload), item, self._queue, self._now_ms)
        try:
            async with reporter:
                outcome = await self._attempt(reporter, item, folder)
        except BaseException:
            self._endings.remember(item, reporter.job)
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(outcome, Retry):
            self._endings.remember(item, reporter.job)
        else:
            self._endings.forget(item)
        return outcome

    async def _attempt(self, reporter: ProgressReporter, item: QueueItem, folder: Path) -> Outcome:
        try:
            output = await self._make_output(reporter, folder)
        except MediaFault as error:
            log.info("job_failed", fault=error.kind, reason=error.message, detail=error.detail)
            return Complete("failed", [JobFailed(job=reporter.job.fail(error.fault(), reporter.at()))])
        except FetchError as error:
            log.info("input_fetch_failed", error=str(error), retriable=error.retriable)
            fault = fetch_fault(error)
            if error.retriable:
                return Retry(fetch_retry_delay(item.failures + 1), str(error), fault)
            return Complete("failed", [JobFailed(job=reporter.job.fail(fault, reporter.at()))])
        log.info("job_succeeded", filesize=output.filesize, format=output.format)
        return Complete("done", [JobSucceeded(job=reporter.job.succeed(output, reporter.at()))])

    async def _make_output(self, reporter: ProgressReporter, folder: Path) -> Output:
        job = reporter.job
        reporter.step("import")
        source = await retry_while_full(
            lambda: fetch_input(job, folder, self._storage, self._policy, self._fetch_limits)
        )
        reporter.step("probe")
        info = await self._tools.prober.probe(source)
        reporter.step(job.kind, 0.0)
        output_folder = folder / "output"
        output_folder.mkdir()
        made = await self._encode(
            JobContext(job, source, info, output_folder, lambda progress: reporter.step(job.kind, progress))
        )
        output = describe(job, made)
        await retry_while_full(lambda: self._storage.put(output.key, made.path, output.content_type))
        return output


def describe(job: Job, made: JobOutput) -> Output:
    """The output as the job's result names it (pure). Id and key derive from the job, so that a repeated attempt
    overwrites instead of adding."""
    id = derived("file", job.id, "output")
    extension = FORMATS[made.info.format].extension
    file = made.info.to_file(id, f"{job.project}/jobs/{job.id}/{id}.{extension}")
    attached = job.ref is not None and job.media_id is not None
    path = f"{job.media_id}/{job.ref}.{extension}" if attached else f"{job.id}/{job.kind}.{extension}"
    extras = {"placeholder": made.placeholder, "background": made.background}
    return Output(**(file.model_dump() | extras), path=path)
