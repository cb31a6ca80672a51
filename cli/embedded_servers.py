"""The Kafka and Postgres of `bitmill up`: those that the environment names, or embedded ones in the data folder."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chassis.adapters.sandbox.child import CHILD_ENV_VAR
from cli import env_file
from cli.errors import CliError
from embedded import (
    EmbeddedServer,
    EmbeddedServerError,
    KafkaLogin,
    KafkaServer,
    PostgresServer,
    data_id,
    hold_folder,
    keep_logs_bounded,
    keep_running,
    reap_orphans,
)

KAFKA, DATABASE = "KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL"


@dataclass(frozen=True)
class Servers:
    """The addresses of Kafka and Postgres, and the embedded servers among them."""

    kafka: str
    database: str
    embedded: Mapping[str, EmbeddedServer]
    """By the environment variable that would have named another server."""
    kafka_login: KafkaLogin | None = None
    """The login of the embedded Kafka; that of another Kafka is in the environment."""

    def watchers(self, data: Path, max_log_bytes: int) -> list[Callable[[], Awaitable[None]]]:
        """One function for each embedded server, which restarts it until it ends too often, and one for their logs."""
        restarts = [partial(keep_running, server) for server in self.embedded.values()]
        return [*restarts, partial(keep_logs_bounded, data / "logs", max_log_bytes)] if restarts else []


@contextmanager
def data_folder(data: Path) -> Iterator[None]:
    """Lock the folder and stop the orphans of an earlier run; `CliError` for everything that embedded servers raise."""
    try:
        with hold_folder(data):
            reap_orphans(data)
            # The services' own child processes inherit it: they are found by it after a SIGKILL of this process.
            os.environ[CHILD_ENV_VAR] = data_id(data)
            yield
    except EmbeddedServerError as error:
        raise CliError(str(error)) from None


@asynccontextmanager
async def open_servers(data: Path, progress: Callable[[str], None]) -> AsyncIterator[Servers]:
    """Start the embedded servers that are needed, both at once; they stop when the context ends."""
    kafka = env_file.external(os.environ, KAFKA)
    database = env_file.external(os.environ, DATABASE)
    java = os.environ.get("KAFKA_JAVA")
    async with AsyncExitStack() as stack:
        embedded: dict[str, EmbeddedServer] = {}
        own_kafka: KafkaServer | None = None
        if database is None:
            embedded[DATABASE] = PostgresServer(data)
        if kafka is None:
            embedded[KAFKA] = own_kafka = KafkaServer(data, java=Path(java) if java else None, require_login=True)
        # Without return_exceptions the second server would still be starting, outside the stack, when the first fails.
        starts = (stack.enter_async_context(server.running(progress)) for server in embedded.values())
        results = await asyncio.gather(*starts, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        addresses = dict(zip(embedded, (str(result) for result in results), strict=True))
        yield Servers(
            kafka or addresses[KAFKA],
            database or addresses[DATABASE],
            embedded,
            own_kafka.login if own_kafka is not None else None,
        )
