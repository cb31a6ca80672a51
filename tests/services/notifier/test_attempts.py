"""Attempts on a real Postgres, with time that passes when a test says so."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest

from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.postgres import migrate, open_pool
from chassis.runtime.job_queue import Complete, JobQueue, Retry
from chassis.runtime.outbox import Outbox
from schemas.jobs import Job
from services.notifier.app import MANY, MIGRATIONS, SCHEMA
from services.notifier.delivery import Attempts, JobIntake
from services.notifier.lanes import Lanes
from services.notifier.measure import Measures
from services.notifier.schedule import ATTEMPTS, DELAYS
from services.notifier.sender import Sender
from services.notifier.store import Store
from tests.services.notifier.receiver import receiver, reset, status, statuses
from tests.services.notifier.world import BASE, LOOPBACK, SECRET, Tables, job, succeeded, tables


@dataclass(frozen=True)
class Desk:
    """A notifier without Kafka and without a runner: the test claims, works and finishes itself."""

    intake: JobIntake
    attempts: Attempts
    queue: JobQueue
    tables: Tables

    async def accept(self, url: str) -> Job:
        finished = succeeded(job(url)).job
        await self.intake.take(finished)
        return finished

    async def turn(self) -> str:
        """One claim and what follows from it, in a word."""
        item = await self.queue.claim("worker")
        if item is None:
            return "nothing"
        match await self.attempts.work(item):
            case Complete(state, events, also):
                await self.queue.finish(item, state, *events, also=also)
                return state
            case Retry(delay, reason):
                await self.queue.retry(item, delay, reason)
                return f"{delay.total_seconds():g}"


@asynccontextmanager
async def open_desk(dsn: str) -> AsyncIterator[Desk]:
    await migrate(dsn, SCHEMA, MIGRATIONS)
    guard = EgressPolicy(LOOPBACK)
    async with await open_pool(dsn, SCHEMA) as pool, guard.session() as session, tables(dsn) as found:
        store = Store(pool)
        queue = JobQueue(pool, Outbox(pool, "notifier"), max_attempts=MANY)
        attempts = Attempts(
            store=store,
            sender=Sender(session, guard, deadline=2),
            lanes=Lanes(8),
            secret=SECRET,
            user_agent="bitmill/test",
            measures=Measures(),
            jitter=lambda: 0,
        )
        yield Desk(JobIntake(pool, queue, store, BASE), attempts, queue, found)


@pytest.fixture
async def desk(fresh_dsn: str) -> AsyncIterator[Desk]:
    async with open_desk(fresh_dsn) as opened:
        yield opened


async def test_ten_failures_on_the_published_schedule_and_then_never_again(desk: Desk) -> None:
    async with receiver(status(500, body=b"broken")) as target:
        accepted = await desk.accept(target.url())
        turns = []
        for delay in DELAYS:
            await desk.tables.let_time_pass(delay)
            turns.append(await desk.turn())
        assert turns == [*(f"{delay:g}" for delay in DELAYS[1:]), "failed"]
        await desk.tables.let_time_pass(10 * DELAYS[-1])
        assert await desk.turn() == "nothing"
    assert len(target.received) == ATTEMPTS
    assert len({request.body for request in target.received}) == 1
    assert len({request.headers["webhook-id"] for request in target.received}) == 1
    row = await desk.tables.delivery(accepted.id)
    assert row is not None
    assert (row["state"], row["reason"], row["body"]) == ("dead", "exhausted", target.received[0].body)
    attempts = await desk.tables.attempts(accepted.id)
    assert [attempt["number"] for attempt in attempts] == [*range(1, ATTEMPTS + 1)]
    assert all((attempt["status"], attempt["excerpt"]) == (500, b"broken") for attempt in attempts)


async def test_nothing_is_sent_before_it_is_due(desk: Desk) -> None:
    async with receiver(*statuses([503, 200])) as target:
        await desk.accept(target.url())
        assert await desk.turn() == "5"
        await desk.tables.let_time_pass(4)
        assert await desk.turn() == "nothing"
        await desk.tables.let_time_pass(1)
        assert await desk.turn() == "done"
    assert len(target.received) == 2


async def test_a_claim_before_its_time_is_sent_back(desk: Desk) -> None:
    """The worker died between its log of attempts and the queue: the lease runs out long before the retry is due."""
    async with receiver(*statuses([500, 200])) as target:
        await desk.accept(target.url())
        item = await desk.queue.claim("killed")
        assert item is not None
        await desk.attempts.work(item)
        await desk.tables._connection.execute("UPDATE queue SET lease_until = now()")
        turn = await desk.turn()
        assert 4 < float(turn) <= 5
        assert len(target.received) == 1


async def test_an_answer_that_nobody_wrote_down_is_asked_for_again_under_the_same_id(desk: Desk) -> None:
    """The worker was killed after it had sent and before it could say so."""
    async with receiver() as target:
        accepted = await desk.accept(target.url())
        item = await desk.queue.claim("killed")
        assert item is not None
        await desk.attempts.work(item)
        await desk.tables.let_time_pass(15)
        assert await desk.turn() == "done"
    first, second = target.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    attempts = await desk.tables.attempts(accepted.id)
    assert [(each["number"], each["status"]) for each in attempts] == [(1, None), (2, 200)]


async def test_attempts_whose_workers_were_killed_count_as_well(desk: Desk) -> None:
    async with receiver() as target:
        accepted = await desk.accept(target.url())
        for _ in range(ATTEMPTS):
            item = await desk.queue.claim("killed")
            assert item is not None
            await desk.attempts.work(item)
            await desk.tables.let_time_pass(15)
        assert await desk.turn() == "failed"
        assert len(target.received) == ATTEMPTS
    row = await desk.tables.delivery(accepted.id)
    assert row is not None
    assert (row["state"], row["reason"]) == ("dead", "exhausted")


async def test_410_ends_it_at_once(desk: Desk) -> None:
    async with receiver(status(410)) as target:
        accepted = await desk.accept(target.url())
        assert await desk.turn() == "failed"
    row = await desk.tables.delivery(accepted.id)
    assert row is not None
    assert (row["state"], row["reason"]) == ("dead", "gone")
    assert len(await desk.tables.attempts(accepted.id)) == 1


async def test_retry_after_is_honoured(desk: Desk) -> None:
    async with receiver(status(429, "Retry-After: 60")) as target:
        await desk.accept(target.url())
        assert await desk.turn() == "60"


async def test_a_connection_that_broke_after_the_request_is_tried_again_under_the_same_id(desk: Desk) -> None:
    async with receiver(reset(), status(204)) as target:
        await desk.accept(target.url())
        assert await desk.turn() == "5"
        await desk.tables.let_time_pass(5)
        assert await desk.turn() == "done"
    first, second = target.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body


async def test_the_same_job_read_again_is_one_delivery_also_after_its_end(desk: Desk) -> None:
    async with receiver() as target:
        accepted = await desk.accept(target.url())
        await desk.intake.take(accepted)
        assert await desk.turn() == "done"
        await desk.intake.take(accepted)
        assert await desk.turn() == "nothing"
        assert len(target.received) == 1
    assert await desk.tables.count() == 1


async def test_a_job_without_a_webhook_or_without_an_end_makes_no_delivery(desk: Desk) -> None:
    await desk.intake.take(succeeded(job(None)).job)
    await desk.intake.take(job("https://hooks.example.com/"))
    assert await desk.tables.count() == 0


async def test_a_full_lane_puts_back_without_counting_an_attempt(desk: Desk) -> None:
    async with receiver() as target:
        accepted = await desk.accept(target.url())
        for _ in range(8):
            desk.attempts.lanes.enter("127.0.0.1", 0)
        assert 0.5 <= float(await desk.turn()) < 5
        assert target.connections == 0
    assert await desk.tables.attempts(accepted.id) == []


async def test_what_is_long_over_is_forgotten_and_what_waits_is_not(desk: Desk) -> None:
    async with receiver() as target:
        done = await desk.accept(target.url())
        assert await desk.turn() == "done"
    waiting = await desk.accept(target.url())
    await desk.tables._connection.execute("UPDATE deliveries SET closed_at = closed_at - interval '31 days'")
    assert await desk.attempts.store.forget(timedelta(days=30)) == 1
    assert await desk.tables.delivery(done.id) is None
    assert await desk.tables.attempts(done.id) == []
    assert await desk.tables.delivery(waiting.id) is not None
