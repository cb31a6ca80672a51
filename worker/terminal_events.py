"""How jobs end that no attempt ended: cancelled, or tried too often."""

from collections.abc import Callable

from chassis.runtime.job_queue import Cause, Complete, LastAttempt, Poisoned, QueueItem
from schemas.events import JobCancelled, JobFailed
from schemas.faults import FAULTS, Fault, FaultKind
from schemas.jobs import Job

_REMEMBERED = 1000
# Faults of fetching that are worth another attempt, and are the customer's in the end.
_FETCHING: tuple[FaultKind, ...] = ("input_unreachable", "input_timeout")


class Endings:
    """Remembers how far the jobs of this process came, so that their end shows it; others end as if at their start."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._last: dict[str, Job] = {}

    def remember(self, item: QueueItem, job: Job) -> None:
        self._last.pop(item.id, None)
        self._last[item.id] = job
        if len(self._last) > _REMEMBERED:
            del self._last[next(iter(self._last))]

    def forget(self, item: QueueItem) -> None:
        self._last.pop(item.id, None)

    async def on_cancel(self, item: QueueItem) -> Complete:
        """The end of a job that nobody wants any more."""
        job = self._last.pop(item.id, None) or Job.model_validate(item.payload)
        return Complete("cancelled", [JobCancelled(job=job.cancel(self._at(job)))])

    async def exhausted(self, item: QueueItem, cause: Cause) -> Complete:
        """The end of a job that failed as often as it may."""
        fault = fault_of(cause)
        job = self._last.pop(item.id, None)
        if job is None:
            job = Job.model_validate(item.payload)
            job = job.start(self._at(job))
            if fault.kind not in _FETCHING:
                job = job.step(job.kind, self._at(job))
        return Complete("failed", [JobFailed(job=job.fail(fault, self._at(job)))])

    def _at(self, job: Job) -> int:
        return max(self._now_ms(), job.updated_at + 1)


def fault_of(cause: Cause) -> Fault:
    """What the customer is to see of the cause (pure)."""
    match cause:
        case Poisoned():
            return Fault(kind="poisoned", message=FAULTS["poisoned"])
        case LastAttempt(_, fault):
            return fault or Fault(kind="internal_error", message=FAULTS["internal_error"])
