"""One system for all attacks, so that what an attack breaks shows in the tests after it as well; and for each test two
projects of its own, so that it does not wait for what the attacker before it has left to do."""

from collections.abc import AsyncIterator

import pytest

from devtools.footage import Footage
from tests.attacks.two_projects import TwoProjects, two_projects_of
from tests.support.dns_server import dns_server
from tests.support.processes import clean_environment
from tests.support.system import BitmillUp, bitmill_up

SILENT_ZONE = "dead.example"
"""Of its hosts the name server of the system says nothing."""
INNOCENT_NAME = "innocent.example"
"""The innocent project's servers by name; the attacker's have none."""


@pytest.fixture(scope="package")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BitmillUp]:
    async with (
        dns_server({INNOCENT_NAME: ["127.0.0.3"]}, silent=[SILENT_ZONE]) as dns,
        bitmill_up(
            tmp_path_factory.mktemp("attacks") / "data",
            environment={
                **clean_environment(),
                "EGRESS_NAME_SERVERS": f"{dns.address[0]}:{dns.address[1]}",
                # The attackers' jobs are to fail within the test.
                "FETCH_RETRY_SPAN": "2s",
            },
        ) as running,
    ):
        yield running


@pytest.fixture
async def two_projects(system: BitmillUp, footage: Footage) -> AsyncIterator[TwoProjects]:
    async with two_projects_of(system, footage) as projects:
        yield projects
