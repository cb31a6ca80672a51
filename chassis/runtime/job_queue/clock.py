"""Watches Postgres' clock, whose times the queue lives by: it may be set back, or another server may take over.

One row has the time that the clock showed last. A runner that finds it ahead of the clock moves the times of the items:
see the query `watch_clock` in `job_queue.sql`.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import NoReturn

from chassis.adapters.postgres import Pool, sql
from chassis.core import logs
from chassis.core.concurrency import abandon_after
from chassis.core.retry import run_periodically

TOLERANCE = timedelta(seconds=10)
"""By which the clock may be set back without further ado: everything then waits for so long at most."""
WRITE_AFTER = timedelta(seconds=4)
"""The row is written when it is older: less than the time between two looks of a runner."""
WRITE_AFTER_IDLE = timedelta(minutes=1)
"""The same while nothing is queued or running. What is added right before the clock is set back waits for so long."""

log = logs.get_logger(__name__)


class QueueClock:
    """The clock of the queue behind `pool`."""

    def __init__(self, pool: Pool, lease: timedelta, connection_s: float) -> None:
        self._pool = pool
        self._lease = lease
        self._connection_s = connection_s
        self._query = sql.load("chassis.runtime.job_queue")["watch_clock"]

    async def look(self) -> timedelta | None:
        """Moves the times of the queue if the clock was set back since the last look; by how much, or None."""
        async with self._pool.acquire(timeout=self._connection_s) as conn:
            difference: timedelta | None = await conn.fetchval(
                self._query, self._lease, TOLERANCE, WRITE_AFTER, WRITE_AFTER_IDLE
            )
        return difference

    async def watch(self, every: timedelta, look_s: float, moved: Callable[[], None]) -> NoReturn:
        """Looks again and again, for at most `look_s` seconds, and calls `moved` when times were moved."""

        async def look() -> None:
            difference = await abandon_after(look_s, self.look())
            if difference is not None:
                log.warning("queue_clock_set_back", seconds=round(difference.total_seconds()))
                moved()

        await run_periodically(look, every, log, "queue_clock")
