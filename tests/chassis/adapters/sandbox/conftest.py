import pytest

from chassis.adapters.sandbox import child
from chassis.adapters.sandbox.confine import SandboxReport


@pytest.fixture(scope="session")
async def protections() -> SandboxReport:
    """Which protections this machine enforces."""
    return await child.report()
