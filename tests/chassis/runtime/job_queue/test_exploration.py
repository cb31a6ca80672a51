"""Two workers and two items: whatever happens in whichever order, each item ends exactly once."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis.adapters.postgres import open_pool
from chassis.runtime.job_queue import JobQueue
from chassis.runtime.outbox import Outbox
from tests.chassis.runtime.job_queue.conftest import QueueFixture
from tests.chassis.runtime.job_queue.exploration import ENDED, ITEMS, Exploration, Snapshot, canonical, possible

RANDOM = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
LEASE = timedelta(hours=1)
"""Longer than an exploration takes."""
_NOT_EXPLORED = ("yoyo", "migration", "watermark", "gauge")
"""Parts of the names of tables that have nothing to do with items."""


@pytest.fixture
async def exploration(fixture: QueueFixture) -> AsyncIterator[Exploration]:
    names = await fixture.pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", fixture.schema)
    tables = tuple(row["tablename"] for row in names if not any(part in row["tablename"] for part in _NOT_EXPLORED))
    assert {"job_queue", "job_queue_cancellations", "outbox"} <= set(tables)
    settings = {"synchronous_commit": "off"}
    async with await open_pool(fixture.dsn, fixture.schema, size=2, settings=settings) as pool:
        yield Exploration(pool, JobQueue(pool, Outbox(pool, "test"), lease=LEASE), tables)


@pytest.mark.parametrize("depth", [5, pytest.param(9, marks=pytest.mark.slow)])
async def test_each_item_ends_once_in_every_order_of_steps_up_to_a_depth(
    fixture: QueueFixture, exploration: Exploration, depth: int
) -> None:
    await fixture.add(*ITEMS)
    start = await exploration.snapshot(Snapshot("{}"))
    seen, frontier = {canonical(start)}, [start]
    for _ in range(depth):
        following = []
        for state in frontier:
            for step in possible(state):
                after = await exploration.take(state, step)
                if (key := canonical(after)) not in seen:
                    seen.add(key)
                    following.append(after)
        for state in following:
            await check_that_all_ends_once(exploration, state)
        frontier = following
    print(f"{len(seen)} states, {exploration.steps} steps, {len(frontier)} states at depth {depth}")


@RANDOM
@given(choices=st.lists(st.integers(0, 10**6), min_size=10, max_size=40))
async def test_each_item_ends_once_in_long_random_histories(
    fixture: QueueFixture, exploration: Exploration, choices: list[int]
) -> None:
    await fixture.pool.execute("DELETE FROM job_queue; DELETE FROM job_queue_cancellations; DELETE FROM outbox")
    await fixture.add(*ITEMS)
    state = await exploration.snapshot(Snapshot("{}"))
    for choice in choices:
        steps = list(possible(state))
        state = await exploration.take(state, steps[choice % len(steps)])
    await check_that_all_ends_once(exploration, state)


async def check_that_all_ends_once(exploration: Exploration, state: Snapshot) -> None:
    closed = await exploration.close(state)
    assert [(closed.rows()[id]["state"] in ENDED, closed.ends(id)) for id in ITEMS] == [(True, 1)] * 2
