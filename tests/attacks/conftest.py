"""One system with two projects for all attacks: what an attack breaks shows in the tests after it as well."""

from collections.abc import AsyncIterator

import pytest

from devtools.footage import Footage
from tests.attacks.two_projects import TwoProjects, two_projects_of
from tests.support.system import bitmill_up


@pytest.fixture(scope="package")
async def two_projects(footage: Footage, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TwoProjects]:
    async with (
        bitmill_up(tmp_path_factory.mktemp("attacks") / "data") as system,
        two_projects_of(system, footage) as projects,
    ):
        yield projects
