"""The states of a job and the transitions between them."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.faults import Fault
from schemas.files import Output
from schemas.ids import typeid, uuid7
from schemas.jobs import Job, JobKind, supersedes

ID = typeid("job", uuid7(1_000, b"0123456789"))
OUTPUT = Output(
    id="file_x", key="k", kind="video", format="mp4", content_type="video/mp4", filesize=1, path="job/video.mp4"
)
FAULT = Fault(kind="input_empty", message="The input has no bytes.")


def queued() -> Job:
    return Job.queued(
        id=ID, project="prj_a", kind="video", input="https://example.com/a", options={}, metadata={"a": "b"}, at=1_000
    )


def statuses(job: Job) -> list[str]:
    return [task.status for task in job.tasks]


def test_a_new_job_waits_with_its_four_steps() -> None:
    job = queued()
    assert (job.status, job.progress, job.output, job.error) == ("queued", None, None, None)
    assert [task.kind for task in job.tasks] == ["import", "probe", "video", "export"]
    assert statuses(job) == ["waiting"] * 4
    assert (job.created_at, job.updated_at, job.started_at, job.finished_at) == (1_000, 1_000, None, None)
    assert not job.finished


def test_a_task_by_itself_has_the_steps_of_its_kind() -> None:
    fields: dict[str, Any] = {"id": ID, "project": "prj_a", "input": "i", "options": {}, "metadata": {}, "at": 1}
    kinds: dict[JobKind, list[str]] = {"probe": ["import", "probe"], "import": ["import", "probe", "export"]}
    for kind, steps in kinds.items():
        assert [task.kind for task in Job.queued(kind=kind, atomic=True, **fields).tasks] == steps


def test_a_job_of_an_earlier_release_has_no_step_that_stores_its_output() -> None:
    job = queued()
    assert job.has_step("export")
    assert not job.model_copy(update={"tasks": job.tasks[:3]}).has_step("export")


def test_the_ids_of_its_steps_follow_from_its_own() -> None:
    assert [task.id for task in queued().tasks] == [task.id for task in queued().tasks]
    assert len({task.id for task in queued().tasks}) == 4


def test_a_started_job_is_at_its_first_step() -> None:
    job = queued().start(2_000)
    assert (job.status, job.progress, job.started_at, job.updated_at) == ("processing", 0.0, 2_000, 2_000)
    assert statuses(job) == ["processing", "waiting", "waiting", "waiting"]
    assert job.tasks[0].started_at == 2_000


def test_a_step_ends_those_before_it() -> None:
    job = queued().start(2_000).step("probe", 3_000)
    assert statuses(job) == ["succeeded", "processing", "waiting", "waiting"]
    assert (job.tasks[0].started_at, job.tasks[0].finished_at, job.tasks[0].progress) == (2_000, 3_000, 1.0)
    job = job.step("video", 4_000, 0.25)
    assert statuses(job) == ["succeeded", "succeeded", "processing", "waiting"]
    assert (job.tasks[1].started_at, job.tasks[1].finished_at) == (3_000, 4_000)


def test_the_progress_of_the_job_is_that_of_its_own_step() -> None:
    job = queued().start(2_000).step("import", 2_500, 0.9)
    assert (job.progress, job.tasks[0].progress) == (0.0, 0.9)
    job = job.step("video", 3_000, 0.4)
    assert (job.progress, job.tasks[2].progress) == (0.4, 0.4)
    assert job.step("video", 3_500, 0.8).tasks[2].started_at == 3_000


def test_success_ends_every_step() -> None:
    job = queued().start(2_000).step("probe", 3_000).succeed(OUTPUT, 5_000)
    assert (job.status, job.progress, job.output, job.error) == ("succeeded", 1.0, OUTPUT, None)
    assert statuses(job) == ["succeeded"] * 4
    assert (job.finished_at, job.updated_at, job.finished) == (5_000, 5_000, True)


def test_failure_marks_the_step_under_way_and_cancels_the_rest() -> None:
    job = queued().start(2_000).step("probe", 3_000).fail(FAULT, 4_000)
    assert (job.status, job.error, job.output) == ("failed", FAULT, None)
    assert statuses(job) == ["succeeded", "failed", "cancelled", "cancelled"]
    assert job.tasks[1].error == FAULT
    assert [task.finished_at for task in job.tasks] == [3_000, 4_000, 4_000, 4_000]


def test_a_job_can_fail_before_it_starts() -> None:
    job = queued().fail(FAULT, 2_000)
    assert (job.status, statuses(job)) == ("failed", ["cancelled"] * 4)


def test_cancelling_ends_what_is_open_and_leaves_what_is_done() -> None:
    job = queued().start(2_000).step("probe", 3_000).cancel(4_000)
    assert (job.status, job.finished_at) == ("cancelled", 4_000)
    assert statuses(job) == ["succeeded", "cancelled", "cancelled", "cancelled"]
    assert queued().cancel(4_000).status == "cancelled"


def test_another_attempt_starts_the_steps_over_but_not_the_job_s_clock() -> None:
    job = queued().start(2_000).step("video", 3_000, 0.7).start(9_000)
    assert (job.status, job.progress, job.started_at, job.updated_at) == ("processing", 0.0, 2_000, 9_000)
    assert statuses(job) == ["processing", "waiting", "waiting", "waiting"]
    assert [task.progress for task in job.tasks] == [None] * 4


def test_transitions_leave_the_job_they_start_from_alone() -> None:
    job = queued()
    before = job.model_dump()
    job.start(2_000).step("video", 3_000, 0.5).succeed(OUTPUT, 4_000)
    assert job.model_dump() == before


def test_a_job_survives_the_way_through_json() -> None:
    job = queued().start(2_000).step("video", 3_000, 0.5).succeed(OUTPUT, 4_000)
    assert Job.model_validate_json(job.model_dump_json()) == job


def history() -> list[Job]:
    first = queued()
    started = first.start(2_000)
    halfway = started.step("video", 3_000, 0.5)
    again = halfway.start(4_000)
    return [first, started, halfway, again, again.succeed(OUTPUT, 5_000)]


def test_each_state_supersedes_the_one_before_and_never_the_other_way_round() -> None:
    for earlier, later in pairwise(history()):
        assert supersedes(later, earlier)
        assert not supersedes(earlier, later)
        assert not supersedes(later, later)


@pytest.mark.parametrize("other", [queued().fail(FAULT, 9_000), queued().cancel(9_000), queued().start(9_000)])
def test_the_end_of_a_job_stays_its_end(other: Job) -> None:
    assert not supersedes(other, history()[-1])


def test_an_end_supersedes_even_where_the_clocks_of_workers_differ() -> None:
    ahead = queued().start(9_000)
    assert supersedes(queued().succeed(OUTPUT, 5_000), ahead)


def test_a_later_run_supersedes_the_end_of_an_earlier_one() -> None:
    failed = queued().fail(FAULT, 9_000)
    again = queued().run_again(2, [], 3_000)
    assert supersedes(again, failed)
    assert not supersedes(failed, again)
    assert not supersedes(failed, again.start(4_000))
    assert supersedes(again.cancel(5_000), again)
    assert not supersedes(again, again.cancel(5_000))


@given(st.lists(st.integers(0, 4), min_size=1).map(lambda seen: [*seen, 0, 1, 2, 3, 4]).flatmap(st.permutations))
def test_in_whatever_order_and_how_often_snapshots_come_the_same_state_comes_out(order: list[int]) -> None:
    jobs = history()
    current = jobs[order[0]]
    for index in order[1:]:
        if supersedes(jobs[index], current):
            current = jobs[index]
    assert current == jobs[-1]
