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
from schemas.files import MediaKind, Output
from schemas.jobs import EarlierRun, Job, JobKind, Priority, Status, Task, TaskKind, TaskStatus


class OutputResource(TypedDict):
    """The file that a job made. Sides in display pixels, `duration` in seconds, `filesize` in bytes.

    `warnings` say what was rescued from a damaged input, or left out of the output; mostly there are none.
    """

    url: str
    kind: OpenEnum[MediaKind]
    format: str
    width: int | None
    height: int | None
    duration: float | None
    filesize: int
    warnings: list[WarningResource]


class TaskResource(TypedDict):
    """One step of a job. Times in Unix milliseconds; `progress` from 0 to 1.

    While the step waits for its next attempt, `retry_at` is its time, and `error` is why the last one failed.
    """

    id: str
    object: Literal["task"]
    kind: OpenEnum[TaskKind]
    status: OpenEnum[TaskStatus]
    progress: float | None
    options: dict[str, Any]
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

    `priority` says which of the project's queued jobs come first. `run` is 1, and one more after each retry;
    `earlier_runs` says how those before ended, oldest first.
    `object` is `task` for jobs that were made by `POST /tasks`. `retry_at` is the time of the next attempt while the
    job waits for it, because the server of its input did not give out the file: the task `import` has the reason.
    """

    id: str
    object: Literal["job", "task"]
    kind: OpenEnum[JobKind]
    status: OpenEnum[Status]
    progress: float | None
    input: str
    options: dict[str, Any]
    metadata: dict[str, str]
    output: OutputResource | None
    error: FaultResource | None
    tasks: list[TaskResource]
    media_id: str | None
    webhook_url: str | None
    created_at: int
    started_at: int | None
    finished_at: int | None
    updated_at: int
    retry_at: int | None
    run: int
    earlier_runs: list[RunResource]
    priority: OpenEnum[Priority]


class CancellationResource(TypedDict):
    """The response to a request to cancel a job: `cancelling` until the worker that has it has stopped it."""

    id: str
    status: Literal["cancelling", "cancelled"]


class BatchAnswer(TypedDict):
    """The response to one body of `POST /jobs/batch`: status and body as those of `POST /jobs`."""

    status: int
    body: JobResource | ErrorResource


def job_resource(job: Job, urls: DeliveryUrls) -> JobResource:
    """The job as a response. `urls` gives the addresses of its project's files."""
    return {
        "id": job.id,
        "object": "job" if job.id.startswith("job_") else "task",
        "kind": job.kind,
        "status": job.status,
        "progress": job.progress,
        "input": job.input,
        "options": job.options,
        "metadata": job.metadata,
        "output": _output_resource(job.output, job.project, urls) if job.output else None,
        "error": fault_resource(job.error) if job.error else None,
        "tasks": [task_resource(task, job.options if task.kind == job.kind else {}) for task in job.tasks],
        "media_id": job.media_id,
        "webhook_url": job.webhook_url,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "updated_at": job.updated_at,
        "retry_at": job.retry_at,
        "run": job.run,
        "earlier_runs": [_run_resource(run) for run in job.earlier_runs],
        "priority": job.priority,
    }


def task_resource(task: Task, options: dict[str, Any]) -> TaskResource:
    """One step of a job. `options` are the job's where the step is the one that makes the output, else empty."""
    return {
        "id": task.id,
        "object": "task",
        "kind": task.kind,
        "status": task.status,
        "progress": task.progress,
        "options": options,
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


def _output_resource(output: Output, project: str, urls: DeliveryUrls) -> OutputResource:
    return {
        "url": urls.url(project, output.path),
        "kind": output.kind,
        "format": output.format,
        "width": output.width,
        "height": output.height,
        "duration": output.duration,
        "filesize": output.filesize,
        "warnings": [warning_resource(warning) for warning in output.warnings],
    }
