"""Waiting ends at once when the event comes, and in time when it does not."""

import asyncio
import time

from schemas.ids import typeid, uuid7
from services.catalog.arrivals import CLOCK_SKEW_MS, MAX_WAITING, YOUNG_MS, Arrivals, is_young

NOW = 1_800_000_000_000


def minted(at: int) -> str:
    return typeid("job", uuid7(at, bytes(10)))


def test_only_ids_of_the_last_seconds_are_young() -> None:
    assert is_young(minted(NOW), NOW)
    assert is_young(minted(NOW - YOUNG_MS), NOW)
    assert is_young(minted(NOW + CLOCK_SKEW_MS), NOW)
    assert not is_young(minted(NOW - YOUNG_MS - 1), NOW)
    assert not is_young(minted(NOW + CLOCK_SKEW_MS + 1), NOW)
    assert not is_young(minted(NOW + 10**9), NOW)


async def test_what_is_there_is_found_without_waiting() -> None:
    async def look() -> str | None:
        return "it"

    assert await Arrivals().until("name", look, 0) == "it"


async def test_an_announcement_wakes_who_waits() -> None:
    arrivals, looked = Arrivals(poll=60), asyncio.Event()
    found: list[str] = []

    async def look() -> str | None:
        looked.set()
        return found[0] if found else None

    waiting = asyncio.create_task(arrivals.until("name", look, 60))
    await looked.wait()
    arrivals.announce("other")
    found.append("it")
    arrivals.announce("name")
    async with asyncio.timeout(5):
        assert await waiting == "it"


async def test_an_announcement_during_the_first_look_is_not_missed() -> None:
    arrivals, looks = Arrivals(poll=60), 0

    async def look() -> str | None:
        nonlocal looks
        looks += 1
        if looks == 1:
            arrivals.announce("name")
            return None
        return "it"

    async with asyncio.timeout(5):
        assert await arrivals.until("name", look, 60) == "it"


async def test_what_another_process_projects_is_found_by_looking_again() -> None:
    looks = 0

    async def look() -> str | None:
        nonlocal looks
        looks += 1
        return "it" if looks == 3 else None

    assert await Arrivals(poll=0.01).until("name", look, 5) == "it"


async def test_beyond_so_many_names_nobody_waits() -> None:
    arrivals = Arrivals(poll=60)

    async def look() -> str | None:
        return None

    waiting = [asyncio.create_task(arrivals.until(f"{n}", look, 60)) for n in range(MAX_WAITING)]
    await asyncio.wait(waiting, timeout=0)
    async with asyncio.timeout(5):
        assert await arrivals.until("one more", look, 60) is None
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_waiting_is_bounded_and_leaves_nothing_behind() -> None:
    arrivals = Arrivals(poll=0.01)

    async def look() -> str | None:
        return None

    began = time.monotonic()
    assert await arrivals.until("name", look, 0.05) is None
    assert 0.05 <= time.monotonic() - began < 2
    assert arrivals._waiting == {}
