"""Whose item a claim takes: the project with the fewest running, then the one of which the least work was claimed."""

from datetime import timedelta

from tests.chassis.runtime.job_queue.conftest import LONG_LEASE, QueueFixture

QUEUE_LEASE = LONG_LEASE


async def claimed(fixture: QueueFixture, number: int) -> list[str]:
    """The projects of items that are claimed and finished one after the other, as in the only slot of all workers."""
    projects = []
    for _ in range(number):
        item = await fixture.claim()
        await fixture.queue.finish(item, "done")
        projects.append(item.project)
    return projects


async def test_row_5_one_job_behind_three_hundred_of_another_project_waits_for_at_most_two(
    fixture: QueueFixture,
) -> None:
    await fixture.add(*(f"a{n}" for n in range(300)), project="prj_a")
    running = await fixture.claim()
    await fixture.add("b1", project="prj_b")
    await fixture.queue.finish(running, "done")
    assert "prj_b" in await claimed(fixture, 2)


async def test_projects_get_the_same_amount_of_work_and_not_of_items(fixture: QueueFixture) -> None:
    await fixture.add(*(f"film_{n}" for n in range(5)), project="prj_films", estimate_s=60.0)
    await fixture.add(*(f"clip_{n}" for n in range(50)), project="prj_clips", estimate_s=6.0)
    order = await claimed(fixture, 33)
    assert order.count("prj_films") == 3, order


async def test_a_project_that_comes_again_and_again_does_not_pass_one_that_waits(fixture: QueueFixture) -> None:
    await fixture.add(*(f"a{n}" for n in range(9)), project="prj_a")
    order = []
    for n in range(12):
        await fixture.add(f"b{n}", project=f"prj_{n}")
        order += await claimed(fixture, 1)
    assert order.count("prj_a") >= 5 or order[:9].count("prj_a") >= 1, order
    assert max(len(run) for run in "".join("a" if each == "prj_a" else "o" for each in order).split("a")) <= 3, order


async def test_postponed_items_give_no_claim_to_the_time_that_they_waited(fixture: QueueFixture) -> None:
    """Otherwise a project whose items all become due at once would be served alone for as long."""
    await fixture.add(*(f"late_{n}" for n in range(20)), project="prj_late", estimate_s=200.0)
    for _ in range(20):
        await fixture.queue.retry(await fixture.claim(), timedelta(hours=1), "postponed", counts=False)
    await fixture.add(*(f"a{n}" for n in range(40)), project="prj_a", estimate_s=300.0)
    await claimed(fixture, 30)
    await fixture.pool.execute("UPDATE job_queue SET not_before = now() WHERE project = 'prj_late'")
    order = await claimed(fixture, 9)
    assert order.count("prj_a") >= 2, order


async def test_a_project_without_items_is_forgotten_and_one_with_running_or_later_items_is_not(
    fixture: QueueFixture,
) -> None:
    await fixture.add("later", project="prj_later")
    await fixture.queue.retry(await fixture.claim(), timedelta(hours=1), "later")
    await fixture.add("running", project="prj_running")
    await fixture.claim()
    await fixture.add("ends", project="prj_ends")
    await claimed(fixture, 1)
    assert await fixture.queue.claim("w1") is None
    rows = await fixture.pool.fetch("SELECT project FROM job_queue_projects ORDER BY project")
    assert [row["project"] for row in rows] == ["prj_later", "prj_running"]


async def test_an_item_added_while_its_project_is_forgotten_is_claimed(fixture: QueueFixture) -> None:
    """The claim sees no item of the project, and does not remove it: the item is added before its lock."""
    await fixture.add("first")
    await claimed(fixture, 1)
    async with fixture.pool.acquire() as adding, adding.transaction():
        await fixture.queue.add(adding, id="second", project="prj_a", kind="video", payload={})
        assert await fixture.queue.claim("w1") is None, "not committed yet"
    assert (await fixture.claim()).id == "second"
