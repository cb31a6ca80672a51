"""Progress reports: which events and writes one attempt makes."""

import asyncio
from typing import cast

import pytest

from chassis.runtime.job_queue import JobQueue, LeaseLost, QueueItem
from schemas.events import Event, JobProgressed, JobStarted
from tests.support.waiting import until
from tests.worker.test_runner import ITEM, JOB
from worker.progress import ProgressReporter


class RecordingQueue:
    """The part of JobQueue that a reporter uses. `error` is raised by every write."""

    def __init__(self, error: Exception | None = None) -> None:
        self.events: list[Event] = []
        self.steps: list[str] = []
        self.writes = 0
        self._error = error

    async def emit(self, item: QueueItem, *events: Event) -> None:
        self._fail()
        self.events.extend(events)

    async def set_step(self, item: QueueItem, step: str) -> None:
        self._fail()
        self.steps.append(step)
        item.step = step

    def _fail(self) -> None:
        self.writes += 1
        if self._error is not None:
            raise self._error


class RecordingPublisher:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def publish(self, event: Event) -> None:
        self.events.append(event)


def reporter(
    queue: RecordingQueue,
    publisher: RecordingPublisher,
    *,
    first_report_s: float = 0.0,
    interval_s: float = 0.001,
    crashed: int = 0,
) -> ProgressReporter:
    item = QueueItem(
        JOB.id, JOB.project, "video", ITEM.payload, attempt=1, worker="w", cancelled=False, crashed=crashed
    )
    return ProgressReporter(
        JOB,
        item,
        cast(JobQueue, queue),
        publisher,
        lambda: 2000,
        first_report_s=first_report_s,
        interval_s=interval_s,
    )


async def test_a_started_job_reports_its_steps_and_progress() -> None:
    queue, publisher = RecordingQueue(), RecordingPublisher()
    async with reporter(queue, publisher) as progress:
        await until(lambda: queue.events)
        progress.report("import")
        await until(lambda: queue.steps == ["import"])
        progress.report("video", 0.5)
        await until(lambda: queue.steps == ["import", "video"])
    assert [type(event) for event in queue.events] == [JobStarted]
    last = publisher.events[-1]
    assert isinstance(last, JobProgressed) and last.job.progress == 0.5
    times = [event.job.updated_at for event in publisher.events if isinstance(event, JobProgressed)]
    assert times == sorted(set(times))


async def test_reports_of_the_same_interval_are_one_and_steps_are_written_once() -> None:
    queue, publisher = RecordingQueue(), RecordingPublisher()
    async with reporter(queue, publisher, interval_s=60.0) as progress:
        for share in range(100):
            progress.report("video", share / 100)
        await until(lambda: queue.steps)
    assert queue.steps == ["video"]
    assert len(publisher.events) == 1


async def test_a_job_that_ends_before_the_first_report_costs_none() -> None:
    queue, publisher = RecordingQueue(), RecordingPublisher()
    async with reporter(queue, publisher, first_report_s=60.0) as progress:
        progress.report("video", 0.5)
    assert queue.steps == [] and publisher.events == []


async def test_a_suspect_records_each_step_before_it_begins() -> None:
    queue, publisher = RecordingQueue(), RecordingPublisher()
    async with reporter(queue, publisher, first_report_s=60.0, crashed=1) as progress:
        await progress.start_step("import")
        assert queue.steps == ["import"]
        await progress.start_step("video", 0.0)
        assert queue.steps == ["import", "video"]


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
async def test_an_attempt_that_ends_without_a_result_records_its_step(error: type[BaseException]) -> None:
    queue, publisher = RecordingQueue(), RecordingPublisher()
    with pytest.raises(error):
        async with reporter(queue, publisher, first_report_s=60.0) as progress:
            progress.report("import")
            progress.report("probe")
            raise error
    assert queue.steps == ["probe"]


@pytest.mark.parametrize("error", [ConnectionError("away"), LeaseLost(ITEM)])
async def test_reports_that_cannot_be_written_are_dropped(error: Exception) -> None:
    queue, publisher = RecordingQueue(error), RecordingPublisher()
    async with reporter(queue, publisher) as progress:
        progress.report("import")
        await until(lambda: queue.writes >= 2)
        progress.report("probe")
        await until(lambda: queue.writes >= 3)
    assert queue.steps == []
    assert len(publisher.events) == 2
