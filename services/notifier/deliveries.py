"""Webhook deliveries: from a finished job to a queued row, and from a claimed row to an attempt and its result."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic
from urllib.parse import urlsplit

from chassis.adapters.failure_policy import describe, is_outage
from chassis.adapters.http.json_body import json_bytes
from chassis.adapters.postgres import Pool
from chassis.core import logs, metrics, tracing
from chassis.core.concurrency import abandon_after
from chassis.core.encryption import DecryptionError, Keyring, decrypt, reveal_url
from chassis.core.trace_context import TRACEPARENT
from chassis.runtime.job_queue import (
    Cause,
    Complete,
    JobQueue,
    JointWrite,
    LastAttempt,
    NewItem,
    Outcome,
    QueueItem,
    Retry,
)
from chassis.runtime.job_queue.attempt import POLICY
from chassis.runtime.job_queue.item import Write
from schemas.delivery import DeliverySigner, DeliveryUrls
from schemas.job_resource import job_resource
from schemas.jobs import Job, url_context
from services.notifier.host_slots import HostSlots
from services.notifier.schedule import AttemptResult, Delivered, GaveUp, RetryLater, decide
from services.notifier.sender import Sender
from services.notifier.signing import signed_headers
from services.notifier.store import (
    AttemptInProgress,
    AttemptsExhausted,
    BeginResult,
    Closed,
    DeliveryAttempt,
    EndedAttempt,
    Store,
    WebhookDelivery,
    delivery_id,
)
from services.notifier.webhook_secrets import secret_context

KIND = "webhook"
"""The kind of this service's queue items; the id of an item is the delivery's."""
IN_PROGRESS_DELAY = timedelta(seconds=1)
DISCARD_SECONDS = 2.0
"""For the removal of an interrupted attempt at shutdown."""

log = logs.get_logger(__name__)
attempts_total = metrics.counter(
    "bitmill_webhook_attempts", "Webhook attempts by result: delivered, retry, gave_up.", ("service", "result")
)
first_attempt_seconds = metrics.histogram(
    "bitmill_webhook_first_attempt_seconds", "From a finished job's row to the end of its webhook's first attempt."
)


def delivery_for(job: Job, urls: DeliveryUrls) -> WebhookDelivery | None:
    """The delivery of a finished job with a `webhook_url`, otherwise None (pure). The body is rendered here, once."""
    if job.webhook_url is None or not job.finished:
        return None
    return WebhookDelivery(
        id=delivery_id(job.id, job.webhook_url, job.run),
        job_id=job.id,
        project=job.project,
        url=job.webhook_url,
        body=json_bytes(job_resource(job, urls)),
        encrypted_url=job.encrypted_webhook_url,
    )


@dataclass(frozen=True)
class DeliveryQueue:
    """Queues the deliveries of finished jobs. An end that is read twice has one delivery; each run has an end."""

    pool: Pool
    queue: JobQueue
    store: Store
    signer: DeliverySigner

    async def add_for(self, jobs: Sequence[Job]) -> None:
        """Adds the deliveries and their queue items in one transaction."""
        wanted = [job for job in jobs if job.webhook_url is not None]
        if not wanted:
            return
        signed = await self.store.signed_projects({job.project for job in wanted})
        made = (delivery_for(job, self.signer.urls(job.project, job.project in signed)) for job in wanted)
        deliveries = {each.id: each for each in made if each is not None}
        async with self.pool.acquire() as conn, conn.transaction():
            new = [deliveries[id] for id in await self.store.add(conn, list(deliveries.values()))]
            await self.queue.add_many(conn, [_queue_item(each) for each in new])
        self.queue.wake()
        for each in new:
            log.info("webhook_delivery_queued", job_id=each.job_id, project=each.project, delivery_id=each.id)


@dataclass(frozen=True)
class DeliveryRunner:
    """Makes one attempt at a claimed delivery; the functions of the queue's Runner.

    `secret` is that of the installation; `keyring` decrypts those of projects, and signed addresses. `jitter` gives
    random numbers from -1 to 1, `now` the time as a timezone-aware datetime.
    """

    store: Store
    sender: Sender
    hosts: HostSlots
    secret: str = field(repr=False)
    keyring: Keyring | None
    user_agent: str
    jitter: Callable[[], float]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def work(self, item: QueueItem) -> Outcome:
        delay_s = self.hosts.delay_of_slow(item.project, item.payload["host"])
        if delay_s is not None:
            return _at_its_limit(delay_s)
        logs.bind_task(job_id=item.payload["job_id"], delivery_id=item.id)
        return await self._attempt(item)

    async def exhausted(self, item: QueueItem, cause: Cause) -> Complete:
        """The end of a delivery that failed too often by faults of ours."""
        return self._give_up(item, cause.reason if isinstance(cause, LastAttempt) else "poisoned")

    def _give_up(self, item: QueueItem, reason: str) -> Complete:
        log.error("webhook_delivery_quarantined", job_id=item.payload["job_id"], delivery_id=item.id, reason=reason)
        attempts_total.labels("notifier", "gave_up").inc()
        return Complete("failed", (), also=partial(self.store.give_up, delivery_id=item.id, reason=reason))

    async def on_cancel(self, item: QueueItem) -> Complete:
        """Nothing cancels deliveries today; a queue item that is marked all the same ends its delivery."""
        return Complete("cancelled", (), also=partial(self.store.give_up, delivery_id=item.id, reason="cancelled"))

    async def _attempt(self, item: QueueItem) -> Outcome:
        match await self._begin(item.id):
            case Closed():
                return Complete("done", ())
            case AttemptInProgress():
                return Retry(IN_PROGRESS_DELAY, "another worker is beginning this attempt", counts=False)
            case AttemptsExhausted():
                return self._give_up(item, "exhausted")
            case DeliveryAttempt() as attempt:
                try:
                    # After the begin, which may take longer than a quick host to respond.
                    delay_s = await self.hosts.acquire(item.project, item.payload["host"])
                    if delay_s is not None:
                        return _at_its_limit(delay_s, partial(self.store.discard_attempt, attempt=attempt))
                    result = await self._send_in_slot(item, attempt)
                except (asyncio.CancelledError, DecryptionError):
                    await self._discard(attempt)
                    raise
                except OSError as error:
                    if not is_outage(error):
                        raise
                    return self._postponed(item, attempt, error)
                return await self._outcome(attempt, result)

    async def _begin(self, delivery_id: str) -> BeginResult:
        beginning = asyncio.create_task(self.store.begin_attempt(delivery_id))
        try:
            return await asyncio.shield(beginning)
        except asyncio.CancelledError:
            # An attempt whose begin was interrupted may have been committed.
            with suppress(Exception):
                await abandon_after(DISCARD_SECONDS, self._undo(beginning))
            raise

    async def _undo(self, beginning: "asyncio.Task[BeginResult]") -> None:
        attempt = await beginning
        if isinstance(attempt, DeliveryAttempt):
            await self._discard(attempt)

    def _postponed(self, item: QueueItem, attempt: DeliveryAttempt, error: OSError) -> Retry:
        """An outage of ours: the attempt does not count, and nothing was sent."""
        delay_s = POLICY.delay_s(item.postponements + 1)
        log.warning("webhook_attempt_postponed", attempt=attempt.number, error=describe(error))
        discard = partial(self.store.discard_attempt, attempt=attempt)
        return Retry(timedelta(seconds=delay_s), describe(error), counts=False, also=discard)

    async def _send_in_slot(self, item: QueueItem, attempt: DeliveryAttempt) -> AttemptResult:
        started = monotonic()
        try:
            return await self._send(attempt)
        finally:
            self.hosts.release(item.project, item.payload["host"], monotonic() - started)

    async def _send(self, attempt: DeliveryAttempt) -> AttemptResult:
        context = url_context(attempt.project, "webhook_url")
        url = reveal_url(self.keyring, attempt.url, attempt.encrypted_url, context)
        timestamp = int(self.now().timestamp())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": self.user_agent,
            "Accept-Encoding": "identity",
            **signed_headers(self._secrets(attempt), attempt.delivery_id, timestamp, attempt.body),
        }
        result = await self._post(attempt, url, headers)
        if attempt.number == 1:
            first_attempt_seconds.labels("notifier").observe(attempt.waited_s + result.seconds)
        return result

    async def _post(self, attempt: DeliveryAttempt, url: str, headers: dict[str, str]) -> AttemptResult:
        shown: tracing.Attributes = {
            "url.full": attempt.url,
            "http.request.method": "POST",
            "webhook.attempt": attempt.number,
        }
        with tracing.span("POST webhook", kind="client", attributes=shown) as span:
            if (traceparent := tracing.traceparent()) is not None:
                headers = {**headers, TRACEPARENT: traceparent}
            result = await self.sender.send(url, headers, attempt.body, project=attempt.project)
            span.set("http.response.status_code", result.status)
            if result.error is not None:
                span.fail(result.error)
            return result

    def _secrets(self, attempt: DeliveryAttempt) -> list[str]:
        """Those that sign for the project, the newest first. Raises `DecryptionError`."""
        context = secret_context(attempt.project)
        encrypted = attempt.encrypted_secrets or (None,)
        return [self.secret if each is None else decrypt(self.keyring, each, context) for each in encrypted]

    async def _discard(self, attempt: DeliveryAttempt) -> None:
        # Interrupted by our own shutdown, by a lost lease, or a key is missing. If the write fails, the attempt counts.
        log.info("webhook_attempt_interrupted", attempt=attempt.number)

        async def discard() -> None:
            async with self.store.transaction() as conn:
                await self.store.discard_attempt(conn, attempt)

        with suppress(Exception):
            await abandon_after(DISCARD_SECONDS, discard())

    async def _outcome(self, attempt: DeliveryAttempt, result: AttemptResult) -> Outcome:
        fields = {
            "attempt": attempt.number,
            "status": result.status,
            "error": result.error,
            "seconds": round(result.seconds, 3),
        }
        match decide(result, attempt.counted, jitter=self.jitter(), now=self.now()):
            case Delivered():
                log.info("webhook_delivered", **fields)
                attempts_total.labels("notifier", "delivered").inc()
                return Complete("done", also=self._ended(EndedAttempt(attempt, result, "delivered")))
            case RetryLater(delay_s):
                log.info("webhook_attempt_failed", retry_in_s=round(delay_s, 1), **fields)
                attempts_total.labels("notifier", "retry").inc()
                # The schedule counts the attempts; the queue counts faults of ours.
                return Retry(
                    timedelta(seconds=delay_s),
                    result.error or f"HTTP status {result.status}",
                    counts=False,
                    also=self._ended(EndedAttempt(attempt, result)),
                )
            case GaveUp(reason):
                log.warning("webhook_delivery_given_up", reason=reason, **fields)
                attempts_total.labels("notifier", "gave_up").inc()
                return Complete("failed", also=self._ended(EndedAttempt(attempt, result, "gave_up", reason)))

    def _ended(self, attempt: EndedAttempt) -> JointWrite:
        return JointWrite(self.store.end_attempts, attempt)


def _at_its_limit(delay_s: float, also: Write | None = None) -> Retry:
    return Retry(timedelta(seconds=delay_s), "host at its limit", counts=False, also=also)


def _queue_item(delivery: WebhookDelivery) -> NewItem:
    payload = {"job_id": delivery.job_id, "host": _host(delivery.url)}
    return NewItem(
        id=delivery.id,
        project=delivery.project,
        kind=KIND,
        payload=payload,
        traceparent=tracing.traceparent(delivery.job_id),
    )


def _host(url: str) -> str:
    """What `HostLimiter` counts by, whatever the port or path. Empty for what is no URL: its attempts will say so."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""
