"""Runs one claimed job: input, probe, encoder, output. Also decides the end of jobs that no attempt ended.

Only probe and encoder hold a work slot. Input and output wait on servers, the customer's and the storage's.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from chassis.adapters.egress.errors import FetchError
from chassis.adapters.egress.fetch import FetchLimits
from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.kafka.producer import LossyPublisher
from chassis.adapters.storage import ObjectMissing, Storage
from chassis.core import logs, tracing
from chassis.core.encryption import Keyring
from chassis.runtime.job_queue import (
    AttemptSlot,
    Cause,
    Complete,
    JobQueue,
    LastAttempt,
    Outcome,
    Poisoned,
    QueueItem,
    Retry,
    WorkSlots,
)
from media.faults import MediaFault
from media.formats import FORMATS
from media.info import MediaInfo
from media.strip import TagRemover
from media.tools import Tools
from schemas.events import JobCancelled, JobFailed, JobProgressed, JobSucceeded
from schemas.faults import FAULTS, Fault, OutputWarning
from schemas.files import FileFacts, Output
from schemas.ids import derived
from schemas.jobs import Job
from worker.attempt_object import AttemptObject, attempt_key, attempt_object
from worker.fetch_bounds import FetchBounds, HostAtLimit, InputPlace
from worker.fetch_retries import FetchRetries
from worker.handlers import Estimate
from worker.input import fetch_fault, fetch_input
from worker.progress import ProgressReporter
from worker.s3_faults import StoreFailed
from worker.s3_files import S3Files, destination_of, server_of

_FETCH_RETRIES = FetchRetries()
MISSING_PAUSE = timedelta(seconds=1)
"""Before another look for a stored input."""

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class JobOutput:
    """The output of an encoder: the file, its facts, and for images the placeholder and background colour.

    `warnings` are made by `schemas.faults.output_warning`.
    """

    path: Path
    info: MediaInfo
    placeholder: str | None = None
    background: str | None = None
    warnings: tuple[OutputWarning, ...] = ()


@dataclass(frozen=True)
class JobContext:
    """The arguments of an encoder: the job, its probed input, an empty folder for the output, a progress callback."""

    job: Job
    source: Path
    info: MediaInfo
    folder: Path
    on_progress: Callable[[float], None]


Encoder = Callable[[JobContext], Awaitable[JobOutput]]
"""Makes the output. Raises MediaFault for a fault of the input; other exceptions are faults of ours and retried."""


class JobRunner:
    """Runs the items of a queue whose payloads are Jobs. `run`, `exhausted` and `on_cancel` are for its `Runner`."""

    def __init__(
        self,
        queue: JobQueue,
        storage: Storage,
        policy: EgressPolicy,
        tools: Tools,
        encode: Encoder,
        publisher: LossyPublisher,
        *,
        slots: WorkSlots,
        estimate: Estimate,
        bounds: FetchBounds,
        s3: S3Files,
        fetch_limits: FetchLimits,
        fetch_retries: FetchRetries = _FETCH_RETRIES,
        keyring: Keyring | None = None,
        now_ms: Callable[[], int],
    ) -> None:
        self._queue = queue
        self._storage = storage
        self._policy = policy
        self._tools = tools
        self._encode = encode
        self._publisher = publisher
        self._slots = slots
        self._estimate = estimate
        self._bounds = bounds
        self._s3 = s3
        self._fetch_limits = fetch_limits
        self._fetch_retries = fetch_retries
        self._keyring = keyring
        self._now_ms = now_ms

    async def run(self, item: QueueItem) -> Outcome:
        """One attempt. Its folder and its child processes are removed afterwards, however it ends."""
        job = Job.model_validate(item.payload)
        if job.input_fault is not None:
            return self._without_input(job, job.input_fault)
        try:
            with self._bounds.input(job.project, server_of(job)) as place:
                return await self._run(item, job, place)
        except HostAtLimit as error:
            return error.retry()

    async def _run(self, item: QueueItem, job: Job, place: InputPlace) -> Outcome:
        folder = Path(tempfile.mkdtemp(prefix=f"{item.id}-", dir=self._tools.workdir))
        reporter = ProgressReporter(job, item, self._queue, self._publisher, self._now_ms)
        try:
            async with (
                attempt_object(self._storage) as stored,
                reporter,
                self._slots.attempt(item) as attempt,
            ):
                made = await self._make_output(item, reporter, folder, place, attempt, stored)
        except ObjectMissing as error:
            # The media item or job of the stored input was purged meanwhile; or this worker's storage is not the right
            # one, which another attempt may find mended.
            fault = Fault(kind="input_gone", message=FAULTS["input_gone"])
            return Retry(MISSING_PAUSE, f"stored input: {error}", fault=fault)
        except MediaFault as error:
            log.info("job_failed", fault=error.kind, reason=error.message, detail=error.detail)
            return Complete("failed", [JobFailed(job=reporter.job.fail(error.fault(), reporter.at()))])
        except (FetchError, StoreFailed) as error:
            return self._not_fetched(item, reporter, error)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        log.info("job_succeeded", filesize=made.filesize, format=made.format)
        output, probed = (made, None) if isinstance(made, Output) else (None, made)
        succeeded = JobSucceeded(job=reporter.job.succeed(output, reporter.at(), probed))
        return Complete("done", [succeeded], discard=stored.discard)

    def _without_input(self, job: Job, fault: Fault) -> Complete:
        log.info("job_failed", fault=fault.kind, reason=fault.message)
        started = job.start(self._time_after(job))
        return Complete("failed", [JobFailed(job=started.fail(fault, self._time_after(started)))])

    def _not_fetched(self, item: QueueItem, reporter: ProgressReporter, error: FetchError | StoreFailed) -> Outcome:
        fault = error.fault if isinstance(error, StoreFailed) else fetch_fault(error)
        at = reporter.at()
        pause = self._fetch_retries.pause(error, item.deferrals, item.deferred_s, item.deferral_reasons)
        if pause is None:
            log.info("job_failed", fault=fault.kind, reason=fault.message, detail=str(error))
            return Complete("failed", [JobFailed(job=reporter.job.fail(fault, at))])
        log.info("input_fetch_failed", error=str(error), retry_in_s=round(pause.total_seconds(), 1))
        retrying = JobProgressed(job=reporter.job.retry(fault, at, at + round(pause.total_seconds() * 1000)))
        return Retry.defer(pause, error.reason, str(error), [retrying])

    async def exhausted(self, item: QueueItem, cause: Cause) -> Complete:
        """The end of a job that gets no further attempt."""
        fault = fault_of(cause)
        detail = (
            cause.reason if isinstance(cause, LastAttempt) else "its worker process died each time that it ran alone"
        )
        log.info("job_failed", fault=fault.kind, reason=fault.message, detail=detail)
        job = last_snapshot(item, self._now_ms(), assume_encoding=fault.kind in ("poisoned", "internal_error"))
        return Complete("failed", [JobFailed(job=job.fail(fault, self._time_after(job)))])

    async def on_cancel(self, item: QueueItem) -> Complete:
        """The end of a job that was cancelled, running or not."""
        job = last_snapshot(item, self._now_ms())
        return Complete("cancelled", [JobCancelled(job=job.cancel(self._time_after(job)))])

    async def _make_output(
        self,
        item: QueueItem,
        reporter: ProgressReporter,
        folder: Path,
        place: InputPlace,
        attempt: AttemptSlot,
        stored: AttemptObject,
    ) -> Output | FileFacts:
        """What the job is for: its output, stored, or the facts of its input."""
        job = Job.model_validate(item.payload)
        await reporter.start_step("import")
        with tracing.span("fetch", kind="client", attributes={"url.full": None if job.source else job.input}):
            source = await place.fetch(
                lambda on_size: fetch_input(
                    job,
                    folder,
                    self._storage,
                    self._policy,
                    self._fetch_limits,
                    keyring=self._keyring,
                    s3=self._s3,
                    on_size=on_size,
                )
            )
        async with attempt.work():
            await reporter.start_step("probe")
            with tracing.span("probe"):
                info = await self._tools.prober.probe(source)
            if job.kind == "probe":
                return info.facts()
            if job.kind == "import":
                encoded = await self._imported(job, source, info, folder)
            else:
                encoded = await self._encoded(reporter, source, info, folder, attempt)
        if job.has_step("export"):
            await reporter.start_step("export")
        output = describe(job, encoded, item.attempt)
        with tracing.span("store", attributes={"size": output.filesize}):
            if job.destination is not None:
                return await self._export(job, item, output, encoded.path)
            await stored.put(output.key, encoded.path, output.content_type)
        return output

    async def _imported(self, job: Job, source: Path, info: MediaInfo, folder: Path) -> JobOutput:
        """The file as it is to be stored. The input is left alone: it may be a stored object."""
        if not job.strip:
            return JobOutput(source, info)
        copy = folder / "import" / "file"
        copy.parent.mkdir()
        await asyncio.to_thread(shutil.copyfile, source, copy)
        with tracing.span("strip"):
            remover = TagRemover(self._tools.fork_server, self._tools.prober)
            return JobOutput(copy, await remover.strip(copy, info))

    async def _encoded(
        self, reporter: ProgressReporter, source: Path, info: MediaInfo, folder: Path, attempt: AttemptSlot
    ) -> JobOutput:
        job = reporter.job
        await attempt.expect(self._estimate(job, info.duration))
        await reporter.start_step(job.kind, 0.0)
        output_folder = folder / "output"
        output_folder.mkdir()
        with tracing.span("encode"):
            return await self._encode(
                JobContext(job, source, info, output_folder, lambda progress: reporter.report(job.kind, progress))
            )

    async def _export(self, job: Job, item: QueueItem, output: Output, path: Path) -> Output:
        """Stores the output where the customer wants it."""
        address = destination_of(job, output, item.started_at_ms or job.created_at)
        await self._s3.store(job, item, address, path, output.content_type, self._queue.is_lost)
        return output.model_copy(update={"location": str(address)})

    def _time_after(self, job: Job) -> int:
        return max(self._now_ms(), job.updated_at + 1)


def fault_of(cause: Cause) -> Fault:
    """The fault that the customer sees of a job without a further attempt (pure). Internal reasons are only logged."""
    match cause:
        case Poisoned():
            return Fault(kind="poisoned", message=FAULTS["poisoned"])
        case LastAttempt(fault=fault):
            return fault or Fault(kind="internal_error", message=FAULTS["internal_error"])


def last_snapshot(item: QueueItem, now: int, *, assume_encoding: bool = False) -> Job:
    """The job as far as its row knows (pure), in whichever process its last attempt ran.

    A worker that crashed early has recorded no step: with `assume_encoding` the job is then taken to be at its last
    step. Otherwise a job without a step has not been started.
    """
    job = Job.model_validate(item.payload)
    step = next((task.kind for task in job.tasks if task.kind == item.step), job.kind if assume_encoding else None)
    if step is None:
        return job
    started = job.start(max(item.started_at_ms or now, job.updated_at + 1))
    return started.step(step, max(now, started.updated_at + 1))


def describe(job: Job, encoded: JobOutput, attempt: int) -> Output:
    """The output of attempt number `attempt` as it is in the job's result (pure).

    Id and path derive from the job and are the same in each attempt; the key in storage is the attempt's own. In a
    media item the file has another name besides, by its label, which other files may get later.
    """
    id = derived("file", job.id, "output")
    extension = FORMATS[encoded.info.format].extension
    file = encoded.info.to_file(id, attempt_key(f"{job.project}/jobs/{job.id}", id, attempt, extension))
    extras = {"placeholder": encoded.placeholder, "background": encoded.background}
    return Output(
        **(file.model_dump() | extras), path=f"{job.id}/{job.kind}.{extension}", warnings=list(encoded.warnings)
    )
