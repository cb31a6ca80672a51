"""Deadlines: one that does not wait for the cancelled task, one whose clock can be stopped."""

import asyncio

import pytest

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
