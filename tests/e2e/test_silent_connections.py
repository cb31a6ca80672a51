"""Connections that go silent without a reset: every service opens new ones, and its consumers go on."""

import shutil
import time
from pathlib import Path

import pytest

from devtools.footage import Footage
from tests.e2e.customer import Customer, customer
from tests.e2e.processes import Deployment, deployment
from tests.support.footage import Material
from tests.support.proxied_kafka import kafka_behind_proxy
from tests.support.proxy import Proxy
from tests.support.servers import Postgres

RECOVERED_SECONDS = 120
"""A safety net; what is seen is below 30 s, and below 50 s on a busy machine. Without deadlines the consumers stood
still until they were restarted."""


@pytest.fixture
async def folder(footage: Footage, material: Material, tmp_path: Path) -> Path:
    """The customer's uploads."""
    folder = tmp_path / "uploads"
    folder.mkdir()
    shutil.copy(footage.chelsea, folder / "photo.png")
    shutil.copy(footage.carphone, folder / "short.mp4")
    return folder


@pytest.mark.slow
async def test_all_consumers_go_on_after_their_connections_went_silent(
    postgres_server: Postgres, folder: Path, tmp_path: Path
) -> None:
    """Those to Postgres, then those to Kafka, then both at once; in the middle of work, and with nothing restarted."""
    async with (
        kafka_behind_proxy(tmp_path) as (kafka, bootstrap),
        Proxy(await postgres_server.database()) as postgres,
        deployment(postgres.dsn, bootstrap, tmp_path, MEDIA_WAIT="1s") as deployed,
        customer(deployed.api, folder) as sender,
    ):
        pids = {name: process.pid for name, process in deployed.processes.items()}
        for silent in ((postgres,), (kafka,), (postgres, kafka)):
            async with sender.traffic():
                await sender.until_accepted(2)
                for proxy in silent:
                    await proxy.silence()
                began = time.monotonic()
                await sender.until_accepted(2)
            await until_recovered(deployed, sender)
            print(f"recovered {time.monotonic() - began:.1f} s after {len(silent)} servers went silent")
        assert {name: process.pid for name, process in deployed.processes.items()} == pids


async def until_recovered(deployed: Deployment, sender: Customer) -> None:
    """All five services have handled what was accepted: the webhooks are there, and the catalog shows the ends."""
    await sender.until_settled(RECOVERED_SECONDS)
    await deployed.until_ready(RECOVERED_SECONDS)
