"""Many small writes at once: what arrives while a write is under way shares the next one.

A lone item is written at once. Under load a batch costs one round trip and one commit, whatever its size.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from contextvars import Context
from typing import Generic, TypeVar

MAX_ITEMS = 100
"""Enough that the statement's own cost is spread thin; few enough that nobody waits long for the others."""

T = TypeVar("T")
Write = Callable[[list[T]], Awaitable[None]]


class Batch(Generic[T]):
    """Hands items in lists to the function that `open` gives. What that raises, each item of its list raises.

    `open` is entered when there is something to write, and left as soon as there is nothing more: a connection is
    taken and given back once for a whole rush.
    """

    def __init__(self, open: Callable[[], AbstractAsyncContextManager[Write[T]]]) -> None:
        self._open = open
        self._waiting: list[tuple[T, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def add(self, item: T) -> None:
        """Returns when the item is written."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if self._writer is None or self._writer.done():
            # In a context of its own: it outlives the request that happened to start it.
            self._writer = asyncio.create_task(self._drain(), context=Context())
        await done

    async def _drain(self) -> None:
        while taken := self._take():
            try:
                async with self._open() as write:
                    while taken:
                        await write([item for item, _ in taken])
                        _settle(taken, None)
                        taken = self._take()
            except BaseException as error:  # told to each waiter, who raises it
                _settle(taken, error)
                if not isinstance(error, Exception):
                    raise

    def _take(self) -> "list[tuple[T, asyncio.Future[None]]]":
        taken, self._waiting = self._waiting[:MAX_ITEMS], self._waiting[MAX_ITEMS:]
        return taken


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
