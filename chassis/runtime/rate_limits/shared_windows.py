"""Windows of requests, shared by the replicas of a service through a row of Postgres for each subject.

A replica takes requests from the row in portions and allows them from memory: a sixty-fourth of what is left, so that
portions become smaller towards the end of a window, down to single requests. All replicas together never allow more
than the limit. What a replica has taken and does not use is not allowed to others: with N replicas they refuse at most
(N - 1)/64 of the limit too early. A subject whose limit is reached costs no query until its window ends.

Without Postgres nothing is allowed: callers get the error, as every other request does then.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from chassis.adapters.postgres import Pool, sql

WINDOW = timedelta(minutes=1)
PORTIONS = 64
RESERVE_SECONDS = 5.0
MAX_WINDOWS = 10_000
"""Kept in memory; with more, those that have ended are forgotten."""


class Taken(NamedTuple):
    """Whether the requests are allowed, how many are left in the window, and the seconds until the next one."""

    allowed: bool
    left: int
    reset_s: float


@dataclass
class _Window:
    limit: int
    ends_at: float = 0.0
    tokens: int = 0
    """Taken from the row and not used."""
    left: int = 0
    """Not taken by any replica, as of the last query."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def begun(self, now: float) -> bool:
        return now < self.ends_at

    def taken(self, allowed: bool, now: float) -> Taken:
        return Taken(allowed, self.tokens + self.left, max(0.0, self.ends_at - now))


class SharedWindows:
    """The windows of one service. `pool` is on its schema; `now` is a monotonic clock in seconds."""

    def __init__(
        self,
        pool: Pool,
        *,
        window: timedelta = WINDOW,
        portions: int = PORTIONS,
        max_windows: int = MAX_WINDOWS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self.window = window
        self._portions = portions
        self._max_windows = max_windows
        self._now = now
        self._windows: dict[str, _Window] = {}
        self._reserve = sql.load("chassis.runtime.rate_limits")["reserve"]

    async def take(self, subject: str, limit: int, number: int = 1) -> Taken:
        """Takes `number` requests of the subject, all or none. Raises what Postgres raises, and TimeoutError."""
        window = self._windows.get(subject)
        if window is None or window.limit != limit:
            self._forget_ended()
            window = self._windows[subject] = _Window(limit)
        taken = self._from_memory(window, number)
        if taken is not None:
            return taken
        # One query of a subject at a time: the others wait, and hold no connection.
        async with window.lock:
            taken = self._from_memory(window, number)
            while taken is None:
                await self._refill(subject, window, number)
                taken = self._from_memory(window, number)
            return taken

    def _from_memory(self, window: _Window, number: int) -> Taken | None:
        """None where the row has to be asked."""
        now = self._now()
        if not window.begun(now):
            return None
        if window.tokens >= number:
            window.tokens -= number
            return window.taken(True, now)
        return window.taken(False, now) if window.left == 0 else None

    async def _refill(self, subject: str, window: _Window, number: int) -> None:
        asked_at = self._now()
        if not (begun := window.begun(asked_at)):
            window.tokens = 0  # of a window that has ended
        portion = max((window.left if begun else window.limit) // self._portions, number - window.tokens, 1)
        async with asyncio.timeout(RESERVE_SECONDS):
            row = await self._pool.fetchrow(self._reserve, subject, portion, self.window)
        assert row is not None  # noqa: S101 - the statement always writes a row
        before: int = row["used"] - portion
        if before == 0:
            window.tokens = 0  # the window has ended in Postgres
        window.tokens += max(0, min(portion, window.limit - before))
        window.left = max(0, window.limit - row["used"])
        # From before the query: a window must not last longer here than in Postgres.
        window.ends_at = asked_at + row["left_s"]

    def _forget_ended(self) -> None:
        if len(self._windows) < self._max_windows:
            return
        now = self._now()
        for subject in [subject for subject, window in self._windows.items() if not window.begun(now)]:
            del self._windows[subject]
