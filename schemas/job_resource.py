"""A job as customers see it: the response to `GET /jobs/{id}` and the body of the webhook.

The types are typed dictionaries, not pydantic models: pydantic makes the OpenAPI document of them, mypy holds the
functions below to them, and orjson renders them as they are. Instances of models with the same fields took three times
as long to make and render (26 µs against 8 µs for a job with three steps), on the way of every POST and webhook.
"""

from typing import Any, Literal

from typing_extensions import TypedDict

from schemas.base import OpenEnum
from schemas.delivery import DeliveryUrls
from schemas.faults import ErrorResource, FaultResource, WarningResource, fault_resource, warning_resource
from schemas.files import Codecs, FileFacts, MediaKind, Output
from schemas.ids import is_id
from schemas.job_progress import eta_ms
from schemas.jobs import EarlierRun, Job, JobKind, Priority, Status, Task, TaskKind, TaskStatus
from schemas.media import label_of


class InputResource(TypedDict):
    """The file that a task works on: an address elsewhere (`external_file`), or a file that is stored here (`file`)."""

    object: Literal["external_file", "file"]
    url: str


class CodecsResource(TypedDict):
    """The codecs of a film or sound by ffmpeg's names; null where there is no such stream."""

    video: str | None
    audio: str | None


class OutputResource(TypedDict):
    """A file: what a job made, or what a task `probe` found. It can be the `input` of a task.

    Sides in display pixels, `duration` in seconds, `filesize` in bytes. `id` is null where the file is not stored here;
    `url` is `s3://bucket/key` where the job stored it there.
    `warnings` say what was rescued from a damaged input, or left out of the output; mostly there are none.
    """

    id: str | None
    object: Literal["external_file", "file"]
    url: str
    kind: OpenEnum[MediaKind]
    format: str
    codecs: CodecsResource | None
    width: int | None
    height: int | None
    duration: float | None
    filesize: int
    warnings: list[WarningResource]


class TaskResource(TypedDict):
    """One step of the job `job_id`. Times in Unix milliseconds; `progress` from 0 to 1.

    `input` is that of the job at the step `import`, `output` that of the job at the step which makes it. While the step
    waits for its next attempt, `retry_at` is its time, and `error` is why the last one failed.
    """

    id: str
    object: Literal["task"]
    job_id: str
    kind: OpenEnum[TaskKind]
    status: OpenEnum[TaskStatus]
    progress: float | None
    input: InputResource | None
    options: dict[str, Any]
    output: OutputResource | None
    error: FaultResource | None
    created_at: int
    started_at: int | None
    finished_at: int | None
    updated_at: int
    retry_at: int | None


class RunResource(TypedDict):
    """The end of an earlier run of a job. Times in Unix milliseconds."""

    run: int
    status: OpenEnum[Status]
    error: FaultResource | None
    started_at: int | None
    finished_at: int | None


class JobResource(TypedDict):
    """A job, in responses and in webhooks. Times in Unix milliseconds; `output` is null until it succeeded.

    The output is a file of the media item `media_id`, under its `label`, where the request says so. `priority` says
    which of the project's queued jobs come first. `run` is 1, and one more after each retry; `earlier_runs` says how
    those before ended, oldest first. `object` is `task` for what was made by `POST /tasks`: with a string as `input`, a
    job like any other; with an object as `input`, a task by itself, which has no `tasks`, and whose `output` can be the
    `input` of the next. `retry_at` is the time of the next attempt while the job waits for it, because the server of
    its input did not give out the file: the task `import` has the reason.
    `destination` is the `output` that was asked for. `eta_ms` is how many milliseconds a running job will probably
    still take, null until that is known. `queue_position` is how many jobs, also of others, are to begin before a
    queued one; null where it is not known.
    """

    id: str
    object: Literal["job", "task"]
    kind: OpenEnum[JobKind]
    status: OpenEnum[Status]
    progress: float | None
    input: str | InputResource
    options: dict[str, Any]
    metadata: dict[str, str]
    output: OutputResource | None
    error: FaultResource | None
    tasks: list[TaskResource]
    media_id: str | None
    label: str | None
    webhook_url: str | None
    created_at: int
    started_at: int | None
    finished_at: int | None
    updated_at: int
    retry_at: int | None
    run: int
    earlier_runs: list[RunResource]
    priority: OpenEnum[Priority]
    eta_ms: int | None
    queue_position: int | None
    destination: str | None
    connection_id: str | None


