"""Waiting for a condition, with a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any


async def until(condition: Callable[[], Any], *, within: float = 60.0, poll: float = 0.005) -> Any:
    """The first truthy result of `condition`, a plain or an async function; fails after `within` seconds.

    `within` is a safety net for a test that would hang, not a claim about speed.
    """
    deadline = time.monotonic() + within
    while True:
        result = condition()
        if isinstance(result, Awaitable):
            result = await result
        if result:
            return result
        assert time.monotonic() < deadline, f"not within {within:g} s: {condition}"
        await asyncio.sleep(poll)
