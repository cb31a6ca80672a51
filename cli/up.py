"""`bitmill up`: all five services in one process, on one port, with embedded servers, data under one folder."""

import argparse
import asyncio
import os
import secrets
import socket
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chassis.core import logs
from chassis.core.settings import CommonSettings, SettingsError
from chassis.runtime import lifecycle
from cli import envfile
from cli.banner import banner
from cli.errors import CliError, UsageError
from cli.serve import build
from embedded.errors import EmbeddedServerError
from embedded.folder_lock import hold_folder
from embedded.kafka import KafkaServer
from embedded.orphan_reaper import CHILD_ENV_VAR, data_id, reap_orphans
from embedded.postgres import PostgresServer
from embedded.restart_policy import keep_running
from schemas.keys import hash_key
from schemas.topics import SERVICES
from services.ingest import keys

KAFKA, DATABASE = "KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL"


@dataclass(frozen=True)
class Servers:
    """Where Kafka and Postgres are, and which of them `up` itself runs."""

    kafka: str
    database: str
    embedded: Mapping[str, PostgresServer | KafkaServer]
    """By the name of the variable that would have named another one."""


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
    kafka = envfile.external(os.environ, KAFKA)
    database = envfile.external(os.environ, DATABASE)
    java = os.environ.get("KAFKA_JAVA")
    async with AsyncExitStack() as stack:
        own: dict[str, PostgresServer | KafkaServer] = {}
        if database is None:
            own[DATABASE] = PostgresServer(data)
        if kafka is None:
            own[KAFKA] = KafkaServer(data, java=Path(java) if java else None)
        # A plain gather would leave the second server starting, and unsupervised, when the first one fails.
        starts = (stack.enter_async_context(server.running(_say)) for server in own.values())
        results = await asyncio.gather(*starts, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        addresses = dict(zip(own, (str(result) for result in results), strict=True))
        yield Servers(kafka or addresses[KAFKA], database or addresses[DATABASE], own)


async def _first_key(database: str, previous: str | None) -> str:
    """The key that `DIR/env` hands out: the previous one while it is good, otherwise a new one."""
    async with keys.database(database) as pool:
        if previous:
            wanted = hash_key(previous)
            known = [listed.key for listed in await keys.list_keys(pool)]
            if any(key.hash == wanted and key.revoked_at is None for key in known):
                return previous
        _, text = await keys.create_key(pool, name="bitmill up")
        return text


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
            "catalog_url": f"http://{reachable}:{port}",
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
            KAFKA: found.kafka,
            DATABASE: found.database,
            envfile.EMBEDDED: ",".join(found.embedded),
        }
        envfile.write(data, values)
        # Children that outlive a SIGKILL of ours are known by this mark at the next start.
        os.environ[CHILD_ENV_VAR] = data_id(data)
        return await lifecycle.serve_until_signal(
            [app for app, _ in built],
            host=host,
            port=port,
            ready=lambda: _say(banner(values, data)),
            watch=[partial(keep_running, server) for server in found.embedded.values()],
        )


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; everything that was started is stopped again."""
    data: Path = arguments.data.absolute()
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        with hold_folder(data):
            reap_orphans(data)
            return lifecycle.run_loop(_up(arguments, data))
    except SettingsError as error:
        raise UsageError(str(error)) from None
    except EmbeddedServerError as error:
        raise CliError(str(error)) from None
    except OSError as error:
        raise CliError(f"cannot use the folder {data}: {error.strerror or error}") from None
