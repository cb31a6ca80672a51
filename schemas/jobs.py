"""The job: one input becomes one output. Its states and the transitions between them (pure)."""

from collections.abc import Mapping
from typing import Any, Literal, Protocol

from schemas.base import EventModel, OpenEnum, Unknown
from schemas.connections import ConnectionAccess
from schemas.faults import Fault
from schemas.files import File, FileFacts, Output
from schemas.ids import derived
from schemas.storable import IdText, Share, StoredMetadata, StoredObject, StoredText, TimestampMs, Version

JobKind = Literal["video", "image", "probe", "import"]
Status = Literal["queued", "processing", "succeeded", "failed", "cancelled"]
TaskKind = Literal["import", "probe", "video", "image", "export"]
TaskStatus = Literal["waiting", "queued", "processing", "succeeded", "failed", "cancelled"]

Priority = Literal["low", "normal", "high"]
"""Which of a project's own jobs come first; it gives no advantage over other projects."""

TERMINAL: frozenset[Status] = frozenset({"succeeded", "failed", "cancelled"})
RANK: dict[Status | Unknown, int] = {
    "queued": 0,
    # A status of a newer release: the job has begun, and as far as this release can tell it has not ended.
    "unknown": 1,
    "processing": 1,
    "succeeded": 2,
    "failed": 2,
    "cancelled": 2,
}
"""The later stage of a job wins over the later arrival of an event."""


def steps_of(kind: JobKind) -> tuple[TaskKind, ...]:
    """The steps of a job, in their order: `export` stores the output."""
    match kind:
        case "probe":
            return ("import", "probe")
        case "import":
            return ("import", "probe", "export")
        case _:
            return ("import", "probe", kind, "export")


class Task(EventModel):
    """One step of a job. Times in Unix milliseconds; `progress` from 0 to 1.

    `retry_at` is set while the step waits for its next attempt, because `error` ended the last one.
    """

    id: IdText
    kind: OpenEnum[TaskKind]
    status: OpenEnum[TaskStatus] = "waiting"
    progress: Share | None = None
    error: Fault | None = None
    created_at: TimestampMs
    started_at: TimestampMs | None = None
    finished_at: TimestampMs | None = None
    retry_at: TimestampMs | None = None


class EarlierRun(EventModel):
    """How a run of a job ended that was followed by another one. Times in Unix milliseconds."""

    run: Version
    status: OpenEnum[Status]
    error: Fault | None = None
    started_at: TimestampMs | None = None
    finished_at: TimestampMs | None = None


