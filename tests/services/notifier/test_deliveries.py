"""Deliveries and their attempts on a real Postgres; the passing of time is simulated in the tables."""

import asyncio
import base64
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

import pytest

from chassis.adapters.egress.dns_client import DnsClient
from chassis.adapters.egress.exchange import ResponseLimits
from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.postgres import migrate, open_pool
from chassis.core.host_limiter import HostLimiter
from chassis.runtime.job_queue import Complete, JobQueue, QueueItem, Retry
from chassis.runtime.outbox import Outbox
from chassis.runtime.purge import PurgeLimits, Purger
from schemas.delivery import DeliverySigner
from schemas.jobs import Job
from services.notifier.app import RETENTION, Notifier
from services.notifier.deliveries import DeliveryQueue, DeliveryRunner
from services.notifier.host_slots import HostSlots
from services.notifier.schedule import DELAYS_S, MAX_ATTEMPTS
from services.notifier.sender import Sender
from services.notifier.store import AttemptInProgress, BeginResult, DeliveryAttempt, Store
from tests.services.notifier.support import BASE, LOOPBACK, SECRET, Tables, failed, job, succeeded, tables
from tests.support.dns_server import DnsServer, dns_server
from tests.support.waiting import until
from tests.support.webhook_receiver import WebhookReceiver, reset, stall, status, webhook_receiver


@dataclass(frozen=True)
class Harness:
    """A notifier without Kafka and without a queue runner: the test claims, works and finishes itself."""

    deliveries: DeliveryQueue
    runner: DeliveryRunner
    queue: JobQueue
    store: Store
    tables: Tables

    async def add(self, url: str) -> Job:
        finished = succeeded(job(url)).job
        await self.deliveries.add_for([finished])
        return finished

    async def claim(self) -> QueueItem:
        item = await self.queue.claim("worker")
        assert item is not None
        return item

    async def run_once(self) -> str:
        """Claims and works once; the final state, the delay of a retry in seconds, or `nothing`."""
        item = await self.queue.claim("worker")
        if item is None:
            return "nothing"
        match await self.runner.work(item):
            case Complete(state, events, also):
                await self.queue.finish(item, state, *events, also=also)
                return state
            case Retry(delay, reason, counts=counts, also=also):
                await self.queue.retry(item, delay, reason, counts=counts, also=also)
                return f"{delay.total_seconds():g}"


def sender_asking(dns: DnsServer) -> Sender:
    client = DnsClient(name_servers=[dns.address], timeout_s=0.5, probe_s=0.5)
    return Sender(EgressPolicy(LOOPBACK, resolve=client, not_found_s=0), ResponseLimits(), deadline_s=60)


def has_received(target: WebhookReceiver, count: int) -> bool:
    return len(target.received) >= count


@pytest.fixture
async def harness(fresh_dsn: str) -> AsyncIterator[Harness]:
    await migrate(fresh_dsn, Notifier.spec.name, Notifier.spec.all_migrations)
    async with (
        await open_pool(fresh_dsn, Notifier.spec.name) as pool,
        tables(fresh_dsn) as found,
    ):
        store = Store(pool)
        queue = JobQueue(pool, Outbox(pool, "notifier"))
        runner = DeliveryRunner(
            store=store,
            sender=Sender(EgressPolicy(LOOPBACK), ResponseLimits(), deadline_s=60),
            hosts=HostSlots(HostLimiter(8)),
            secret=SECRET,
            keyring=None,
            user_agent="bitmill/test",
            jitter=lambda: 0,
        )
        yield Harness(
            DeliveryQueue(pool, queue, store, DeliverySigner(BASE, None, timedelta(hours=1))),
            runner,
            queue,
            store,
            found,
        )


