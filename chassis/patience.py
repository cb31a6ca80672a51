"""Waiting no longer than one has time for, whatever hangs."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_abandoned: set[asyncio.Task[Any]] = set()


async def within(seconds: float, coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of the coroutine, or `TimeoutError`, and then at once.

    `asyncio.timeout` cancels and then waits until the cancelled has ended; a query on a connection whose other end is
    gone without a word does not end. Here it is cancelled and left to itself.
    """
    task = asyncio.create_task(coroutine)
    try:
        done, _ = await asyncio.wait([task], timeout=max(0.0, seconds))
    except asyncio.CancelledError:
        _abandon(task)
        raise
    if not done:
        _abandon(task)
        raise TimeoutError(f"no answer within {seconds:.1f} s")
    return task.result()


def _abandon(task: asyncio.Task[Any]) -> None:
    # The set keeps it alive; asking for the exception tells asyncio that nobody else will.
    _abandoned.add(task)
    task.add_done_callback(_forget)
    task.cancel()


def _forget(task: asyncio.Task[Any]) -> None:
    _abandoned.discard(task)
    if not task.cancelled():
        task.exception()
