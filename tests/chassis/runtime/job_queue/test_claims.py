"""Which item is claimed, when, and what a claim says about earlier ones."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from chassis.core.ids import now_ms
from chassis.runtime.job_queue import QueueItem
from tests.chassis.runtime.job_queue.conftest import LONG_LEASE, QueueFixture

QUEUE_LEASE = LONG_LEASE


async def test_an_added_item_is_claimed_with_its_payload_and_its_first_attempt(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    before = now_ms()
    item = await fixture.claim("w1")
    assert item.started_at_ms is not None and abs(item.started_at_ms - before) < 60_000
    assert item == QueueItem(
        id="job_1",
        project="prj_a",
        kind="video",
        payload={"n": "job_1"},
        attempt=1,
        worker="w1",
        cancelled=False,
        started_at_ms=item.started_at_ms,
    )
    assert await fixture.queue.claim("w2") is None


async def test_the_project_with_the_fewest_running_items_comes_first(fixture: QueueFixture) -> None:
    await fixture.add("a1", "a2", "a3", project="prj_a", priority=9)
    await fixture.add("b1", "b2", project="prj_b")
    await fixture.add("c1", project="prj_c")
    claimed = [(await fixture.claim()).id for _ in range(6)]
    assert claimed == ["a1", "b1", "c1", "a2", "b2", "a3"]


async def test_within_a_project_priority_comes_before_age(fixture: QueueFixture) -> None:
    await fixture.add("old", "older_is_not_first")
    await fixture.add("urgent", priority=5)
    assert [(await fixture.claim()).id for _ in range(3)] == ["urgent", "old", "older_is_not_first"]


async def test_an_item_is_not_claimed_before_it_is_due(fixture: QueueFixture) -> None:
    await fixture.add("later", not_before_ms=now_ms() + 60_000)
    assert await fixture.queue.claim("w1") is None
    items, due, _ = await fixture.queue.claim_many("w1", 1)
    assert not items and due is not None
    assert timedelta(seconds=10) < due <= timedelta(seconds=60)
    await fixture.add("now", not_before_ms=now_ms() - 5)
    assert (await fixture.claim()).id == "now"


async def test_nothing_is_due_where_nothing_is_queued(fixture: QueueFixture) -> None:
    assert await fixture.queue.claim_many("w1", 1) == ([], None, False)


async def test_a_claim_that_comes_too_late_claims_nothing(fixture: QueueFixture) -> None:
    """An outage can hold a claim back in the network, and its sender may have given it up since."""
    await fixture.add("job_1")
    now = await fixture.pool.fetchval("SELECT now()")
    items, due, _ = await fixture.queue.claim_many("w1", 1, valid_until=now - timedelta(milliseconds=1))
    assert not items and due == timedelta(0)
    assert (await fixture.queue.claim_many("w1", 1, valid_until=now + timedelta(hours=1))).items


async def test_twenty_claimers_get_each_of_two_hundred_items_exactly_once(fixture: QueueFixture) -> None:
    for project in ("prj_a", "prj_b", "prj_c"):
        await fixture.add(*(f"{project}_{n}" for n in range(70)), project=project)
    claims: Counter[str] = Counter()

    async def claimer(name: str) -> None:
        while claims.total() < 210:
            item = await fixture.queue.claim(name)
            if item is not None:
                claims[item.id] += 1
                await fixture.queue.finish(item, "done")

    async with asyncio.timeout(60):
        await asyncio.gather(*(claimer(f"w{n}") for n in range(20)))
    assert len(claims) == 210
    assert set(claims.values()) == {1}


async def test_the_same_worker_is_fenced_from_its_own_earlier_attempt(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    first = await fixture.claim("w1")
    await fixture.expire("job_1")
    second = await fixture.claim("w1")
    assert await fixture.queue.renew([first]) == ["lost"]
    assert await fixture.queue.renew([second]) == ["held"]


async def test_a_lease_that_ran_out_is_still_held_while_nobody_else_claimed(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    item = await fixture.claim()
    await fixture.expire("job_1")
    assert await fixture.queue.renew([item]) == ["held"]
    assert await fixture.queue.claim("w2") is None


async def test_an_expired_item_comes_back_to_its_old_place(fixture: QueueFixture) -> None:
    await fixture.add("job_1", "job_2")
    await fixture.claim("w1")
    await fixture.expire("job_1")
    assert (await fixture.claim("w2")).id == "job_1"


async def test_a_released_item_is_queued_as_before_and_its_next_claim_has_a_fence_of_its_own(
    fixture: QueueFixture,
) -> None:
    await fixture.add("job_1")
    first = await fixture.claim("w1")
    await fixture.queue.release(first)
    assert await fixture.state("job_1") == "queued"
    second = await fixture.claim("w1")
    assert (second.failures, second.crashed) == (0, 0)
    assert await fixture.queue.renew([first]) == ["lost"]
    assert await fixture.queue.renew([second]) == ["held"]


async def test_a_crash_counts_and_as_one_alone_only_after_the_worker_had_nothing_else(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    counts = []
    for n, alone in enumerate((False, False, True, True, True)):
        item = await fixture.claim(f"w{n}")
        counts.append((item.crashed, item.crashed_alone, item.suspect, item.poisoned))
        if alone:
            await fixture.queue.start_alone(item)
        await fixture.expire("job_1")
    last = await fixture.claim("w9")
    counts.append((last.crashed, last.crashed_alone, last.suspect, last.poisoned))
    assert counts == [
        (0, 0, False, False),
        (1, 0, True, False),
        (2, 0, True, False),
        (3, 1, True, False),
        (4, 2, True, False),
        (5, 3, True, True),
    ]


@pytest.mark.parametrize("end", ["retry", "release"])
async def test_an_item_that_was_alone_and_put_back_is_not_alone_any_more(fixture: QueueFixture, end: str) -> None:
    await fixture.add("job_1")
    item = await fixture.claim("w1")
    await fixture.queue.start_alone(item)
    if end == "retry":
        await fixture.queue.retry(item, timedelta(0), "why")
    else:
        await fixture.queue.release(item)
    await fixture.claim("w2")
    await fixture.expire("job_1")
    assert (await fixture.claim("w3")).crashed_alone == 0


async def claim_of(fixture: QueueFixture, worker: str, per_project: int) -> str | None:
    """The id of what the worker claims."""
    items = (await fixture.queue.claim_many(worker, 1, per_project=per_project)).items
    return items[0].id if items else None


async def test_a_worker_gets_no_more_items_of_a_project_than_its_bound_and_at_once_those_of_others(
    fixture: QueueFixture,
) -> None:
    await fixture.add("a1", "a2", "a3", "a4", project="prj_a", priority=9)
    await fixture.add("b1", project="prj_b")
    assert [await claim_of(fixture, "w1", 2) for _ in range(4)] == ["a1", "b1", "a2", None]
    assert await claim_of(fixture, "w2", 2) == "a3"
    await fixture.expire("a3")
    assert await claim_of(fixture, "w1", 2) is None, "the bound holds for items of crashed workers as well"
    await fixture.pool.execute("UPDATE job_queue SET state = 'done', worker = NULL, lease_until = NULL WHERE id = 'a1'")
    assert await claim_of(fixture, "w1", 2) == "a3"


async def test_what_a_bound_holds_back_is_not_due(fixture: QueueFixture) -> None:
    await fixture.add("a1", "a2", project="prj_a")
    await fixture.queue.claim_many("w1", 1, per_project=1)
    assert await fixture.queue.claim_many("w1", 1, per_project=1) == ([], None, True)
    await fixture.add("later", project="prj_b", not_before_ms=now_ms() + 60_000)
    _, due, _ = await fixture.queue.claim_many("w1", 1, per_project=1)
    assert due is not None and timedelta(seconds=10) < due <= timedelta(seconds=60)


async def test_a_crash_counts_only_for_items_that_were_worked_on_until_it_recurs(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    counts = []
    for n in range(7):
        item = await fixture.claim(f"w{n}")
        counts.append((item.crashed, item.crashed_waiting, item.suspect, item.suspect_waiting))
        await fixture.queue.set_waiting(item, True)
        await fixture.expire("job_1")
    assert counts == [
        (0, 0, False, False),
        (0, 1, False, False),
        (0, 2, False, False),
        (0, 3, False, False),
        (0, 4, False, False),
        (1, 5, True, True),
        (2, 6, True, True),
    ]


async def test_an_item_that_waits_again_is_not_alone_any_more(fixture: QueueFixture) -> None:
    await fixture.add("job_1")
    item = await fixture.claim("w1")
    await fixture.queue.start_alone(item)
    await fixture.queue.set_waiting(item, True)
    await fixture.expire("job_1")
    item = await fixture.claim("w2")
    assert (item.crashed, item.crashed_alone, item.crashed_waiting) == (0, 0, 1)


async def test_a_claim_of_many_takes_what_as_many_claims_would(fixture: QueueFixture) -> None:
    await fixture.add("a0", project="prj_a")
    await fixture.claim("w1")
    await fixture.add(*(f"a{number}" for number in range(1, 9)), project="prj_a")
    await fixture.add("b1", "b2", "b3", "b4", project="prj_b")
    await fixture.add("c1", project="prj_c")
    items, due, limited = await fixture.queue.claim_many("w1", 6)
    assert sorted(item.id for item in items) == ["a1", "a2", "b1", "b2", "b3", "c1"]
    assert (due, limited) == (None, False)
    assert {item.attempt for item in items} == {1} and await fixture.is_in("running", *(item.id for item in items))


async def test_a_claim_of_many_keeps_the_bound_of_a_project(fixture: QueueFixture) -> None:
    await fixture.add("a0", project="prj_a")
    await fixture.claim("w1")
    await fixture.add(*(f"a{number}" for number in range(1, 9)), project="prj_a")
    await fixture.add(*(f"b{number}" for number in range(9)), project="prj_b")
    items, _, _ = await fixture.queue.claim_many("w1", 16, per_project=3)
    assert sorted(item.id for item in items) == ["a1", "a2", "b0", "b1", "b2"]
    assert await fixture.queue.claim_many("w1", 16, per_project=3) == ([], None, True)


async def test_many_claims_of_many_at_the_same_time_take_each_item_once(fixture: QueueFixture) -> None:
    for number in range(40):
        await fixture.add(f"a{number}", f"b{number}", project=f"prj_{number % 7}")
    claimed: list[str] = []

    async def claim(worker: str) -> None:
        while len(claimed) < 80:
            claimed.extend(item.id for item in (await fixture.queue.claim_many(worker, 7)).items)

    await asyncio.gather(*(claim(f"w{number}") for number in range(5)))
    assert len(claimed) == len(set(claimed)) == 80


async def test_the_end_of_another_workers_lease_is_waited_for(fixture: QueueFixture) -> None:
    """Otherwise the item of a killed worker waits for the next poll as well."""
    await fixture.add("a1")
    await fixture.claim("w1")
    _, due, _ = await fixture.queue.claim_many("w2", 1)
    assert due is not None and due <= fixture.queue.lease
    assert await fixture.queue.claim_many("w1", 1) == ([], None, False)
