"""What a job's output is called, and how jobs end that no attempt ended: from the queue row alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from chassis.runtime.job_queue import Cause, LastAttempt, Poisoned, QueueItem
from media.info import MediaInfo
from schemas.faults import Fault, output_warning
from schemas.ids import derived
from schemas.jobs import Job
from worker.runner import JobOutput, describe, fault_of, last_snapshot

JOB = Job.queued(
    id="job_01h455vb4pex5vsknk084sn02q",
    project="prj_1",
    kind="video",
    input="https://example.com/clip.mov",
    options={},
    metadata={},
    at=1000,
)
ITEM = QueueItem(
    id=JOB.id,
    project=JOB.project,
    kind="video",
    payload=JOB.model_dump(mode="json"),
    attempt=3,
    worker="w",
    cancelled=False,
)
MADE = JobOutput(
    Path("/x/video.mp4"),
    MediaInfo(kind="image", format="jpeg", content_type="image/jpeg", filesize=7, width=2, height=2),
)
UNREACHABLE = Fault(kind="input_unreachable", message="The server that holds the file answered 503.")


def test_the_warnings_of_an_encoder_are_in_the_output() -> None:
    made = JobOutput(MADE.path, MADE.info, warnings=(output_warning("end_missing", "The last line is missing."),))
    output = describe(JOB, made, 1)
    assert [(warning.kind, warning.message) for warning in output.warnings] == [
        ("end_missing", "The last line is missing.")
    ]


def statuses(job: Job) -> list[str]:
    return [task.status for task in job.tasks]


def test_id_and_path_of_an_output_derive_from_its_job_and_its_key_from_the_attempt_too() -> None:
    output = describe(JOB, MADE, 3)
    assert output.id == derived("file", JOB.id, "output")
    assert output.key == f"prj_1/jobs/{JOB.id}/{output.id}-3.jpg"
    assert output.path == f"{JOB.id}/video.jpg"
    assert describe(JOB, MADE, 3) == output
    other = describe(JOB, MADE, 4)
    assert (other.id, other.path) == (output.id, output.path) and other.key != output.key


def test_the_path_of_an_output_is_its_own_whatever_its_label() -> None:
    job = JOB.model_copy(update={"media_id": "med_1", "ref": "poster"})
    made = JobOutput(MADE.path, MADE.info, placeholder="data:x", background="#102030")
    output = describe(job, made, 1)
    assert (output.path, output.placeholder, output.background) == (f"{JOB.id}/video.jpg", "data:x", "#102030")


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (Poisoned(), "poisoned"),
        (LastAttempt("unexpected_status status=503", UNREACHABLE), "input_unreachable"),
        (LastAttempt("OSError: /srv/secret-path", None), "internal_error"),
    ],
)
def test_the_customer_sees_the_fault_and_never_the_reason(cause: Cause, kind: str) -> None:
    fault = fault_of(cause)
    assert fault.kind == kind
    assert "secret" not in fault.message and "status=" not in fault.message


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("import", ["processing", "waiting", "waiting", "waiting"]),
        ("probe", ["succeeded", "processing", "waiting", "waiting"]),
        ("video", ["succeeded", "succeeded", "processing", "waiting"]),
    ],
)
def test_a_snapshot_from_the_row_is_at_the_recorded_step(step: str, expected: list[str]) -> None:
    job = last_snapshot(replace(ITEM, step=step, started_at_ms=2000), 5000)
    assert statuses(job) == expected
    assert (job.status, job.started_at, job.updated_at) == ("processing", 2000, 5000)


def test_a_job_without_a_step_was_not_started() -> None:
    assert last_snapshot(replace(ITEM, step=None), 5000) == JOB
    assert last_snapshot(replace(ITEM, step="a step of a newer release"), 5000) == JOB


def test_a_worker_that_crashed_before_it_recorded_a_step_was_probably_encoding() -> None:
    job = last_snapshot(replace(ITEM, step=None), 5000, assume_encoding=True)
    assert statuses(job) == ["succeeded", "succeeded", "processing", "waiting"]


def test_a_snapshot_is_newer_than_the_one_before_although_clocks_differ() -> None:
    job = last_snapshot(replace(ITEM, step="probe", started_at_ms=5), 10)
    assert job.updated_at > JOB.updated_at
