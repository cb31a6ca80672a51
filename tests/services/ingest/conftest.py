"""Ingest as it runs: on a real Kafka and Postgres, behind a real HTTP server, with a web server that holds files."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.services.ingest.system import FileServer, Heard, System, file_server, listening, running
from tests.support.footage import Material
from tests.support.servers import Postgres


@pytest.fixture(scope="session")
async def files(material: Material) -> AsyncIterator[FileServer]:
    """A web server on loopback with good files, bad files and bad manners."""
    async with file_server(material) as server:
        yield server


@pytest.fixture(scope="session")
async def heard(kafka_bootstrap: str) -> AsyncIterator[Heard]:
    """Everything that is published during the session."""
    async with listening(kafka_bootstrap) as heard:
        yield heard


@pytest.fixture(scope="session")
async def ingest_dsn(postgres_server: Postgres) -> str:
    """The database of the session's one ingest."""
    return await postgres_server.database()


@pytest.fixture(scope="session")
async def ingest_storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ingest-storage")


@pytest.fixture(scope="session")
async def system(ingest_dsn: str, ingest_storage: Path, kafka_bootstrap: str, heard: Heard) -> AsyncIterator[System]:
    """A running ingest and a key of it."""
    async with asyncio.timeout(600), running(ingest_dsn, kafka_bootstrap, ingest_storage) as system:
        yield system