class Job(EventModel):
    """A job. Events carry the complete job, so that their readers need nothing else.

    `run` counts from 1: a customer may have a job that failed or was cancelled run again. Each run has one end;
    `earlier_runs` has those of the runs before, oldest first.

    `source` is set where the input is a stored file of the project, so that nothing is fetched. Where such a file is
    not there yet, `waits_for` is the id of the media item or job whose file it will be: workers leave the job alone
    until it is announced without it. `input_fault` says why that file will never come: the worker ends the job with it.

    The output is attached to the media item `media_id` under the label `ref` (`poster`); the id of the output stands
    for no label. `atomic`: a task that a customer requested by itself; `probed` are the facts that one of kind `probe`
    found. `strip`: one of kind `import` stores the file without tags of place and device. Times in Unix milliseconds;
    `retry_at` is when the next attempt is made, while the job waits for it: its step has the reason.

    An address that may carry a signature or a password is in `input` or `webhook_url` with those parts masked, and as a
    whole in `encrypted_input` or `encrypted_webhook_url`, which only the service decrypts that contacts the address.

    `destination` is the address at which the customer wants the output, `s3://bucket/key` with templates. The stores of
    input and output are reached by the connection `connection_id`, without one with the installation's own credentials.
    `connection` says how; only a job that waits for a worker has it.
    """

    id: IdText
    project: IdText
    kind: OpenEnum[JobKind]
    input: StoredText
    encrypted_input: StoredText | None = None
    options: StoredObject = {}
    metadata: StoredMetadata = {}
    webhook_url: StoredText | None = None
    encrypted_webhook_url: StoredText | None = None
    media_id: IdText | None = None
    ref: IdText | None = None
    source: File | None = None
    waits_for: IdText | None = None
    input_fault: Fault | None = None
    atomic: bool = False
    strip: bool = False
    status: OpenEnum[Status] = "queued"
    progress: Share | None = None
    output: Output | None = None
    probed: FileFacts | None = None
    error: Fault | None = None
    tasks: list[Task] = []
    created_at: TimestampMs
    started_at: TimestampMs | None = None
    finished_at: TimestampMs | None = None
    updated_at: TimestampMs
    retry_at: TimestampMs | None = None
    run: Version = 1
    earlier_runs: list[EarlierRun] = []
    priority: OpenEnum[Priority] = "normal"
    destination: StoredText | None = None
    connection_id: IdText | None = None
    connection: ConnectionAccess | None = None

    @classmethod
    def queued(
        cls,
        *,
        id: str,
        project: str,
        kind: JobKind,
        input: str,
        options: dict[str, Any],
        metadata: dict[str, str],
        at: int,
        webhook_url: str | None = None,
        encrypted_input: str | None = None,
        encrypted_webhook_url: str | None = None,
        media_id: str | None = None,
        ref: str | None = None,
        source: File | None = None,
        waits_for: str | None = None,
        input_fault: Fault | None = None,
        atomic: bool = False,
        strip: bool = False,
        priority: Priority = "normal",
        destination: str | None = None,
        connection_id: str | None = None,
        connection: ConnectionAccess | None = None,
    ) -> "Job":
        """A new job with its steps."""
        tasks = [Task(id=derived("task", id, step), kind=step, created_at=at) for step in steps_of(kind)]
        return cls(
            id=id,
            project=project,
            kind=kind,
            input=input,
            options=options,
            metadata=metadata,
            webhook_url=webhook_url,
            encrypted_input=encrypted_input,
            encrypted_webhook_url=encrypted_webhook_url,
            media_id=media_id,
            ref=ref,
            source=source,
            waits_for=waits_for,
            input_fault=input_fault,
            atomic=atomic,
            strip=strip,
            priority=priority,
            destination=destination,
            connection_id=connection_id,
            connection=connection,
            tasks=tasks,
            created_at=at,
            updated_at=at,
        )

    def run_again(self, run: int, earlier_runs: list[EarlierRun], at: int) -> "Job":
        """A queued job as its run number `run`, which was requested `at`."""
        return self._with(run=run, earlier_runs=earlier_runs, updated_at=at)

    def with_input(self, *, source: File | None, waits_for: str | None, fault: Fault | None) -> "Job":
        """The job whose input is a stored file, or waits for one, or will never have it."""
        return self._with(source=source, waits_for=waits_for, input_fault=fault)

    def with_connection(self, connection: ConnectionAccess | None) -> "Job":
        """The job with what a worker needs to reach its stores; None where its connection was deleted."""
        return self._with(connection=connection)

    @property
    def finished(self) -> bool:
        return self.status in TERMINAL

    def has_step(self, kind: TaskKind) -> bool:
        """Whether the job has this step: jobs of an earlier release have none to store the output."""
        return any(task.kind == kind for task in self.tasks)

    def start(self, at: int) -> "Job":
        """An attempt begins: the first step runs, the others wait (again)."""
        tasks = [task.model_copy(update=_WAITING) for task in self.tasks]
        if tasks:
            tasks[0] = tasks[0].model_copy(update={"status": "processing", "started_at": at})
        return self._with(
            status="processing",
            progress=0.0,
            tasks=tasks,
            started_at=self.started_at or at,
            updated_at=at,
            retry_at=None,
            connection=None,
        )

    def retry(self, error: Fault, at: int, retry_at: int) -> "Job":
        """The step that runs has failed for a passing cause: it waits for the next attempt, at `retry_at`."""
        waiting = {**_WAITING, "error": error, "retry_at": retry_at}
        tasks = [task.model_copy(update=waiting) if task.status == "processing" else task for task in self.tasks]
        return self._with(tasks=tasks, updated_at=at, retry_at=retry_at)

    def step(self, kind: TaskKind | Unknown, at: int, progress: float | None = None) -> "Job":
        """The step `kind` runs and those before it have succeeded. `progress` is the step's own, from 0 to 1."""
        position = next(index for index, task in enumerate(self.tasks) if task.kind == kind)
        tasks = [_succeeded(task, at) if index < position else task for index, task in enumerate(self.tasks)]
        current = tasks[position]
        tasks[position] = current.model_copy(
            update={"status": "processing", "progress": progress, "started_at": current.started_at or at}
        )
        # The job's progress is that of the step that makes the output; importing and probing do not show.
        job_progress = progress if kind == self.kind and progress is not None else self.progress
        return self._with(tasks=tasks, progress=job_progress, updated_at=at)

    def succeed(self, output: Output | None, at: int, probed: FileFacts | None = None) -> "Job":
        """The output is stored, or the facts of a probe are known; every step has succeeded."""
        return self._with(
            status="succeeded",
            progress=1.0,
            output=output,
            probed=probed,
            tasks=[_succeeded(task, at) for task in self.tasks],
            finished_at=at,
            updated_at=at,
        )

    def fail(self, error: Fault, at: int) -> "Job":
        """The step that runs has failed; those after it are cancelled."""
        tasks = []
        for task in self.tasks:
            if task.status == "processing":
                task = task.model_copy(update={"status": "failed", "error": error, "finished_at": at})
            elif task.status in ("waiting", "queued"):
                task = task.model_copy(update={"status": "cancelled", "finished_at": at})
            tasks.append(task)
        return self._with(status="failed", error=error, tasks=tasks, finished_at=at, updated_at=at, connection=None)

    def cancel(self, at: int) -> "Job":
        """What has not ended is cancelled."""
        unfinished = ("waiting", "queued", "processing")
        tasks = [
            task.model_copy(update={"status": "cancelled", "finished_at": at}) if task.status in unfinished else task
            for task in self.tasks
        ]
        return self._with(status="cancelled", tasks=tasks, finished_at=at, updated_at=at, connection=None)

    def _with(self, **changes: Any) -> "Job":
        return self.model_copy(update=changes)


