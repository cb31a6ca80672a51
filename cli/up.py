"""`bitmill up`: all five services in one process, on one port, with embedded servers, data under one folder."""

import argparse
import asyncio
import os
import secrets
import socket
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from chassis import lifecycle, logs
from chassis.embedded.kafka import KafkaServer
from chassis.embedded.lock import FolderLock
from chassis.embedded.postgres import PostgresServer
from chassis.embedded.supervise import reap_orphans
from chassis.postgres.migrate import migrate
from chassis.postgres.pool import open_pool
from chassis.settings import CommonSettings, SettingsError
from cli import envfile
from cli.banner import banner
from cli.errors import CliError, UsageError
from cli.serve import build
from schemas.topics import SERVICES
from services.ingest import keys


@dataclass(frozen=True)
class Servers:
    """Where Kafka and Postgres are, and which of them `up` itself runs."""

    kafka: str
    database: str
    embedded: tuple[str, ...]


def free_port(host: str, port: int) -> int:
    """`port` if it can be listened on, a free one for 0; a sentence otherwise."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UsageError(f"cannot listen on {host}:{port}: {error.strerror}; choose another with --port") from None
        return int(probe.getsockname()[1])


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@asynccontextmanager
async def servers(data: Path) -> AsyncIterator[Servers]:
    """Kafka and Postgres: the environment's, or embedded ones that end with this context. Both start together."""
    kafka = envfile.external(os.environ, "KAFKA_BOOTSTRAP_SERVERS")
    database = envfile.external(os.environ, "DATABASE_URL")
    embedded = []
    async with AsyncExitStack() as stack:
        starting = []
        if database is None:
            embedded.append("DATABASE_URL")
            starting.append(stack.enter_async_context(PostgresServer(data / "postgres").running(_say)))
        if kafka is None:
            embedded.append("KAFKA_BOOTSTRAP_SERVERS")
            starting.append(stack.enter_async_context(KafkaServer(data / "kafka").running(_say)))
        addresses = await _all(starting)
        if database is None:
            database = addresses.pop(0)
        yield Servers(kafka or addresses.pop(), database, tuple(embedded))


async def _all(starting: list[object]) -> list[str]:
    # A plain gather would leave the second server starting, and unsupervised, when the first one fails.
    results = await asyncio.gather(*starting, return_exceptions=True)  # type: ignore[call-overload]
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return list(results)


async def _first_key(database: str, previous: str | None) -> str:
    """The key that `DIR/env` hands out: the previous one while it is good, otherwise a new one."""
    await migrate(database, "ingest", keys.MIGRATIONS)
    async with await open_pool(database, "ingest", size=1) as pool:
        if previous and await keys.is_valid(pool, previous):
            return previous
        _, secret = await keys.create_key(pool, "default", "bitmill up")
        return secret


async def _up(arguments: argparse.Namespace, data: Path) -> int:
    host, port = arguments.host, free_port(arguments.host, arguments.port)
    reachable = "127.0.0.1" if host == "0.0.0.0" else "[::1]" if host == "::" else f"[{host}]" if ":" in host else host  # noqa: S104
    public = (arguments.public_url or f"http://{reachable}:{port}").rstrip("/")
    before = envfile.read(data)
    async with servers(data) as found:
        key = await _first_key(found.database, before.get("ITTYBIT_API_KEY"))
        secret = before.get("ITTYBIT_WEBHOOK_SECRET") or "whsec_" + b64encode(secrets.token_bytes(32)).decode()
        storage = envfile.external(os.environ, "STORAGE_URL") or (data / "files").as_uri()
        (data / "files").mkdir(exist_ok=True)
        overrides = {
            "kafka_bootstrap_servers": found.kafka,
            "database_url": found.database,
            "storage_url": storage,
            "public_url": public,
            "data_id": str(data),
            "work_dir": data / "work",
            "webhook_secret": secret,
            "http_host": host,
            "http_port": port,
        }
        if arguments.allow_net:
            overrides["allow_net"] = ",".join(arguments.allow_net)
        if arguments.log_format:
            overrides["log_format"] = arguments.log_format
        built = [build(service, overrides) for service in SERVICES]
        common: CommonSettings = built[0][1]
        logs.configure(common.log_format, common.log_level)
        values = {
            "ITTYBIT_API_URL": public,
            "ITTYBIT_API_KEY": key,
            "ITTYBIT_WEBHOOK_SECRET": secret,
            "KAFKA_BOOTSTRAP_SERVERS": found.kafka,
            "DATABASE_URL": found.database,
            envfile.EMBEDDED: ",".join(found.embedded),
        }
        envfile.write(data, values)
        return await lifecycle.serve_until_signal(
            [app for app, _ in built],
            host=host,
            port=port,
            ready=lambda: _say(banner(values, data)),
        )


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; everything that was started is stopped again."""
    data: Path = arguments.data.absolute()
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FolderLock(data):
            reap_orphans(data)
            return lifecycle.run_loop(_up(arguments, data))
    except SettingsError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise CliError(f"cannot use the folder {data}: {error.strerror or error}") from None
