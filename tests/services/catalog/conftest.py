"""The catalog's tables in a database of their own, written by events and read as requests read them."""

from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from chassis.adapters.postgres import Pool, migrate, open_pool
from chassis.core.ids import new_id
from services.catalog.app import SPEC
from services.catalog.projection import Projection
from services.catalog.queries import Queries, open_query_pool
from services.catalog.store import Store
from tests.services.catalog.service import CatalogService, running


@dataclass(frozen=True)
class Tables:
    """`pool` writes, `queries` reads through `query_pool`, `projection` takes events."""

    pool: Pool
    queries: Queries
    query_pool: Pool
    projection: Projection


@pytest.fixture(scope="session")
async def tables(database_url: str) -> AsyncIterator[Tables]:
    """The schema `catalog` of the session's database. Tests share it, each with projects of its own."""
    await migrate(database_url, SPEC.name, SPEC.all_migrations)
    async with (
        await open_pool(database_url, SPEC.name, size=SPEC.pool_size) as pool,
        await open_query_pool(database_url, SPEC.name, size=4, timeout=timedelta(seconds=30)) as query_pool,
    ):
        yield Tables(pool, Queries(query_pool), query_pool, Projection(Store(pool), lambda names: None))


@pytest.fixture
def project() -> str:
    """A project of the test's own."""
    return new_id("prj")


@pytest.fixture(scope="package")
async def catalog(
    tables: Tables, database_url: str, kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[CatalogService]:
    """The complete service on the same tables, shared by the tests of this package.

    It is closed after them: another catalog of the session, with tables of its own, is in the same consumer groups and
    would not get the records of the partitions that this one has.
    """
    folder, keys = tmp_path_factory.mktemp("catalog"), b64encode(b"k" * 32).decode()
    async with running(database_url, kafka_bootstrap, folder, encryption_keys=keys) as service:
        yield service
