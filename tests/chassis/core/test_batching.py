"""Calls that happen at the same time are joined."""

import asyncio
from collections.abc import Sequence

import pytest

from chassis.core.batching import Batching


class Doubling:
    """A call that doubles numbers, refuses negative ones, fails on 13, and waits until it is let through."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open = asyncio.Event()

    async def __call__(self, values: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(values))
        await self.open.wait()
        if 13 in values:
            raise RuntimeError("thirteen")
        return [ValueError(str(value)) if value < 0 else value * 2 for value in values]


async def test_callers_that_come_during_a_call_share_the_next() -> None:
    call = Doubling()
    double = Batching(call, max_batch=3)
    first = asyncio.create_task(double(1))
    await asyncio.sleep(0)
    others = [asyncio.create_task(double(number)) for number in range(2, 7)]
    await asyncio.sleep(0)
    call.open.set()
    assert [await each for each in (first, *others)] == [2, 4, 6, 8, 10, 12]
    assert call.batches == [[1], [2, 3, 4], [5, 6]]


async def test_a_result_that_is_an_exception_is_raised_to_its_caller_alone() -> None:
    call = Doubling()
    call.open.set()
    double = Batching(call)
    results = await asyncio.gather(*(double(number) for number in (1, -2, 3)), return_exceptions=True)
    assert results[0] == 2 and isinstance(results[1], ValueError) and results[2] == 6


async def test_a_value_that_makes_the_call_fail_fails_no_other() -> None:
    call = Doubling()
    call.open.set()
    double = Batching(call)
    results = await asyncio.gather(*(double(number) for number in (1, 13, 3)), return_exceptions=True)
    assert results[0] == 2 and isinstance(results[1], RuntimeError) and results[2] == 6


async def test_a_failure_that_is_nobodys_is_raised_to_all_without_further_calls() -> None:
    call = Doubling()
    call.open.set()
    double = Batching(call, shared_failure=lambda error: isinstance(error, RuntimeError))
    results = await asyncio.gather(*(double(number) for number in (13, 1)), return_exceptions=True)
    assert all(isinstance(result, RuntimeError) for result in results)
    assert call.batches == [[13, 1]]


async def test_a_caller_that_is_cancelled_before_its_call_is_left_out() -> None:
    call = Doubling()
    double = Batching(call)
    first = asyncio.create_task(double(1))
    await asyncio.sleep(0)
    cancelled, third = asyncio.create_task(double(2)), asyncio.create_task(double(3))
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    call.open.set()
    assert await first == 2 and await third == 6
    assert call.batches == [[1], [3]]


async def test_a_caller_that_is_cancelled_during_its_call_stops_no_other() -> None:
    call = Doubling()
    double = Batching(call)
    first = asyncio.create_task(double(1))
    await asyncio.sleep(0)
    cancelled, third = asyncio.create_task(double(2)), asyncio.create_task(double(3))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    call.open.set()
    assert [await cancelled, await third] == [4, 6]
