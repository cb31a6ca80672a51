"""Items that arrive while a write is in progress share the next one, and fail only for reasons of their own."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from chassis.adapters.failure_policy import is_outage
from services.ingest.jobs import BatchWriter, Write


class Table:
    """Writes wait until `go` is set. A list that contains `bad` fails; `opened` counts connections."""

    def __init__(self, *, go: bool = True, bad: int | None = None) -> None:
        self.opened = 0
        self.open_error: Exception | None = None
        self.write_error: Exception | None = None
        self.bad = bad
        self.calls: list[list[int]] = []
        self.rows: list[int] = []
        self.go = asyncio.Event()
        if go:
            self.go.set()

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Write[int]]:
        if self.open_error:
            raise self.open_error
        self.opened += 1
        yield self.write

    async def write(self, items: Sequence[int]) -> None:
        self.calls.append(list(items))
        await self.go.wait()
        if self.write_error:
            raise self.write_error
        if self.bad in items:
            raise ValueError(f"row {self.bad} is bad")
        self.rows += items


async def let_tasks_run() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_single_item_is_written_at_once() -> None:
    table = Table()
    await BatchWriter(table).add(1)
    assert table.calls == [[1]]


async def test_waiting_items_share_a_write_and_keep_their_order() -> None:
    table = Table(go=False)
    writer = BatchWriter(table, max_batch=10)
    first = asyncio.create_task(writer.add(0))
    await let_tasks_run()
    others = [asyncio.create_task(writer.add(number)) for number in range(1, 12)]
    await let_tasks_run()
    table.go.set()
    await asyncio.gather(first, *others)
    assert [len(call) for call in table.calls] == [1, 10, 1]
    assert table.rows == list(range(12))
    assert table.opened == 1


async def test_a_bad_item_fails_alone() -> None:
    table = Table(bad=3)
    writer = BatchWriter(table)
    results = await asyncio.gather(*[writer.add(number) for number in range(5)], return_exceptions=True)
    assert [type(result) for result in results] == [type(None), type(None), type(None), ValueError, type(None)]
    assert table.rows == [0, 1, 2, 4]


@pytest.mark.parametrize("opening", [False, True])
async def test_an_outage_fails_each_item_with_an_exception_of_its_own(opening: bool) -> None:
    table = Table()
    writer = BatchWriter(table)
    table.open_error, table.write_error = (TimeoutError("no connection"), None) if opening else (None, OSError(28, ""))
    results = await asyncio.gather(*[writer.add(number) for number in range(5)], return_exceptions=True)
    assert all(isinstance(result, Exception) and is_outage(result) for result in results)
    assert len({id(result) for result in results}) == 5
    assert len(table.calls) == (0 if opening else 1)
    table.open_error = table.write_error = None
    await writer.add(9)
    assert table.rows == [9]


async def test_a_cancelled_request_does_not_disturb_the_others() -> None:
    table = Table(go=False)
    writer = BatchWriter(table)
    written = asyncio.create_task(writer.add(1))
    await let_tasks_run()
    cancelled = asyncio.create_task(writer.add(2))
    other = asyncio.create_task(writer.add(3))
    await let_tasks_run()
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    table.go.set()
    await asyncio.gather(written, other)
    assert table.rows == [1, 3]


async def test_an_item_that_waited_too_long_is_not_written_later() -> None:
    table = Table(go=False)
    patient, hasty = BatchWriter(table), BatchWriter(table, deadline_s=0.01)
    started = asyncio.create_task(hasty.add(1))
    await let_tasks_run()
    with pytest.raises(TimeoutError):
        await hasty.add(2)
    with pytest.raises(TimeoutError):
        await started
    table.go.set()
    await patient.add(3)
    assert table.calls == [[1], [3]]
