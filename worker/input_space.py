"""Disk space for inputs that are fetched, wait for a work slot, or are worked on: bounded per process and per project.

How large an input is, its server says at the earliest. A fetch begins while its project has space left; where its size
then does not fit, it is broken off, waits for that much space without holding any, and begins again.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeAlias, TypeVar

from chassis.core.concurrency import WakeSignal

T = TypeVar("T")
OnSize: TypeAlias = Callable[[int], None]
"""Called with the size of an input in bytes as far as it is known; raises NoSpace."""
_LOOK_AGAIN = timedelta(minutes=1)


class NoSpace(Exception):
    """An input of `size` bytes does not fit now."""

    def __init__(self, size: int) -> None:
        super().__init__(f"no space for {size} bytes")
        self.size = size


class InputSpace:
    """`total` bytes for all inputs, and for those of one project `per_project`.

    A project's only input may be larger than its share, and the only input of all larger than the total: it would
    never fit otherwise. The disk itself may still be full earlier.
    """

    def __init__(self, total: int, per_project: int) -> None:
        self._total = total
        self._per_project = per_project
        self._used: Counter[str] = Counter()
        self._released = WakeSignal()

    @contextmanager
    def hold(self, project: str) -> Iterator["HeldSpace"]:
        """The space of one input of `project`, which is free again after the block."""
        held = HeldSpace(self, project)
        try:
            yield held
        finally:
            held.resize(0)

    def fits(self, project: str, held: int, size: int) -> bool:
        """Whether an input that holds `held` bytes may hold `size` (pure)."""
        others, others_of_project = self._used.total() - held, self._used[project] - held
        if others == 0:
            return True
        return others + size <= self._total and (not others_of_project or others_of_project + size <= self._per_project)

    def add(self, project: str, size: int) -> None:
        """Records that a project holds so much more, or less."""
        self._used[project] += size
        if not self._used[project]:
            del self._used[project]
        if size < 0:
            self._released.notify()

    async def wait_until_fits(self, project: str, size: int) -> None:
        """Waits until a new input of so many bytes fits."""
        while True:
            subscription = self._released.subscribe()
            if self.fits(project, 0, size):
                return
            await subscription.wait(_LOOK_AGAIN)


class HeldSpace:
    """The space that one input holds."""

    def __init__(self, space: InputSpace, project: str) -> None:
        self._space = space
        self._project = project
        self._size = 0

    async def fetch(self, fetch: Callable[[OnSize], Awaitable[T]]) -> T:
        """The result of `fetch`, which is called again when its input did not fit and there is space for it."""
        size = 1
        while True:
            await self._space.wait_until_fits(self._project, size)
            self.resize(size)
            try:
                return await fetch(self._grow)
            except NoSpace as error:
                # Of an input whose server does not announce its size, this is only what has been received.
                size = error.size if error.size > 2 * size else 2 * error.size
                self.resize(0)

    def resize(self, size: int) -> None:
        """Holds exactly so many bytes."""
        change, self._size = size - self._size, size
        if change:
            self._space.add(self._project, change)

    def _grow(self, size: int) -> None:
        if size <= self._size:
            return
        if not self._space.fits(self._project, self._size, size):
            raise NoSpace(size)
        self.resize(size)
