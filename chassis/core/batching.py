"""Joins calls that happen at the same time, for a resource where one call for many costs little more than for one."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

MAX_BATCH = 100


@dataclass(eq=False)
class _Entry(Generic[T, R]):
    value: T
    result: "asyncio.Future[R]"


class Batching(Generic[T, R]):
    """Calls `call` with the values of all callers that came while the call before was under way; one call at a time.

        begin = Batching(store.begin_attempts)
        attempt = await begin(delivery_id)

    A lone caller waits for nobody. `call` returns one result for each value, in their order; an exception among the
    results is raised to its caller alone. Where `call` raises, it is made once for each value, so that one caller's
    value fails no other's, unless `shared_failure` says that the error does not come from a value. A caller that is
    cancelled before its call begins is left out of it; afterwards the call goes on without it.
    """

    def __init__(
        self,
        call: Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]],
        *,
        shared_failure: Callable[[Exception], bool] = lambda _: False,
        max_batch: int = MAX_BATCH,
    ) -> None:
        self._call = call
        self._shared_failure = shared_failure
        self._max_batch = max_batch
        self._waiting: deque[_Entry[T, R]] = deque()
        self._calling: asyncio.Task[None] | None = None

    async def __call__(self, value: T) -> R:
        entry: _Entry[T, R] = _Entry(value, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        if self._calling is None:
            self._calling = asyncio.create_task(self._call_until_idle())
        return await entry.result

    async def _call_until_idle(self) -> None:
        try:
            while self._waiting:
                entries: list[_Entry[T, R]] = []
                while self._waiting and len(entries) < self._max_batch:
                    entry = self._waiting.popleft()
                    if not entry.result.done():
                        entries.append(entry)
                if entries:
                    await self._call_for(entries)
        finally:
            self._calling = None
            # Only where this task was cancelled, with its event loop, is anything left.
            for entry in self._waiting:
                entry.result.cancel()

    async def _call_for(self, entries: Sequence[_Entry[T, R]]) -> None:
        try:
            results = await self._call([entry.value for entry in entries])
        except Exception as error:  # noqa: BLE001 - passed to the callers
            if len(entries) == 1 or self._shared_failure(error):
                for entry in entries:
                    _settle(entry.result, error)
                return
            for entry in entries:
                await self._call_for([entry])
            return
        except BaseException:
            for entry in entries:
                entry.result.cancel()
            raise
        for entry, result in zip(entries, results, strict=True):
            _settle(entry.result, result)


def _settle(future: "asyncio.Future[Any]", result: object) -> None:
    if future.done():
        return  # its caller was cancelled
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
