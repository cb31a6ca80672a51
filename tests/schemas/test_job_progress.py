"""How long a job will probably still take, and how its progress is shown."""

import pytest

from schemas.faults import Fault
from schemas.job_progress import eta_ms, progress_resource
from schemas.jobs import Job

AT = 1_790_000_000_000
ID = "job_01h455vb4pex5vsknk084sn02q"


def job() -> Job:
    return Job.queued(
        id=ID, project="prj_01h455vb4pex5vsknk084sn02q", kind="video", input="u", options={}, metadata={}, at=AT
    )


def encoding(progress: float, elapsed_ms: int) -> Job:
    """The job whose encode began a second after its start and has had `progress` done after `elapsed_ms`."""
    return job().start(AT).step("video", AT + 1_000, 0.0).step("video", AT + 1_000 + elapsed_ms, progress)


@pytest.mark.parametrize(
    ("progress", "elapsed_ms", "left_ms"),
    [(0.5, 8_000, 8_000), (0.25, 10_000, 30_000), (0.01, 2_000, 198_000), (1.0, 60_000, 0)],
)
def test_the_rate_so_far_is_taken_to_go_on(progress: float, elapsed_ms: int, left_ms: int) -> None:
    running = encoding(progress, elapsed_ms)
    assert eta_ms(running, running.updated_at) == left_ms


def test_the_time_since_the_last_report_counts_and_an_overdue_job_has_no_time_left() -> None:
    running = encoding(0.5, 8_000)
    assert eta_ms(running, running.updated_at + 3_000) == 5_000
    assert eta_ms(running, running.updated_at + 60_000) == 0
    assert eta_ms(running, running.updated_at - 500) == 8_000, "clocks of two machines may differ"


def test_nothing_is_known_before_there_is_progress() -> None:
    importing = job().start(AT)
    for snapshot in (job(), importing, importing.step("probe", AT + 9_000), encoding(0.0, 9_000), encoding(0.5, 900)):
        assert eta_ms(snapshot, AT + 10_000) is None


def test_nothing_is_known_while_a_job_waits_for_its_next_attempt_or_has_ended() -> None:
    running = encoding(0.5, 8_000)
    fault = Fault(kind="input_empty", message="no bytes")
    assert eta_ms(running.retry(fault, AT + 20_000, AT + 30_000), AT + 20_000) is None
    assert eta_ms(running.fail(fault, AT + 20_000), AT + 20_000) is None
    again = running.start(AT + 20_000)
    assert eta_ms(again, AT + 21_000) is None, "the next attempt begins anew"


def test_progress_is_shown_with_its_step() -> None:
    running = encoding(0.5, 8_000)
    assert progress_resource(running) == {
        "id": ID,
        "object": "job",
        "kind": "video",
        "status": "processing",
        "progress": 0.5,
        "eta_ms": 8_000,
        "step": "video",
        "updated_at": running.updated_at,
    }
    assert progress_resource(job().start(AT).step("probe", AT + 5))["step"] == "probe"
