"""One replica measures the gauges: the first that was scraped, until it ends or is not scraped any more."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from chassis.runtime.outbox import GaugeLeader
from chassis.runtime.outbox.gauge_leader import LEASE, RENEW_EVERY
from tests.chassis.runtime.outbox.conftest import OutboxFixture

SAFETY_SECONDS = 60
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
QUICK: dict[str, Any] = {"lease": 3 * SECOND, "renew_every": timedelta(milliseconds=50)}


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(SAFETY_SECONDS):
        while not await condition():
            await asyncio.sleep(0.02)


def test_gauges_are_missing_for_at_most_fifteen_seconds_and_one_late_renewal_changes_no_leader() -> None:
    assert timedelta(seconds=15) >= LEASE >= 3 * RENEW_EVERY


async def test_only_one_replica_leads(env: OutboxFixture) -> None:
    async with GaugeLeader(env.pool, "one") as one, GaugeLeader(env.pool, "two") as two:
        assert [await one.leads(), await two.leads(), await one.leads()] == [True, False, True]


async def test_a_leader_leads_between_scrapes_that_are_further_apart_than_its_lease(env: OutboxFixture) -> None:
    async with GaugeLeader(env.pool, "one", **QUICK) as one, GaugeLeader(env.pool, "two", **QUICK) as two:
        assert await one.leads()
        first = await env.pool.fetchval("SELECT expires_at FROM gauge_leader")

        async def would_have_expired() -> bool:
            return bool(await env.pool.fetchval("SELECT now() > $1", first))

        await until(would_have_expired)
        assert not await two.leads()


async def test_after_the_leader_is_gone_another_replica_leads_once_the_lease_has_expired(env: OutboxFixture) -> None:
    """One that was killed renews nothing and releases nothing."""
    killed = GaugeLeader(env.pool, "killed", lease=2 * SECOND, renew_every=HOUR)
    # As long as it can be without looking like a lease of before the clock was set back.
    two = GaugeLeader(env.pool, "two", lease=4 * SECOND, renew_every=timedelta(milliseconds=50))
    async with killed, two:
        assert await killed.leads()
        await until(two.leads)
        assert not await killed.leads()


async def test_a_leader_that_stops_in_order_is_followed_at_once(env: OutboxFixture) -> None:
    async with GaugeLeader(env.pool, "two", lease=HOUR) as two:
        async with GaugeLeader(env.pool, "one", lease=HOUR) as one:
            assert await one.leads()
            assert not await two.leads()
        assert await two.leads()


async def test_a_replica_that_stops_does_not_release_the_lease_of_another(env: OutboxFixture) -> None:
    async with GaugeLeader(env.pool, "one", lease=HOUR) as one, GaugeLeader(env.pool, "three", lease=HOUR) as three:
        async with GaugeLeader(env.pool, "two", lease=timedelta(0), renew_every=HOUR) as two:
            assert await two.leads()
            assert await one.leads()
        assert not await three.leads()


async def test_a_leader_that_is_not_scraped_any_more_leaves_it_to_others(env: OutboxFixture) -> None:
    times = {**QUICK, "scraped_within": timedelta(milliseconds=200)}
    async with GaugeLeader(env.pool, "one", **times) as one, GaugeLeader(env.pool, "two", **QUICK) as two:
        assert await one.leads()

        await until(two.leads)
