"""How far a job has got, and how long it will probably still take (pure).

What is estimated comes from the measured progress of the attempt that runs: the step that makes the output has had the
share `progress` done in the time since it started, and is taken to go on at that rate. Import and probe are not
estimated: they are mostly short, and their length says nothing about the encode.
"""

from typing import Literal

from typing_extensions import TypedDict

from schemas.base import OpenEnum
from schemas.jobs import Job, JobKind, Status, Task, TaskKind

MIN_PROGRESS = 0.01
"""Below it the rate is mostly the start of the encoder."""
MIN_ELAPSED_MS = 1_000
"""Progress is reported about once a second: an estimate from less would change with each report."""


class JobProgressResource(TypedDict):
    """How far a job has got, in the event `job.progress`. `progress` from 0 to 1; times in milliseconds.

    `step` is the task that runs. `eta_ms` is how long the job will probably still take, null until it is known.
    """

    id: str
    object: Literal["job", "task"]
    kind: OpenEnum[JobKind]
    status: OpenEnum[Status]
    progress: float | None
    eta_ms: int | None
    step: OpenEnum[TaskKind] | None
    updated_at: int


def eta_ms(job: Job, at: int) -> int | None:
    """How many milliseconds the job will probably still take from `at` (Unix milliseconds) on; None if not known."""
    if job.status != "processing" or job.progress is None or job.retry_at is not None:
        return None
    step = running_step(job)
    if step is None or step.kind != job.kind or step.started_at is None or job.progress < MIN_PROGRESS:
        return None
    elapsed = job.updated_at - step.started_at
    if elapsed < MIN_ELAPSED_MS:
        return None
    left = elapsed * (1.0 - job.progress) / job.progress
    return max(0, round(left - max(0, at - job.updated_at)))


def running_step(job: Job) -> Task | None:
    """The task that runs."""
    return next((task for task in job.tasks if task.status == "processing"), None)


def progress_resource(job: Job) -> JobProgressResource:
    """The progress of a job, estimated at the moment of this snapshot."""
    step = running_step(job)
    return {
        "id": job.id,
        "object": "job" if job.id.startswith("job_") else "task",
        "kind": job.kind,
        "status": job.status,
        "progress": job.progress,
        "eta_ms": eta_ms(job, job.updated_at),
        "step": None if step is None else step.kind,
        "updated_at": job.updated_at,
    }
