"""Requests wait by name, are bounded by party, and share calls."""

import asyncio
from collections.abc import Iterator

import pytest

from chassis.core.concurrency import SharedCall
from services.catalog.waiting import TooManyWaiting, WaitingRequests


def test_an_announcement_wakes_those_who_wait_for_the_name() -> None:
    waiting = WaitingRequests()
    with waiting.admit("a", "x") as first, waiting.admit("b", "x") as second, waiting.admit("a", "y") as other:
        waiting.announce(["x", "z"])
        assert first.is_set()
        assert second.is_set()
        assert not other.is_set()


def test_names_are_not_even_looked_at_while_nobody_waits() -> None:
    def names() -> Iterator[str]:
        raise AssertionError
        yield

    WaitingRequests().announce(names())


def test_one_party_cannot_use_up_the_places_of_another() -> None:
    waiting = WaitingRequests(limit=2)
    with waiting.admit("a", "1"), waiting.admit("a", "2"):
        with pytest.raises(TooManyWaiting), waiting.admit("a", "3"):
            pass
        with waiting.admit("b", "3"):
            pass
    with waiting.admit("a", "3"):
        pass


async def test_a_call_is_shared_by_all_who_ask_before_it_begins() -> None:
    calls: list[asyncio.Future[int]] = []

    async def call() -> int:
        calls.append(asyncio.get_running_loop().create_future())
        return await calls[-1]

    async def begun(count: int) -> None:
        async with asyncio.timeout(60):
            while len(calls) < count:
                await asyncio.sleep(0)

    shared = SharedCall(call)
    first = asyncio.create_task(shared())
    await begun(1)
    others = [asyncio.create_task(shared()) for _ in range(10)]
    calls[0].set_result(1)
    assert await first == 1
    await begun(2)
    late = asyncio.create_task(shared())
    calls[1].set_result(2)
    assert await asyncio.gather(*others) == [2] * 10
    await begun(3)
    calls[2].set_result(3)
    assert await late == 3
    assert len(calls) == 3


async def test_a_call_goes_on_for_the_others_when_one_of_them_leaves() -> None:
    release = asyncio.Event()

    async def call() -> str:
        await release.wait()
        return "done"

    shared = SharedCall(call)
    leaving, staying = asyncio.create_task(shared()), asyncio.create_task(shared())
    await asyncio.sleep(0)
    leaving.cancel()
    release.set()
    assert await staying == "done"


async def test_a_call_that_fails_does_not_keep_the_next_from_beginning() -> None:
    results = iter([OSError("away"), None])

    async def call() -> str:
        if (error := next(results)) is not None:
            raise error
        return "done"

    shared = SharedCall(call)
    with pytest.raises(OSError, match="away"):
        await shared()
    assert await shared() == "done"