_WAITING: Mapping[str, str | None] = {
    "status": "waiting",
    **dict.fromkeys(("progress", "started_at", "finished_at", "error", "retry_at")),
}
"""The fields of a step that waits."""


def url_context(project: str, field: Literal["input", "webhook_url", "media_url"]) -> str:
    """What an encrypted address is bound to: it cannot be decrypted as that of another project or field."""
    return f"{project}:{field}"


def _succeeded(task: Task, at: int) -> Task:
    if task.status == "succeeded":
        return task
    changes = {"status": "succeeded", "progress": 1.0, "started_at": task.started_at or at, "finished_at": at}
    return task.model_copy(update=changes)


class JobState(Protocol):
    """A job, or what is kept of one to compare it."""

    @property
    def status(self) -> Status | Unknown: ...

    @property
    def updated_at(self) -> int: ...

    @property
    def run(self) -> int: ...


def supersedes(incoming: JobState, current: JobState) -> bool:
    """Whether an incoming snapshot replaces the current one.

    Events may come twice and out of order; the end of a run is final, and a later run wins.
    """
    if incoming.run != current.run:
        return incoming.run > current.run
    if current.status in TERMINAL:
        return False
    return (RANK[incoming.status], incoming.updated_at) > (RANK[current.status], current.updated_at)
