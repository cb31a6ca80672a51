"""Waiting ends in time, even for what does not."""

import asyncio
import time

import pytest

from chassis.core.concurrency import abandon_after


async def test_what_comes_in_time_is_returned_and_what_fails_is_raised() -> None:
    async def works() -> int:
        return 1

    async def fails() -> int:
        raise ValueError("its own")

    assert await abandon_after(1, works()) == 1
    with pytest.raises(ValueError, match="its own"):
        await abandon_after(1, fails())


async def test_what_does_not_end_even_when_cancelled_is_left_behind() -> None:
    free = asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await free.wait()

    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"no answer within 0\.1 s"):
        await abandon_after(0.1, stubborn())
    assert time.monotonic() - began < 1
    free.set()