async def test_ten_failures_on_the_published_schedule_and_then_no_more(harness: Harness) -> None:
    async with webhook_receiver(status(500, body=b"broken")) as target:
        accepted = await harness.add(target.url())
        results = []
        for delay in DELAYS_S:
            await harness.tables.advance_time(delay)
            results.append(await harness.run_once())
        assert results == [*(f"{delay:g}" for delay in DELAYS_S[1:]), "failed"]
        await harness.tables.advance_time(10 * DELAYS_S[-1])
        assert await harness.run_once() == "nothing"
    assert len(target.received) == MAX_ATTEMPTS
    assert len({request.body for request in target.received}) == 1
    assert len({request.headers["webhook-id"] for request in target.received}) == 1
    row = await harness.tables.delivery(accepted.id)
    assert row is not None
    assert (row["state"], row["reason"], row["body"]) == ("gave_up", "exhausted", target.received[0].body)
    attempts = await harness.tables.attempts(accepted.id)
    assert [attempt["number"] for attempt in attempts] == [*range(1, MAX_ATTEMPTS + 1)]
    assert all((attempt["status"], attempt["excerpt"]) == (500, b"broken") for attempt in attempts)


async def test_nothing_is_sent_before_it_is_due(harness: Harness) -> None:
    async with webhook_receiver(*map(status, (503, 200))) as target:
        await harness.add(target.url())
        assert await harness.run_once() == "5"
        await harness.tables.advance_time(4)
        assert await harness.run_once() == "nothing"
        await harness.tables.advance_time(1)
        assert await harness.run_once() == "done"
    assert len(target.received) == 2


async def test_an_attempt_without_a_recorded_result_is_repeated_with_the_same_id(harness: Harness) -> None:
    """The worker was killed after it had sent and before it could record the result."""
    async with webhook_receiver() as target:
        accepted = await harness.add(target.url())
        await harness.runner.work(await harness.claim())
        await harness.tables.expire_leases()
        assert await harness.run_once() == "done"
    first, second = target.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    attempts = await harness.tables.attempts(accepted.id)
    assert [(each["number"], each["status"]) for each in attempts] == [(1, None), (2, 204)]


async def test_attempts_of_killed_workers_count(harness: Harness) -> None:
    async with webhook_receiver() as target:
        accepted = await harness.add(target.url())
        for _ in range(MAX_ATTEMPTS):
            await harness.runner.work(await harness.claim())
            await harness.tables.expire_leases()
        assert await harness.run_once() == "failed"
        assert len(target.received) == MAX_ATTEMPTS
    row = await harness.tables.delivery(accepted.id)
    assert row is not None
    assert (row["state"], row["reason"]) == ("gave_up", "exhausted")


async def test_an_attempt_that_our_shutdown_interrupts_does_not_count(harness: Harness) -> None:
    async with webhook_receiver(*[stall()] * (MAX_ATTEMPTS + 2), status(200)) as target:
        accepted = await harness.add(target.url())
        for number in range(MAX_ATTEMPTS + 2):
            item = await harness.claim()
            work = asyncio.create_task(harness.runner.work(item))
            await until(partial(has_received, target, number + 1))
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work
            await harness.queue.release(item)
        assert await harness.tables.attempts(accepted.id) == []
        assert await harness.run_once() == "done"
    attempts = await harness.tables.attempts(accepted.id)
    assert [(each["number"], each["status"]) for each in attempts] == [(1, 200)]


async def test_a_stop_while_an_attempt_begins_does_not_count(harness: Harness) -> None:
    """The attempt is committed when the stop arrives, and its number has not come back."""

    class Slow(Store):
        async def begin_attempt(self, delivery_id: str) -> BeginResult:
            begun = await super().begin_attempt(delivery_id)
            committed.set()
            await asyncio.sleep(0.05)
            return begun

    committed = asyncio.Event()
    accepted = await harness.add("http://127.0.0.1:1/")
    runner = replace(harness.runner, store=Slow(harness.deliveries.pool))
    async with asyncio.timeout(60):
        work = asyncio.create_task(runner.work(await harness.claim()))
        await committed.wait()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
    assert await harness.tables.attempts(accepted.id) == []


