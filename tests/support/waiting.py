"""Waiting for a condition with a deadline, instead of sleeping and hoping."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any


async def until(condition: Callable[[], Any], *, within: float = 10.0) -> Any:
    """The first truthy answer of `condition`, a plain or an async function; fails after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        answer = condition()
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {within:g} s: {condition}"
        await asyncio.sleep(0.005)
