"""What each service knows of one job. The services read their own tables by functions of their own; this collects."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from asyncpg import PostgresError as QueryError
from asyncpg import UndefinedColumnError, UndefinedTableError

from chassis.adapters.postgres import Pool, PostgresError, open_pool
from chassis.core import redact
from cli.database import CONNECT_TIMEOUT_SECONDS
from schemas.topics import Service
from services.catalog import inspection as catalog
from services.catalog.inspection import ProjectedJob
from services.ingest import inspection as ingest
from services.ingest.inspection import AcceptedJob
from services.notifier import inspection as notifier
from services.notifier.inspection import InspectedDelivery
from worker import inspection as worker
from worker.inspection import QueuedJob

T = TypeVar("T")
WORKERS: tuple[Service, ...] = ("transcoder", "thumbnailer")
_QUERY_SECONDS = 15.0


@dataclass
class InspectedJob:
    """What the services know of a job; None where one knows nothing. `unavailable`: those that could not be asked."""

    id: str
    accepted: AcceptedJob | None = None
    queued: dict[Service, QueuedJob] = field(default_factory=dict)
    projected: ProjectedJob | None = None
    delivery: InspectedDelivery | None = None
    unavailable: dict[Service, str] = field(default_factory=dict)

    @property
    def known(self) -> bool:
        return any((self.accepted, self.queued, self.projected))

    @property
    def run(self) -> int:
        """The newest run of the job."""
        if self.accepted is not None:
            return self.accepted.run
        return 1 if self.projected is None else self.projected.job.run

    @property
    def webhook_url(self) -> str | None:
        """As events have it."""
        if self.accepted is not None:
            return self.accepted.webhook_url
        return None if self.projected is None else self.projected.job.webhook_url


async def collect(id: str, addresses: Mapping[Service, str]) -> InspectedJob:
    """Asks all services, the notifier last: the id of a delivery follows from the job."""
    found = InspectedJob(id)

    async def ask(service: Service, query: Callable[[Pool], Awaitable[T | None]]) -> T | None:
        try:
            async with asyncio.timeout(_QUERY_SECONDS):
                return await _read(addresses[service], service, query)
        except (UndefinedTableError, UndefinedColumnError):
            found.unavailable[service] = f"its schema is not of this release: run `bitmill migrate {service}`"
        except TimeoutError:
            found.unavailable[service] = f"its database did not respond within {_QUERY_SECONDS:g} s"
        except (OSError, QueryError, PostgresError) as error:
            found.unavailable[service] = redact.text(str(error))
        return None

    async def ask_worker(service: Service) -> None:
        if (queued := await ask(service, lambda pool: worker.inspect_job(pool, id))) is not None:
            found.queued[service] = queued

    async def ask_ingest() -> None:
        found.accepted = await ask("ingest", lambda pool: ingest.inspect_job(pool, id))

    async def ask_catalog() -> None:
        found.projected = await ask("catalog", lambda pool: catalog.inspect_job(pool, id))

    await asyncio.gather(ask_ingest(), ask_catalog(), *(ask_worker(service) for service in WORKERS))
    if (url := found.webhook_url) is not None:
        found.delivery = await ask("notifier", lambda pool: notifier.inspect_delivery(pool, id, url, found.run))
    return found


async def _read(dsn: str, service: Service, query: Callable[[Pool], Awaitable[T]]) -> T:
    read_only = {"default_transaction_read_only": "on"}
    async with await open_pool(dsn, service, size=1, wait=CONNECT_TIMEOUT_SECONDS, settings=read_only) as pool:
        return await query(pool)