async def test_an_attempt_that_a_worker_without_its_lease_takes_back_does_not_count(harness: Harness) -> None:
    """It began before the one that the next worker makes, and is discarded after that has begun."""
    async with webhook_receiver(*[stall(), status(500)] * MAX_ATTEMPTS) as target:
        accepted = await harness.add(target.url())
        for number in range(MAX_ATTEMPTS - 2):
            late = asyncio.create_task(harness.runner.work(await harness.claim()))
            await until(partial(has_received, target, 2 * number + 1))
            await harness.tables.expire_leases()
            result = await harness.run_once()
            assert result != "failed"
            late.cancel()
            await asyncio.gather(late, return_exceptions=True)
            await harness.tables.advance_time(float(result))
        attempts = await harness.tables.attempts(accepted.id)
    assert [each["status"] for each in attempts] == [500] * (MAX_ATTEMPTS - 2)


async def test_an_outage_of_our_name_servers_does_not_count(harness: Harness) -> None:
    async with dns_server({"hooks.example": ["127.0.0.1"]}) as dns, webhook_receiver() as target:
        runner = replace(harness.runner, sender=sender_asking(dns))
        harness = replace(harness, runner=runner)
        accepted = await harness.add(target.url().replace("127.0.0.1", "hooks.example"))
        dns.outage = "failure"
        for number in range(MAX_ATTEMPTS + 2):
            delay_s = float(await harness.run_once())
            assert 0 < delay_s <= 30, number
            await harness.tables.advance_time(delay_s)
        assert await harness.tables.attempts(accepted.id) == []
        dns.outage = "silence"
        await harness.tables.advance_time(float(await harness.run_once()))
        dns.outage = None
        assert await harness.run_once() == "done"
    attempts = await harness.tables.attempts(accepted.id)
    assert [(each["number"], each["status"]) for each in attempts] == [(1, 204)]


@pytest.mark.parametrize(
    ("host", "error"), [("hook.silent.example", "timeout"), ("hook.failing.example", "unreachable")]
)
async def test_a_zone_that_alone_is_not_answered_counts(harness: Harness, host: str, error: str) -> None:
    async with dns_server(silent=["silent.example"], failing=["failing.example"]) as dns:
        harness = replace(harness, runner=replace(harness.runner, sender=sender_asking(dns)))
        accepted = await harness.add(f"http://{host}/")
        assert await harness.run_once() == "5"
    attempts = await harness.tables.attempts(accepted.id)
    assert [(each["number"], each["error"]) for each in attempts] == [(1, error)]


async def test_410_ends_the_delivery_at_once(harness: Harness) -> None:
    async with webhook_receiver(status(410)) as target:
        accepted = await harness.add(target.url())
        assert await harness.run_once() == "failed"
    row = await harness.tables.delivery(accepted.id)
    assert row is not None
    assert (row["state"], row["reason"]) == ("gave_up", "gone")
    assert len(await harness.tables.attempts(accepted.id)) == 1


async def test_retry_after_is_honoured(harness: Harness) -> None:
    async with webhook_receiver(status(429, "Retry-After: 60")) as target:
        await harness.add(target.url())
        assert await harness.run_once() == "60"


async def test_a_connection_that_broke_after_the_request_is_retried_with_the_same_id(harness: Harness) -> None:
    async with webhook_receiver(reset(), status(204)) as target:
        await harness.add(target.url())
        assert await harness.run_once() == "5"
        await harness.tables.advance_time(5)
        assert await harness.run_once() == "done"
    first, second = target.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body


async def test_a_job_that_is_read_twice_has_one_delivery(harness: Harness) -> None:
    async with webhook_receiver() as target:
        accepted = await harness.add(target.url())
        await harness.deliveries.add_for([accepted, accepted])
        assert await harness.run_once() == "done"
        await harness.deliveries.add_for([accepted])
        assert await harness.run_once() == "nothing"
        assert len(target.received) == 1
    assert await harness.tables.count() == 1


async def test_a_batch_of_finished_jobs_is_queued_together(harness: Harness) -> None:
    known = await harness.add("https://hooks.example.com/known")
    batch = [succeeded(job(f"https://hooks.example.com/{number}")).job for number in range(499)]
    await harness.deliveries.add_for([*batch[:250], known, *batch[250:], batch[0]])
    assert await harness.tables.count() == 500
    assert await harness.tables.queue_size() == 500


