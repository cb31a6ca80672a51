"""A webhook's way: from a finished job to a row, from a claimed row to an attempt and what follows from it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic
from urllib.parse import urlsplit

from chassis.adapters.http.json_body import json_bytes
from chassis.adapters.postgres.pool import Pool
from chassis.core.logs import bind_context, get_logger
from chassis.runtime.job_queue import Complete, JobQueue, Outcome, QueueItem, Retry
from schemas.ids import derived
from schemas.jobs import Job
from schemas.resources import job_resource
from services.notifier.lanes import Lanes
from services.notifier.measure import Measures
from services.notifier.schedule import Answer, Delivered, GaveUp, RetryLater, verdict
from services.notifier.sender import Sender
from services.notifier.signing import signed_headers
from services.notifier.store import Attempt, Closed, Delivery, NotDue, SpentByCrashes, Store

KIND = "webhook"
"""The kind of this service's rows in its queue."""

_log = get_logger(__name__)


def delivery_of(job: Job, delivery_base: str) -> Delivery | None:
    """The delivery that a finished job asks for (pure). The body is made here, once, and never again."""
    if job.webhook_url is None or not job.finished:
        return None
    return Delivery(
        id=derived("msg", job.id, job.webhook_url),
        job_id=job.id,
        project=job.project,
        url=job.webhook_url,
        body=json_bytes(job_resource(job, delivery_base)),
    )


@dataclass(frozen=True)
class JobIntake:
    """Turns finished jobs into rows; the same job read twice is one row."""

    pool: Pool
    queue: JobQueue
    store: Store
    delivery_base: str

    async def take(self, job: Job) -> None:
        delivery = delivery_of(job, self.delivery_base)
        if delivery is None:
            return
        async with self.pool.acquire() as connection, connection.transaction():
            if not await self.store.add(connection, delivery):
                return
            payload = {"job_id": job.id, "host": _host(delivery.url)}
            await self.queue.add(connection, id=delivery.id, project=job.project, kind=KIND, payload=payload)
        self.queue.wake()
        _log.info("webhook accepted", item_id=delivery.id, status=job.status)


@dataclass(frozen=True)
class Attempts:
    """Makes one attempt at a claimed delivery. `jitter` gives random numbers from -1 to 1."""

    store: Store
    sender: Sender
    lanes: Lanes
    secret: str = field(repr=False)
    user_agent: str
    measures: Measures
    jitter: Callable[[], float]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def work(self, item: QueueItem) -> Outcome:
        """The runner's work: what becomes of the row now."""
        host = item.payload["host"]
        pause = self.lanes.enter(host, monotonic())
        if pause is not None:
            return Retry(timedelta(seconds=pause), "busy host")
        started = monotonic()
        try:
            with bind_context(job_id=item.payload["job_id"]):
                return await self._attempt(item)
        finally:
            now = monotonic()
            self.lanes.leave(host, now, now - started)

    async def exhausted(self, item: QueueItem, reason: str) -> Complete:
        """The queue gave the row up: an error of ours, each time it was tried."""
        _log.error("webhook given up", reason=reason)
        self.measures.ended("dead")
        return Complete("failed", (), also=partial(self.store.dead, delivery_id=item.id, reason=reason))

    async def cancelled(self, item: QueueItem) -> Complete:
        """Deliveries are never cancelled today; a marked row is closed all the same."""
        return Complete("cancelled", (), also=partial(self.store.dead, delivery_id=item.id, reason="cancelled"))

    async def _attempt(self, item: QueueItem) -> Outcome:
        match await self.store.begin(item.id):
            case NotDue(seconds):
                return Retry(timedelta(seconds=seconds), "not due yet")
            case Closed():
                return Complete("done", ())
            case SpentByCrashes():
                return await self.exhausted(item, "exhausted")
            case Attempt() as attempt:
                answer = await self._send(attempt)
                return await self._follow(attempt, answer)

    async def _send(self, attempt: Attempt) -> Answer:
        timestamp = int(self.now().timestamp())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": self.user_agent,
            "Accept-Encoding": "identity",
            # A kept connection that the receiver closes in the very moment of the next POST would cost an attempt.
            "Connection": "close",
            **signed_headers(self.secret, attempt.delivery_id, timestamp, attempt.body),
        }
        answer = await self.sender.send(attempt.url, headers, attempt.body)
        if attempt.number == 1:
            self.measures.first_attempt(attempt.waited + answer.seconds)
        _log.info(
            "webhook attempted",
            number=attempt.number,
            status=answer.status,
            error=answer.error,
            seconds=round(answer.seconds, 3),
        )
        return answer

    async def _follow(self, attempt: Attempt, answer: Answer) -> Outcome:
        match verdict(answer, attempt.number, jitter=self.jitter(), now=self.now()):
            case Delivered():
                self.measures.ended("delivered")
                return Complete("done", (), also=partial(self.store.delivered, attempt=attempt, answer=answer))
            case RetryLater(delay):
                await self.store.postpone(attempt, answer, delay)
                self.measures.ended("retry")
                return Retry(timedelta(seconds=delay), answer.error or f"answer {answer.status}")
            case GaveUp(reason):
                _log.warning("webhook given up", reason=reason, attempts=attempt.number)
                self.measures.ended("dead")
                return Complete(
                    "failed", (), also=partial(self.store.gave_up, attempt=attempt, answer=answer, reason=reason)
                )


def _host(url: str) -> str:
    """What shares a lane: one host, whatever the port or path."""
    return (urlsplit(url).hostname or "").rstrip(".")
