"""What arrives while a write is under way shares the next one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.ingest.batch import MAX_ITEMS, Batch, Write


class Written:
    """A store whose writes end when they are let go; `opened` counts its connections."""

    def __init__(self) -> None:
        self.opened = 0
        self.closed_door: Exception | None = None
        self.batches: list[list[int]] = []
        self.go = asyncio.Event()
        self.error: Exception | None = None

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Write[int]]:
        if self.closed_door:
            raise self.closed_door
        self.opened += 1
        yield self.write

    async def write(self, items: list[int]) -> None:
        self.batches.append(items)
        await self.go.wait()
        if self.error:
            raise self.error


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_lone_item_is_written_at_once() -> None:
    written = Written()
    written.go.set()
    await Batch(written).add(1)
    assert written.batches == [[1]]


async def test_items_that_wait_share_a_write_and_keep_their_order() -> None:
    written = Written()
    batch = Batch(written)
    first = asyncio.create_task(batch.add(0))
    await settle()
    rest = [asyncio.create_task(batch.add(number)) for number in range(1, MAX_ITEMS + 2)]
    await settle()
    written.go.set()
    await asyncio.gather(first, *rest)
    assert [len(items) for items in written.batches] == [1, MAX_ITEMS, 1]
    assert [item for items in written.batches for item in items] == list(range(MAX_ITEMS + 2))
    assert written.opened == 1


async def test_where_nothing_can_be_opened_everybody_is_told() -> None:
    written = Written()
    batch = Batch(written)
    written.closed_door = TimeoutError("no connection")
    results = await asyncio.gather(*[batch.add(number) for number in range(5)], return_exceptions=True)
    assert all(isinstance(result, TimeoutError) for result in results)
    written.closed_door = None
    written.go.set()
    await batch.add(9)
    assert written.batches == [[9]]


async def test_an_error_reaches_each_item_of_its_batch_and_no_other() -> None:
    written = Written()
    batch = Batch(written)
    written.error = ConnectionError("away")
    written.go.set()
    results = await asyncio.gather(*[batch.add(number) for number in range(5)], return_exceptions=True)
    assert all(isinstance(result, ConnectionError) for result in results)
    written.error = None
    await batch.add(9)
    assert written.batches[-1] == [9]


async def test_a_waiter_who_left_does_not_disturb_the_others() -> None:
    written = Written()
    batch = Batch(written)
    gone = asyncio.create_task(batch.add(1))
    other = asyncio.create_task(batch.add(2))
    await settle()
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    written.go.set()
    await other
    assert sorted(item for items in written.batches for item in items) == [1, 2]
