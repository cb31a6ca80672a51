"""In which order the queued items are going to be claimed, as far as it is known: for showing it."""

from datetime import timedelta

from chassis.adapters.postgres import Pool, sql
from chassis.runtime.job_queue.claims import CHARGE_LIMIT_S, CONNECTION_SECONDS

MOST_ITEMS = 2000
MOST_PROJECTS = 500


class QueueOrder:
    """Reads the order of the queue behind `pool`: at most `items`, of at most `projects`."""

    def __init__(self, pool: Pool, *, items: int = MOST_ITEMS, projects: int = MOST_PROJECTS) -> None:
        self._pool = pool
        self._items = items
        self._projects = projects
        self._queries = sql.load("chassis.runtime.job_queue")

    async def read(self) -> list[str]:
        """The ids of the next items, the next one first."""
        async with self._pool.acquire(timeout=CONNECTION_SECONDS) as conn:
            rows = await conn.fetch(self._queries["order"], self._items, self._projects, CHARGE_LIMIT_S)
        return [row["id"] for row in rows]

    async def read_in_turn(self, every: timedelta) -> list[str] | None:
        """As `read`; None where another worker has read the order within the last `every`."""
        async with self._pool.acquire(timeout=CONNECTION_SECONDS) as conn:
            if not await conn.fetchval(self._queries["take_turn_of_order"], every):
                return None
        return await self.read()