async def test_a_job_without_a_webhook_or_without_an_end_has_no_delivery(harness: Harness) -> None:
    await harness.deliveries.add_for([succeeded(job(None)).job, job("https://hooks.example.com/")])
    assert await harness.tables.count() == 0


async def test_a_url_longer_than_an_index_entry_is_queued_like_its_neighbours(harness: Harness) -> None:
    token = base64.urlsafe_b64encode(random.Random(1).randbytes(6000)).decode()  # cannot be compressed
    long = failed(job(f"https://hooks.example.com/?token={token[:8000]}")).job
    await harness.deliveries.add_for([succeeded(job("https://hooks.example.com/")).job, long])
    row = await harness.tables.delivery(long.id)
    assert row is not None
    assert row["url"] == long.webhook_url
    assert await harness.tables.count() == 2


async def test_a_host_at_its_limit_delays_without_counting_an_attempt(harness: Harness) -> None:
    async with webhook_receiver() as target:
        accepted = await harness.add(target.url())
        for _ in range(8):
            assert await harness.runner.hosts.acquire(accepted.project, "127.0.0.1") is None
        assert 0.5 <= float(await harness.run_once()) < 5
        assert target.connections == 0
    assert await harness.tables.attempts(accepted.id) == []


async def test_attempts_that_begin_and_end_together_are_recorded_each_with_its_own_result(harness: Harness) -> None:
    async with webhook_receiver(status(204)) as target:
        target.on("/gone", status(410))
        urls = {"delivered": target.url(), "gave_up": target.url("/gone"), "pending": "http://127.0.0.1:1/hook"}
        jobs = {state: await harness.add(url) for state, url in urls.items()}
        await asyncio.gather(*(harness.run_once() for _ in jobs))
        for state, accepted in jobs.items():
            row = await harness.tables.delivery(accepted.id)
            assert row is not None and row["state"] == state
            assert len(target.of(accepted.id)) == (state != "pending")
        statuses = {state: [each["status"] for each in await harness.tables.attempts(jobs[state].id)] for state in jobs}
        assert statuses == {"delivered": [204], "gave_up": [410], "pending": [None]}


async def test_two_claims_of_one_delivery_begin_one_attempt(harness: Harness) -> None:
    accepted = await harness.add("http://127.0.0.1:1/hook")
    item = await harness.claim()
    begun = await asyncio.gather(*(harness.store.begin_attempt(item.id) for _ in range(3)))
    assert [type(each) for each in begun].count(DeliveryAttempt) == 1 and AttemptInProgress() in begun
    assert len(await harness.tables.attempts(accepted.id)) == 1


async def test_deliveries_that_ended_long_ago_are_deleted_in_batches_and_pending_ones_are_not(
    harness: Harness,
) -> None:
    async with webhook_receiver() as target:
        ended = [await harness.add(target.url()) for _ in range(5)]
        for _ in ended:
            assert await harness.run_once() == "done"
    pending = await harness.add(target.url())
    await harness.tables.age_closed(timedelta(days=31))
    limits = PurgeLimits(rows=2)
    purger = Purger(harness.deliveries.pool, "notifier", RETENTION, lambda _: timedelta(days=30), limits=limits)
    assert (await purger.purge())["deliveries"] == 5
    assert await harness.tables.delivery(ended[0].id) is None
    assert await harness.tables.attempts(ended[0].id) == []
    assert await harness.tables.delivery(pending.id) is not None


async def test_each_run_of_a_job_has_a_delivery_of_its_own(harness: Harness) -> None:
    begun = job("https://hooks.example.com/")
    first = begun.cancel(begun.updated_at + 1)
    again = begun.run_again(2, [], begun.updated_at + 2)
    second = succeeded(again.start(again.updated_at + 1)).job
    for each in (first, second, first, second):
        await harness.deliveries.add_for([each])
    assert await harness.tables.count() == 2
