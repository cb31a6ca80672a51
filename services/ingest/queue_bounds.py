"""How much unfinished work a project may have: jobs without an end, and imports of media items.

A project that submits faster than its work is done gets 429 before its queue takes the disk. What was accepted is not
touched. The number is counted at most once a second for each project and process; between two counts, what this process
accepts is added. So several processes together may accept a second's worth of requests more than the bound.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

COUNT_EVERY_S = 1.0
RETRY_AFTER_S = 10


class QueueFull(Exception):
    """The project has as much unfinished work as it may have. The text names the bound and its setting."""

    def __init__(self, what: str, limit: int, setting: str) -> None:
        super().__init__(
            f"This project has {limit} {what} that have not ended, as many as it may have ({setting}={limit}): "
            "send this again when some of them have ended."
        )
        self.what = what
        self.limit = limit


@dataclass
class _Count:
    counted_at: float
    unfinished: int = 0


class QueueBound:
    """A bound of `what` for each project, `limit` or what `limit` gives; `setting` is the name of the bound.

    `count(project, most)` gives the number of unfinished ones, counted up to `most`. `now` is a monotonic clock in
    seconds.
    """

    def __init__(
        self,
        what: str,
        setting: str,
        limit: int | Callable[[str], Awaitable[int]],
        count: Callable[[str, int], Awaitable[int]],
        *,
        count_every_s: float = COUNT_EVERY_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what = what
        self._setting = setting
        self._limit = limit
        self._count = count
        self._count_every_s = count_every_s
        self._now = now
        self._counts: dict[str, _Count] = {}

    async def admit(self, project: str) -> None:
        """Counts one more of the project. Raises QueueFull, and what `count` raises."""
        limit = self._limit if isinstance(self._limit, int) else await self._limit(project)
        known = self._counts.get(project)
        if known is None or self._now() - known.counted_at >= self._count_every_s:
            known = await self._counted(project, known, limit)
        if known.unfinished >= limit:
            raise QueueFull(self._what, limit, self._setting)
        known.unfinished += 1

    async def _counted(self, project: str, known: _Count | None, limit: int) -> _Count:
        if known is None:
            self._forget()
            known = self._counts[project] = _Count(self._now())
        else:
            # Requests that come meanwhile go by the former number.
            known.counted_at = self._now()
        before = known.unfinished
        unfinished = await self._count(project, limit)
        # Those that were accepted during the query may not be in its number.
        known.unfinished = unfinished + max(0, known.unfinished - before)
        return known

    def _forget(self) -> None:
        """Drops outdated counts, so that no more projects are kept than send requests within a second."""
        oldest = self._now() - self._count_every_s
        for project in [project for project, count in self._counts.items() if count.counted_at < oldest]:
            del self._counts[project]
