"""Which replica of a service measures the gauges of its tables: one, because each would count the same rows.

The leader holds a lease in Postgres. It takes the lease at a scrape and renews it between two, because Prometheus may
scrape less often than the lease lasts. A replica that is not scraped renews nothing: an idle system has no leader.
"""

import asyncio
import time
from datetime import timedelta
from types import TracebackType
from typing import Any

from chassis.adapters.postgres import sql
from chassis.adapters.postgres.pool import Pool
from chassis.core import logs
from chassis.core.concurrency import abandon_after
from chassis.core.retry import Backoff

LEASE = timedelta(seconds=15)
"""After the death of the leader the gauges are missing for at most so long, and until another replica is scraped."""
RENEW_EVERY = timedelta(seconds=5)
"""A third of the lease, so that one late renewal does not change the leader."""
SCRAPED_WITHIN = timedelta(minutes=2)
"""A leader that was not scraped for so long renews no more. Prometheus' default is to scrape once a minute."""
_CONNECTION_SECONDS = 5.0
_RELEASE_SECONDS = 1.0
"""At the end of the process; a lease that is not released expires."""

log = logs.get_logger(__name__)


class GaugeLeader:
    """The part of one replica in choosing the leader of its service:

    async with GaugeLeader(pool, "host-1") as leader:
        if await leader.leads(): ...
    """

    def __init__(
        self,
        pool: Pool,
        replica: str,
        *,
        lease: timedelta = LEASE,
        renew_every: timedelta = RENEW_EVERY,
        scraped_within: timedelta = SCRAPED_WITHIN,
    ) -> None:
        self._pool = pool
        self._replica = replica
        self._lease = lease
        self._renew_every = renew_every
        self._scraped_within = scraped_within
        self._scraped_at = 0.0
        self._renewal: asyncio.Task[None] | None = None
        self._queries = sql.load("chassis.runtime.outbox")

    async def __aenter__(self) -> "GaugeLeader":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Releases the lease, so that another replica leads from its next scrape on."""
        if self._renewal is None:
            return
        self._renewal.cancel()
        await asyncio.gather(self._renewal, return_exceptions=True)
        try:
            await abandon_after(_RELEASE_SECONDS, self._query("release_gauges"))
        except Exception as failure:  # noqa: BLE001 - Postgres is away: the lease expires
            log.debug("gauge_lease_not_released", error=f"{type(failure).__name__}: {failure}")

    async def leads(self) -> bool:
        """Whether this replica measures; called at each scrape. Takes the lease if no other replica holds it."""
        self._scraped_at = time.monotonic()
        leading = await self._take()
        if leading and (self._renewal is None or self._renewal.done()):
            self._renewal = asyncio.create_task(self._renew(), name="gauge leader")
        return leading

    async def _renew(self) -> None:
        backoff = Backoff(log, "gauge_leader")
        while time.monotonic() - self._scraped_at < self._scraped_within.total_seconds():
            await asyncio.sleep(self._renew_every.total_seconds())
            try:
                if not await self._take():
                    return
            except Exception as error:  # noqa: BLE001 - Postgres may fail with any exception
                await backoff.sleep(error)
                continue
            backoff.reset()

    async def _take(self) -> bool:
        return await self._query("lead_gauges", self._lease) is not None

    async def _query(self, name: str, *arguments: Any) -> Any:
        async with self._pool.acquire(timeout=_CONNECTION_SECONDS) as conn:
            return await conn.fetchval(self._queries[name], self._replica, *arguments)
