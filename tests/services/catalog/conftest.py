"""The catalog's tables in a database of their own, written by events and read as requests read them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from chassis.adapters.postgres import Pool, migrate
from chassis.core.ids import new_id
from services.catalog.arrivals import Arrivals
from services.catalog.projection import Projection
from services.catalog.queries import Queries
from services.catalog.store import Store
from services.catalog.tables import MIGRATIONS, SCHEMA, open_projecting_pool, open_reading_pool
from tests.services.catalog.running import Running, running


@dataclass(frozen=True)
class Tables:
    """`pool` writes, `queries` reads, `projection` takes events."""

    pool: Pool
    queries: Queries
    reading_pool: Pool
    projection: Projection


@pytest.fixture(scope="session")
async def tables(database_url: str) -> AsyncIterator[Tables]:
    """The schema `catalog` of the session's database. Tests share it, each with projects of its own."""
    await migrate(database_url, SCHEMA, MIGRATIONS)
    async with (
        await open_projecting_pool(database_url) as pool,
        await open_reading_pool(database_url, size=4, timeout=timedelta(seconds=10)) as reading_pool,
    ):
        projection = Projection(Store(pool), Arrivals())
        yield Tables(pool, Queries(reading_pool), reading_pool, projection)


@pytest.fixture
def project() -> str:
    """A project that nobody else has."""
    return new_id("prj")


@pytest.fixture(scope="session")
async def catalog(
    tables: Tables, database_url: str, kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    """The whole service on the same tables, shared by the tests of this room."""
    async with running(database_url, kafka_bootstrap, tmp_path_factory.mktemp("catalog")) as service:
        yield service
