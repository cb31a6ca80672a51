"""Windows of requests on a real Postgres: several replicas together allow what the limit says, and no more."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from chassis.adapters.postgres import Pool, migrate, open_pool
from chassis.runtime.rate_limits import SharedWindows
from chassis.runtime.service_spec import RATE_LIMIT_MIGRATIONS


class CountedPool:
    """A pool that counts its queries."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.queries = 0

    async def fetchrow(self, *arguments: Any) -> Any:
        self.queries += 1
        return await self._pool.fetchrow(*arguments)


class Clock:
    """A monotonic clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def pool(fresh_dsn: str) -> AsyncIterator[Pool]:
    await migrate(fresh_dsn, "limits", [RATE_LIMIT_MIGRATIONS])
    async with await open_pool(fresh_dsn, "limits", size=8) as opened:
        yield opened


async def allowed(windows: SharedWindows, subject: str, limit: int, requests: int) -> int:
    """How many of so many requests at a time are allowed."""
    taken = await asyncio.gather(*(windows.take(subject, limit) for _ in range(requests)))
    return sum(each.allowed for each in taken)


@pytest.mark.parametrize("limit", [1, 7, 100, 5000])
async def test_one_replica_allows_exactly_the_limit(pool: Pool, limit: int) -> None:
    assert await allowed(SharedWindows(pool), "project:a", limit, limit + 50) == limit


async def test_several_replicas_share_the_limit(pool: Pool) -> None:
    """Each has its own memory. None allows what another has, and hardly anything is held back."""
    limit, replicas = 3000, [SharedWindows(pool) for _ in range(3)]
    numbers = await asyncio.gather(*(allowed(replica, "project:a", limit, limit) for replica in replicas))
    assert limit * (1 - 2 / 64) <= sum(numbers) <= limit
    assert await allowed(SharedWindows(pool), "project:a", limit, 10) == 0, "a replica that starts meanwhile"


async def test_a_replica_that_sends_little_holds_back_little(pool: Pool) -> None:
    busy, idle = SharedWindows(pool), SharedWindows(pool)
    assert (await idle.take("project:a", 640)).allowed
    assert await allowed(busy, "project:a", 640, 640) == 640 - 10, "a sixty-fourth"
    assert await allowed(idle, "project:a", 640, 20) == 9, "is for its own requests"


async def test_most_requests_cost_no_query_and_refused_ones_none(pool: Pool) -> None:
    counted = CountedPool(pool)
    windows = SharedWindows(counted)  # type: ignore[arg-type]
    assert await allowed(windows, "project:a", 10_000, 10_000) == 10_000
    assert counted.queries < 500
    await windows.take("project:a", 10_000)
    before = counted.queries
    assert await allowed(windows, "project:a", 10_000, 5000) == 0
    assert counted.queries == before, "a subject at its limit does nothing to others"
    assert (await windows.take("project:b", 10)).allowed


async def test_what_is_left_goes_down_and_a_window_ends(pool: Pool) -> None:
    windows = SharedWindows(pool)
    first, second = await windows.take("key:a", 3), await windows.take("key:a", 3)
    assert (first.left, second.left) == (2, 1)
    assert 0 < second.reset_s <= first.reset_s <= 60
    assert (await windows.take("key:a", 3)).left == 0
    refused = await windows.take("key:a", 3)
    assert (refused.allowed, refused.left) == (False, 0)


async def test_the_next_window_begins_when_the_last_one_is_over(pool: Pool) -> None:
    clock = Clock()
    windows = SharedWindows(pool, now=clock)
    assert await allowed(windows, "project:a", 5, 10) == 5
    await pool.execute("UPDATE rate_windows SET ends_at = now()")
    assert await allowed(windows, "project:a", 5, 10) == 0, "by the clock of this process it is not over"
    clock.now = 61.0
    assert await allowed(windows, "project:a", 5, 10) == 5


async def test_a_clock_of_postgres_that_was_set_back_closes_no_window_for_ever(pool: Pool) -> None:
    clock = Clock()
    windows = SharedWindows(pool, now=clock)
    assert await allowed(windows, "project:a", 5, 10) == 5
    await pool.execute("UPDATE rate_windows SET ends_at = now() + interval '1 hour'")
    clock.now = 61.0
    assert await allowed(windows, "project:a", 5, 10) == 5


async def test_a_changed_limit_counts_at_once(pool: Pool) -> None:
    windows = SharedWindows(pool)
    assert await allowed(windows, "project:a", 100, 50) == 50
    assert await allowed(windows, "project:a", 40, 10) == 0
    assert await allowed(windows, "project:a", 200, 200) >= 200 - 50 - 2


async def test_several_requests_are_taken_all_or_none(pool: Pool) -> None:
    windows = SharedWindows(pool, window=timedelta(minutes=1))
    assert (await windows.take("project:a", 100, 80)).allowed
    assert not (await windows.take("project:a", 100, 30)).allowed
    assert (await windows.take("project:a", 100, 20)).allowed


async def test_memory_does_not_grow_with_subjects_whose_windows_have_ended(pool: Pool) -> None:
    clock, counted = Clock(), CountedPool(pool)
    windows = SharedWindows(counted, max_windows=2, now=clock)  # type: ignore[arg-type]
    for subject in "abc":
        await windows.take(subject, 5)
    clock.now = 61.0
    await windows.take("d", 5)
    assert await pool.fetchval("SELECT count(*) FROM rate_windows") == 4