class CancellationResource(TypedDict):
    """The response to a request to cancel a job: `cancelling` until the worker that has it has stopped it."""

    id: str
    status: Literal["cancelling", "cancelled"]


class PurgeResource(TypedDict):
    """The response to a request to remove a job for good."""

    id: str
    status: Literal["purged"]


class BatchAnswer(TypedDict):
    """The response to one body of `POST /jobs/batch`: status and body as those of `POST /jobs`."""

    status: int
    body: JobResource | ErrorResource


def job_resource(
    job: Job, urls: DeliveryUrls, *, at: int | None = None, queue_position: int | None = None
) -> JobResource:
    """The job as a response. `urls` gives the addresses of its project's files.

    The time left is estimated for the moment `at` (Unix milliseconds), by default that of the snapshot.
    """
    output = _output_of(job, urls)
    return {
        "id": job.id,
        "object": "job" if job.id.startswith("job_") else "task",
        "kind": job.kind,
        "status": job.status,
        "progress": job.progress,
        "input": _input_resource(job, urls) if job.atomic else job.input,
        "options": job.options,
        "metadata": job.metadata,
        "output": output,
        "error": fault_resource(job.error) if job.error else None,
        "tasks": [] if job.atomic else [_task_resource(task, job, output, urls) for task in job.tasks],
        "media_id": job.media_id,
        "label": label_of(job.ref),
        "webhook_url": job.webhook_url,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "updated_at": job.updated_at,
        "retry_at": job.retry_at,
        "run": job.run,
        "earlier_runs": [_run_resource(run) for run in job.earlier_runs],
        "priority": job.priority,
        "eta_ms": eta_ms(job, job.updated_at if at is None else at),
        "queue_position": queue_position if job.status == "queued" else None,
        "destination": job.destination,
        "connection_id": job.connection_id,
    }


def step_resource(job: Job, id: str, urls: DeliveryUrls) -> TaskResource | None:
    """The step of the job that has this id, as a response."""
    step = None if job.atomic else next((task for task in job.tasks if task.id == id), None)
    return None if step is None else _task_resource(step, job, _output_of(job, urls), urls)


def _task_resource(task: Task, job: Job, output: OutputResource | None, urls: DeliveryUrls) -> TaskResource:
    makes = task.kind == job.kind
    return {
        "id": task.id,
        "object": "task",
        "job_id": job.id,
        "kind": task.kind,
        "status": task.status,
        "progress": task.progress,
        "input": _input_resource(job, urls) if task.kind == "import" else None,
        "options": job.options if makes else {},
        "output": output if makes else None,
        "error": fault_resource(task.error) if task.error else None,
        "created_at": task.created_at,
        "started_at": task.started_at,
        "finished_at": task.finished_at,
        "updated_at": task.finished_at or task.started_at or task.created_at,
        "retry_at": task.retry_at,
    }


def _run_resource(run: EarlierRun) -> RunResource:
    return {
        "run": run.run,
        "status": run.status,
        "error": fault_resource(run.error) if run.error else None,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
    }


def _input_resource(job: Job, urls: DeliveryUrls) -> InputResource:
    # By its text, so that the first response shows the same as later ones.
    stored = is_id(job.input, "med", "file") or job.input.startswith(f"{urls.base.rstrip('/')}/{job.project}/")
    return {"object": "file" if stored else "external_file", "url": job.input}


def _output_of(job: Job, urls: DeliveryUrls) -> OutputResource | None:
    if job.output is not None:
        if job.output.location is not None:
            return _file_resource(job.output, job.output.location, None, job.output)
        return _file_resource(job.output, urls.url(job.project, job.output.path), job.output.id, job.output)
    if job.probed is not None:
        return _file_resource(job.probed, job.input, job.source.id if job.source else None, None)
    return None


def _file_resource(file: Output | FileFacts, url: str, id: str | None, output: Output | None) -> OutputResource:
    return {
        "id": id,
        "object": "external_file" if id is None else "file",
        "url": url,
        "kind": file.kind,
        "format": file.format,
        "codecs": _codecs_resource(file.codecs),
        "width": file.width,
        "height": file.height,
        "duration": file.duration,
        "filesize": file.filesize,
        "warnings": [warning_resource(warning) for warning in output.warnings] if output else [],
    }


def _codecs_resource(codecs: Codecs | None) -> CodecsResource | None:
    return None if codecs is None else {"video": codecs.video, "audio": codecs.audio}
