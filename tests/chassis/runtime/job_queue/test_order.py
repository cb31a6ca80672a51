"""The order of the queue that is shown is the order of the claims."""

from datetime import timedelta
from random import Random

import pytest

from chassis.runtime.job_queue.order import QueueOrder
from tests.chassis.runtime.job_queue.conftest import QueueFixture

WORKERS = ("w1", "w2", "w3")
TURN = timedelta(minutes=5)


async def claimed(fixture: QueueFixture, random: Random) -> list[str]:
    """All items in the order in which several workers claim them, while nothing ends."""
    ids = []
    while (item := await fixture.queue.claim(random.choice(WORKERS))) is not None:
        ids.append(item.id)
    return ids


async def fill(fixture: QueueFixture, random: Random, items: int) -> None:
    for number in range(items):
        await fixture.add(
            f"item_{number:03}",
            project=f"prj_{random.choice('aaaabbc')}",
            priority=random.choice((-1, 0, 0, 1)),
            estimate_s=random.uniform(0.5, 40.0),
        )


@pytest.mark.parametrize("seed", range(6))
async def test_the_order_is_that_of_the_claims_of_several_workers(fixture: QueueFixture, seed: int) -> None:
    random = Random(seed)
    order = QueueOrder(fixture.pool)
    await fill(fixture, random, 40)
    for _ in range(random.randint(0, 12)):
        item = await fixture.claim(random.choice(WORKERS))
        if random.random() < 0.5:
            await fixture.queue.finish(item, "done")
        elif random.random() < 0.3:
            await fixture.queue.retry(item, timedelta(hours=1), "later")
    shown = await order.read()
    assert shown, "some wait"
    assert shown == await claimed(fixture, random)
    assert await order.read() == []


@pytest.mark.parametrize(("items", "projects"), [(10, 500), (500, 1), (500, 2)])
async def test_a_bounded_order_is_the_beginning_of_the_whole_one(
    fixture: QueueFixture, items: int, projects: int
) -> None:
    random = Random(items + projects)
    await fill(fixture, random, 60)
    for _ in range(5):
        await fixture.claim(random.choice(WORKERS))
    whole = await QueueOrder(fixture.pool).read()
    bounded = await QueueOrder(fixture.pool, items=items, projects=projects).read()
    assert len(bounded) <= items
    assert bounded == whole[: len(bounded)]
    assert bounded or projects < 3, "with few projects the next item may not be known"


async def test_the_order_ends_where_an_item_that_was_not_looked_at_may_be_next(fixture: QueueFixture) -> None:
    await fixture.add(*(f"b{n:02}" for n in range(31)), project="prj_b")
    for _ in range(30):
        await fixture.claim()
    await fixture.add("c", project="prj_c")
    await fixture.add("d", project="prj_d")
    await fixture.add(*(f"a{n:02}" for n in range(60)), project="prj_a")
    whole = await QueueOrder(fixture.pool).read()
    assert len(whole) == 63 and whole.index("b30") in (32, 33), "30 items of the others count as running before it"
    bounded = await QueueOrder(fixture.pool, items=50).read()
    assert bounded == whole[:27], "of each project 25 items were looked at"


async def test_one_worker_at_a_time_reads_the_order(fixture: QueueFixture) -> None:
    await fixture.add("a")
    one, other = QueueOrder(fixture.pool), QueueOrder(fixture.pool)
    assert await one.read_in_turn(TURN) == ["a"]
    assert await other.read_in_turn(TURN) is None and await one.read_in_turn(TURN) is None
    await fixture.pool.execute("UPDATE job_queue_order SET read_at = read_at - interval '6 minutes'")
    assert await other.read_in_turn(TURN) == ["a"]
    await fixture.pool.execute("UPDATE job_queue_order SET read_at = now() + interval '1 hour'")
    assert await one.read_in_turn(TURN) == ["a"], "the clock was set back"
    await fixture.pool.execute("TRUNCATE job_queue_order")
    assert await one.read_in_turn(TURN) == ["a"], "a crash of Postgres empties the table"
