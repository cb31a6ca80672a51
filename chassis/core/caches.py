"""Results of coroutines that are kept: for ever, or for a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")


class Memo(Generic[K, T]):
    """Results that are computed once per process and key; callers that come meanwhile wait for the same computation.

    A failure is raised to them and not kept.
    """

    def __init__(self) -> None:
        self._results: dict[K, T] = {}
        self._running: dict[K, asyncio.Task[T]] = {}

    async def get(self, key: K, compute: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of `compute` for this key, or that of an earlier call."""
        if key not in self._results:
            task = self._running.get(key)
            if task is None or task.done():
                task = self._running[key] = asyncio.create_task(compute())
            self._results[key] = await asyncio.shield(task)
        return self._results[key]


class TtlCache(Generic[K, T]):
    """Keeps each result for `ttl` seconds, and only the last `size` results.

    The age of a result counts from before it was asked for, so that none is older than `ttl`.
    """

    def __init__(self, *, ttl: float, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl = ttl
        self._size = size
        self._clock = clock
        self._results: dict[K, tuple[float, T]] = {}

    async def get(self, key: K, find: Callable[[], Awaitable[T]]) -> T:
        """The kept result of this key, or else what `find` gives."""
        started_at = self._clock()
        kept = self._results.get(key)
        if kept is not None and started_at < kept[0]:
            return kept[1]
        found = await find()
        # Removed first, so that the dictionary is ordered by the age of its results.
        self._results.pop(key, None)
        self._results[key] = (started_at + self._ttl, found)
        if len(self._results) > self._size:
            del self._results[next(iter(self._results))]
        return found
