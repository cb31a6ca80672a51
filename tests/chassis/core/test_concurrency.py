"""Deadlines, one of them with a clock that can be stopped; results that are computed once."""

import asyncio

import pytest

from chassis.core.caches import Memo
from chassis.core.concurrency import PausableTimeout, abandon_after


async def test_a_result_in_time_is_returned_and_an_error_is_raised() -> None:
    async def works() -> int:
        return 1

    async def fails() -> int:
        raise ValueError("an error")

    assert await abandon_after(60, works()) == 1
    with pytest.raises(ValueError, match="an error"):
        await abandon_after(60, fails())


async def test_a_task_that_does_not_end_when_cancelled_is_abandoned() -> None:
    free = asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await free.wait()

    with pytest.raises(TimeoutError, match=r"no answer within 0\.1 s"):
        await abandon_after(0.1, stubborn())
    free.set()


async def test_time_in_a_pause_does_not_count() -> None:
    async with PausableTimeout(0.2) as timeout:
        with timeout.paused():
            await asyncio.sleep(0.4)
    assert not timeout.expired()


async def test_time_outside_of_a_pause_counts() -> None:
    with pytest.raises(TimeoutError):
        async with PausableTimeout(0.05) as timeout:
            with timeout.paused():
                await asyncio.sleep(0)
            await asyncio.Event().wait()
    assert timeout.expired()


async def test_a_result_is_computed_once_for_all_callers_of_a_key() -> None:
    calls: list[str] = []

    async def compute(name: str) -> str:
        calls.append(name)
        await asyncio.sleep(0)
        return name.upper()

    memo: Memo[str, str] = Memo()
    got = await asyncio.gather(*(memo.get(name, lambda name=name: compute(name)) for name in ("a", "b", "a")))  # type: ignore[misc]
    assert got == ["A", "B", "A"]
    assert await memo.get("a", lambda: compute("other")) == "A"
    assert sorted(calls) == ["a", "b"]


async def test_a_failure_is_not_kept() -> None:
    async def fails() -> int:
        raise ValueError("an error")

    async def works() -> int:
        return 1

    memo: Memo[str, int] = Memo()
    with pytest.raises(ValueError, match="an error"):
        await memo.get("a", fails)
    assert await memo.get("a", works) == 1
