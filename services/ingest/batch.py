"""Many small writes at once: what arrives while a write is under way shares the next one.

A lone item is written at once. Under load a batch costs one round trip and one commit, whatever its size.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Generic, TypeVar

MAX_ITEMS = 100
"""Enough that the statement's own cost is spread thin; few enough that nobody waits long for the others."""
WRITERS = 2
"""One batch is being committed while the next one is being encoded."""

T = TypeVar("T")


class Batch(Generic[T]):
    """Hands items to `write` in lists. What `write` raises, each item of that list raises."""

    def __init__(self, write: Callable[[list[T]], Awaitable[None]]) -> None:
        self._write = write
        self._waiting: list[tuple[T, asyncio.Future[None]]] = []
        self._writers: set[asyncio.Task[None]] = set()

    async def add(self, item: T) -> None:
        """Returns when the item is written."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if len(self._writers) < WRITERS:
            # In a context of its own: it outlives the request that happened to start it.
            writer = asyncio.create_task(self._drain(), context=Context())
            self._writers.add(writer)
            writer.add_done_callback(self._writers.discard)
        await done

    async def _drain(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting[:MAX_ITEMS], self._waiting[MAX_ITEMS:]
            try:
                await self._write([item for item, _ in taken])
            except BaseException as error:  # told to each waiter, who raises it
                _settle(taken, error)
                if not isinstance(error, Exception):
                    raise
            else:
                _settle(taken, None)


def _settle(taken: "list[tuple[T, asyncio.Future[None]]]", error: BaseException | None) -> None:
    for _, done in taken:
        # A waiter whose client went away is cancelled; its item is written all the same.
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        elif isinstance(error, Exception):
            done.set_exception(error)
        else:
            done.cancel()
