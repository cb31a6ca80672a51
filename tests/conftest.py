"""Fixtures of every test: a real Postgres and a real Kafka, started when the first test asks for them.

Where the kernel does not enforce the sandbox, the tests run with SANDBOX=weak, and the summary says so.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chassis.adapters.sandbox import self_test
from chassis.adapters.sandbox.self_test import SandboxState
from tests.support import servers

pytest_plugins = ["tests.support.footage", "tests.support.films", "tests.support.system"]


_SANDBOX = pytest.StashKey[SandboxState]()
_SERVERS = pytest.StashKey[set[str]]()
"""Which servers the test processes used."""


def pytest_configure(config: pytest.Config) -> None:
    """Find out what the sandbox is on this machine; what the tests start inherits the setting."""
    config.stash[_SERVERS] = set()
    state = config.stash[_SANDBOX] = asyncio.run(self_test.state())
    if not state.enforced:
        os.environ.setdefault("SANDBOX", "weak")


_LONG = ("attacks", "chaos", "e2e", "embedded", "soak", "worker", "seeds", "devtools")
"""The folders whose files take longest: they come first, so that no process has to wait for the other in the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order of the files; that of the tests in a file, and of files alike, is left as it is."""
    folder = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        parts = item.path.relative_to(folder).parts if item.path.is_relative_to(folder) else ()
        return 0 if parts and parts[0] in _LONG else 1

    items.sort(key=place)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Report the servers: to the process that started this one, if the run has several."""
    used = f"postgres {servers.postgres_source()}, kafka {servers.kafka_source()}"
    report: dict[str, str] | None = getattr(session.config, "workeroutput", None)
    if report is not None:
        report["servers"] = used
    elif not session.config.stash[_SERVERS]:
        session.config.stash[_SERVERS].add(used)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """One of several test processes has ended."""
    used = node.workeroutput["servers"] if error is None else f"lost with their process: {error}"
    node.config.stash[_SERVERS].add(used)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report which servers the tests used: at the end, because `-q` leaves the header out."""
    state = terminalreporter.config.stash[_SANDBOX]
    mode = "" if state.enforced else f"; the tests ran with SANDBOX={os.environ['SANDBOX']}"
    terminalreporter.write_line(f"sandbox: {state.summary()}{mode}")
    found: set[str] = terminalreporter.config.stash[_SERVERS]
    for used in sorted(found):
        terminalreporter.write_line(f"servers: {used}")


@pytest.fixture(scope="session")
async def postgres_server() -> AsyncIterator[servers.Postgres]:
    """The session's Postgres server."""
    async with servers.postgres() as server:
        yield server


@pytest.fixture(scope="session")
async def database_url(postgres_server: servers.Postgres) -> str:
    """A database of the session's own, shared by its tests."""
    return await postgres_server.database()


@pytest.fixture
async def fresh_dsn(postgres_server: servers.Postgres) -> str:
    """A brand-new empty database on the session's server."""
    return await postgres_server.database()


@pytest.fixture(scope="session")
async def kafka_bootstrap() -> AsyncIterator[str]:
    """The session's Kafka broker, as `host:port`."""
    async with servers.kafka() as bootstrap:
        yield bootstrap
