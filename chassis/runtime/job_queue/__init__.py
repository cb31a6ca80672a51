"""Work that must not be lost: rows claimed by lease, fair between projects, every write fenced by (worker, attempt).

The room knows the tables `queue` and `ledger_cancel` in the schema of whoever uses it, and the outbox. What the work
is, only the functions know that a service gives to the `Runner`.
"""

from chassis.runtime.job_queue.item import Complete, Counts, FinalState, LeaseLost, Outcome, QueueItem, Retry
from chassis.runtime.job_queue.queue import JobQueue
from chassis.runtime.job_queue.runner import Runner

__all__ = ["Complete", "Counts", "FinalState", "JobQueue", "LeaseLost", "Outcome", "QueueItem", "Retry", "Runner"]
