"""A queue of work that must not be lost: claimed by lease, fair between projects, each write fenced by its claim.

It owns the tables `job_queue` and `job_queue_cancellations` in the schema of the service that uses it, and writes
events through that service's outbox. The work itself is done by the functions that a service passes to its `Runner`.
"""

from chassis.runtime.job_queue.item import (
    Cause,
    Complete,
    FinalState,
    JointWrite,
    LastAttempt,
    LeaseLost,
    NewItem,
    Outcome,
    Poisoned,
    QueueItem,
    Retry,
)
from chassis.runtime.job_queue.queue import JobQueue
from chassis.runtime.job_queue.runner import Runner, SlotStuck
from chassis.runtime.job_queue.work_slots import AttemptSlot, WorkSlots

__all__ = [
    "AttemptSlot",
    "Cause",
    "Complete",
    "FinalState",
    "JobQueue",
    "JointWrite",
    "LastAttempt",
    "LeaseLost",
    "NewItem",
    "Outcome",
    "Poisoned",
    "QueueItem",
    "Retry",
    "Runner",
    "SlotStuck",
    "WorkSlots",
]
