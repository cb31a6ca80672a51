"""How jobs end and what their outputs are called, without a worker."""

from pathlib import Path

import pytest

from chassis.runtime.job_queue import Cause, LastAttempt, Poisoned, QueueItem
from media.info import MediaInfo
from schemas.events import JobCancelled, JobFailed
from schemas.faults import Fault
from schemas.ids import derived
from schemas.jobs import Job
from worker.runner import JobOutput, describe
from worker.terminal_events import Endings, fault_of

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
    id=JOB.id, project=JOB.project, kind="video", payload=JOB.model_dump(), attempt=3, worker="w", cancelled=False
)
MADE = JobOutput(
    Path("/x/video.mp4"),
    MediaInfo(kind="image", format="jpeg", content_type="image/jpeg", filesize=7, width=2, height=2),
)


def test_an_output_s_names_follow_from_its_job() -> None:
    output = describe(JOB, MADE)
    assert output.id == derived("file", JOB.id, "output")
    assert output.key == f"prj_1/jobs/{JOB.id}/{output.id}.jpg"
    assert output.path == f"{JOB.id}/video.jpg"
    assert describe(JOB, MADE) == output


def test_an_output_of_a_media_item_is_named_by_its_label() -> None:
    job = JOB.model_copy(update={"media_id": "med_1", "ref": "poster"})
    made = JobOutput(MADE.path, MADE.info, placeholder="data:x", background="#102030")
    output = describe(job, made)
    assert (output.path, output.placeholder, output.background) == ("med_1/poster.jpg", "data:x", "#102030")


UNREACHABLE = Fault(kind="input_unreachable", message="The server said 503.")


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (Poisoned(), "poisoned"),
        (LastAttempt("503", UNREACHABLE), "input_unreachable"),
        (LastAttempt("StorageFull: no room on /srv/secret-path"), "internal_error"),
    ],
)
def test_causes_become_faults_that_can_be_shown(cause: Cause, kind: str) -> None:
    fault = fault_of(cause)
    assert fault.kind == kind
    assert "secret" not in fault.message


async def test_a_job_that_was_tried_elsewhere_fails_at_the_step_that_the_cause_names() -> None:
    endings = Endings(lambda: 5000)
    causes: list[tuple[Cause, list[str]]] = [
        (LastAttempt("no", UNREACHABLE), ["failed", "cancelled", "cancelled"]),
        (Poisoned(), ["succeeded", "succeeded", "failed"]),
    ]
    for cause, statuses in causes:
        done = await endings.exhausted(ITEM, cause)
        (event,) = done.events
        assert isinstance(event, JobFailed) and done.state == "failed"
        assert [task.status for task in event.job.tasks] == statuses


async def test_a_cancelled_job_shows_how_far_it_came() -> None:
    endings = Endings(lambda: 5000)
    endings.remember(ITEM, JOB.start(2000).step("probe", 3000))
    done = await endings.on_cancel(ITEM)
    (event,) = done.events
    assert isinstance(event, JobCancelled)
    assert [task.status for task in event.job.tasks] == ["succeeded", "cancelled", "cancelled"]
    assert event.job.started_at == 2000


async def test_an_end_is_later_than_what_came_before_it_although_clocks_differ() -> None:
    done = await Endings(lambda: 10).on_cancel(ITEM)
    (event,) = done.events
    assert isinstance(event, JobCancelled) and event.job.updated_at > JOB.updated_at
