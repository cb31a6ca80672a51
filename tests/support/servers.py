"""The Kafka and Postgres of the tests: those of the environment, else containers, else the embedded servers.

The same fixtures whichever it is, and the run's last lines say which. Nothing is skipped for want of a server: an
engine that neither has an image nor can pull it counts as none.
"""

import gc
import os
import tempfile
import warnings
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

KAFKA_IMAGE = "confluentinc/cp-kafka:8.0.0"
POSTGRES_IMAGE = "postgres:18-alpine"
_PULL_SECONDS = 600
_unavailable_images: set[str] = set()
"""Images that the Docker engine neither has nor could pull; only images that a test needs are tried."""


def kafka_source() -> str:
    """Where Kafka comes from, for the last line of the run."""
    return _source("TEST_KAFKA", KAFKA_IMAGE)


def postgres_source() -> str:
    return _source("TEST_POSTGRES", POSTGRES_IMAGE)


def _source(variable: str, image: str) -> str:
    if os.environ.get(variable):
        return f"{variable} of the environment"
    if image in _unavailable_images:
        return f"embedded (Docker cannot get {image})"
    return "testcontainers" if docker_answers() else "embedded"


@cache
def docker_answers() -> bool:
    """Whether a Docker engine can be used. Asked once per run."""
    import docker
    from docker.errors import DockerException

    with warnings.catch_warnings():
        # Without an engine the client drops its socket unclosed: collect it here, where the warning is ignored.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            client = docker.from_env(timeout=3)
            client.ping()
        except DockerException:
            return False
        finally:
            gc.collect()
    client.close()
    return True


@cache
def docker_runs(image: str) -> bool:
    """Whether containers of `image` can be started: it and testcontainers' reaper are present or can be pulled."""
    if not docker_answers():
        return False
    import docker
    from docker.errors import DockerException, ImageNotFound
    from requests import RequestException
    from testcontainers.core.config import testcontainers_config

    reaper = () if testcontainers_config.ryuk_disabled else (testcontainers_config.ryuk_image,)
    client = docker.from_env(timeout=_PULL_SECONDS)
    try:
        for needed in (image, *reaper):
            try:
                client.images.get(needed)
            except ImageNotFound:
                client.images.pull(needed)
    except (DockerException, RequestException):
        _unavailable_images.add(image)
        return False
    finally:
        client.close()
    return True


@dataclass
class Postgres:
    """A running server; `database()` creates an empty database on it."""

    admin: str
    made: list[str] = field(default_factory=list)

    async def database(self) -> str:
        """The address of a brand-new empty database."""
        name = f"test_{uuid4().hex[:12]}"
        connection = await asyncpg.connect(self.admin)
        try:
            await connection.execute(f"CREATE DATABASE {name}")
        finally:
            await connection.close()
        self.made.append(name)
        return urlunsplit(urlsplit(self.admin)._replace(path=f"/{name}"))

    async def drop_databases(self) -> None:
        """Drop the databases that were created: a server of the environment outlives the tests."""
        connection = await asyncpg.connect(self.admin)
        try:
            for name in self.made:
                await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        finally:
            await connection.close()


def with_user(dsn: str, role: str) -> str:
    """The address of the same database for another role, whose password is `p@ss word`."""
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(netloc=f"{role}:p%40ss%20word@{parts.netloc.rpartition('@')[2]}"))


@asynccontextmanager
async def postgres() -> AsyncIterator[Postgres]:
    async with AsyncExitStack() as stack:
        given = os.environ.get("TEST_POSTGRES")
        if given:
            server = Postgres(given)
            stack.push_async_callback(server.drop_databases)
        elif docker_runs(POSTGRES_IMAGE):
            from testcontainers.community.postgres import PostgresContainer

            # Like the embedded server: enough connections for every test's pools, and not durable.
            options = "-c max_connections=200 -c fsync=off"
            container = stack.enter_context(PostgresContainer(POSTGRES_IMAGE, driver=None).with_command(options))
            server = Postgres(container.get_connection_url())
        else:
            from embedded.postgres import PostgresServer

            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bitmill-test-pg-")))
            embedded = PostgresServer(folder, durable=False)
            server = Postgres(await stack.enter_async_context(embedded.running(print)))
        yield server


@asynccontextmanager
async def kafka() -> AsyncIterator[str]:
    """The bootstrap address of a broker; it has no topics yet, unless it is that of the environment."""
    async with AsyncExitStack() as stack:
        given = os.environ.get("TEST_KAFKA")
        if given:
            yield given
        elif docker_runs(KAFKA_IMAGE):
            from testcontainers.community.kafka import KafkaContainer

            container = stack.enter_context(KafkaContainer(KAFKA_IMAGE).with_kraft())
            yield container.get_bootstrap_server()
        else:
            from embedded.kafka import KafkaServer

            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bitmill-test-kafka-")))
            yield await stack.enter_async_context(KafkaServer(folder, durable=False).running(print))
