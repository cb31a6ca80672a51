"""Disk space for inputs: bounded in all and per project, and never the reason that an input is not fetched at last."""

import asyncio
from collections.abc import Sequence

import pytest

from worker.input_space import InputSpace, OnSize


class Download:
    """A download that learns its size in steps and ends when `finish` is set; `begun` counts its beginnings."""

    def __init__(self, *sizes: int) -> None:
        self.sizes = sizes
        self.begun = 0
        self.received = asyncio.Event()
        self.finish = asyncio.Event()

    async def __call__(self, on_size: OnSize) -> str:
        self.begun += 1
        for size in self.sizes:
            on_size(size)
        self.received.set()
        await self.finish.wait()
        return "file"


class Fetches:
    """Runs downloads within a space, each in a task of its own that keeps its space until `drop`."""

    def __init__(self, space: InputSpace) -> None:
        self.space = space
        self._drops: dict[Download, asyncio.Event] = {}
        self._tasks: list[asyncio.Task[str]] = []

    async def start(self, project: str, *sizes: int) -> Download:
        download = Download(*sizes)
        self._drops[download] = asyncio.Event()
        self._tasks.append(asyncio.create_task(self._run(project, download)))
        await settle()
        return download

    async def drop(self, *downloads: Download) -> None:
        for download in downloads:
            download.finish.set()
            self._drops[download].set()
        await settle()

    async def _run(self, project: str, download: Download) -> str:
        with self.space.hold(project) as held:
            result = await held.fetch(download)
            await self._drops[download].wait()
            return result


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def received(downloads: Sequence[Download]) -> list[bool]:
    return [download.received.is_set() for download in downloads]


@pytest.fixture
def fetches() -> Fetches:
    return Fetches(InputSpace(total=100, per_project=50))


async def test_what_does_not_fit_waits_and_is_fetched_when_there_is_space(fetches: Fetches) -> None:
    first, second = await fetches.start("a", 30), await fetches.start("a", 30)
    assert received([first, second]) == [True, False]
    assert second.begun == 1, "its size was known only then"
    await fetches.drop(first)
    assert received([second]) == [True] and second.begun == 2


async def test_a_project_whose_space_is_used_up_begins_no_download(fetches: Fetches) -> None:
    first = await fetches.start("a", 50)
    second = await fetches.start("a", 1)
    assert second.begun == 0
    await fetches.drop(first)
    assert second.begun == 1 and received([second]) == [True]


async def test_another_project_has_space_left(fetches: Fetches) -> None:
    large = [await fetches.start("a", 25) for _ in range(5)]
    assert received(large) == [True, True, False, False, False]
    assert received([await fetches.start("b", 40)]) == [True]


async def test_the_total_is_bounded(fetches: Fetches) -> None:
    held = [await fetches.start(project, 40) for project in ("a", "b", "c")]
    assert received(held) == [True, True, False]
    await fetches.drop(held[0])
    assert received(held) == [True, True, True]


@pytest.mark.parametrize("size", [60, 1000])
async def test_the_only_input_may_be_larger_than_any_share(fetches: Fetches, size: int) -> None:
    assert received([await fetches.start("a", size)]) == [True]


async def test_an_input_of_unknown_size_grows_and_begins_again_where_it_did_not_fit(fetches: Fetches) -> None:
    first = await fetches.start("a", 20)
    growing = await fetches.start("a", 10, 20, 30, 40)
    assert received([growing]) == [False] and growing.begun == 1
    await fetches.drop(first)
    assert received([growing]) == [True] and growing.begun == 2


async def test_the_space_of_a_failed_download_is_free(fetches: Fetches) -> None:
    async def fail(on_size: OnSize) -> str:
        on_size(50)
        raise ConnectionError

    with pytest.raises(ConnectionError), fetches.space.hold("a") as held:
        await held.fetch(fail)
    assert received([await fetches.start("a", 50)]) == [True]
