"""A running ingest on a real Kafka and Postgres, and a web server with files."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.services.ingest.support import EventLog, RunningIngest, listening, running
from tests.support.file_server import FileServer, file_server, redirect, status
from tests.support.footage import Material
from tests.support.servers import Postgres

REPLY_PREFIX = "replies.of.tests."
"""Topics for replies begin so."""
MOST = 2000
"""Unfinished jobs, and imports, of a project: more than other tests need."""


@pytest.fixture(scope="session")
async def files(material: Material) -> AsyncIterator[FileServer]:
    """A web server on loopback with valid and invalid files, and with responses that fail."""
    async with file_server() as server:
        server.add(material.footage.carphone, "clip.mp4")
        server.add(material.footage.chelsea, "photo.png")
        for path in (material.tone(), material.html(), material.empty(), material.truncated()):
            server.add(path)
        server.answer("denied.mp4", status(403))
        server.answer("private.mp4", redirect("http://10.255.255.1/secret.mp4"))
        yield server


@pytest.fixture(scope="session")
async def events(kafka_bootstrap: str) -> AsyncIterator[EventLog]:
    """Everything that is published during the session."""
    async with listening(kafka_bootstrap) as events:
        yield events


@pytest.fixture(scope="session")
async def ingest_dsn(postgres_server: Postgres) -> str:
    """The database of the session's one ingest."""
    return await postgres_server.database()


@pytest.fixture(scope="session")
async def ingest_storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ingest-storage")


@pytest.fixture(scope="package")
async def ingest(
    ingest_dsn: str, ingest_storage: Path, kafka_bootstrap: str, events: EventLog
) -> AsyncIterator[RunningIngest]:
    """A running ingest with an API key, closed after the tests of this package: others are in the same groups."""
    async with running(
        ingest_dsn,
        kafka_bootstrap,
        ingest_storage,
        max_unfinished_jobs=MOST,
        max_unfinished_imports=MOST,
        reply_topics=f"{REPLY_PREFIX}*",
    ) as ingest:
        yield ingest
