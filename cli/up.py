"""`bitmill up`: all five services in one process, on one port, with embedded servers, data in one folder."""

import argparse
import errno
import os
import secrets
import socket
import sys
from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chassis.adapters.http.connection import HttpLimits
from chassis.adapters.kafka.admin import create_offsets_topic
from chassis.adapters.kafka.connection import configured
from chassis.adapters.kafka.errors import KafkaUnavailable, TopicCreationFailed
from chassis.core import logs
from chassis.core.encryption import KEY_BYTES
from chassis.core.kafka_settings import KafkaSettings
from chassis.core.setting_types import networks, service_url
from chassis.core.settings import CommonSettings, StartRefused
from chassis.runtime import lifecycle
from cli import env_file
from cli.banner import print_banner
from cli.errors import CliError, UsageError, missing_package
from cli.service_commands import build
from schemas.keys import hash_key
from schemas.topics import SERVICES
from services.ingest import keys

if TYPE_CHECKING:
    from cli.embedded_servers import Servers


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; everything that was started is stopped again."""
    try:
        from cli import embedded_servers, machine_check  # noqa: F401 - what is not installed is named before the start
    except ModuleNotFoundError as error:
        raise missing_package("bitmill up", "up", error) from None
    _check_addresses(arguments)
    data: Path = arguments.data.absolute()
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        with embedded_servers.data_folder(data):
            return lifecycle.run_loop(_up(arguments, data))
    except StartRefused as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise CliError(f"cannot use the folder {data}: {error.strerror or error}; name another with --data") from None


async def _up(arguments: argparse.Namespace, data: Path) -> int:
    from cli.embedded_servers import open_servers
    from cli.machine_check import require_usable_machine
    from embedded.kafka import OFFSETS_PARTITIONS

    port = available_port(arguments.host, arguments.port)
    # Until the settings are complete, which needs the addresses of the servers.
    logs.configure(arguments.log_format or "auto", "info")
    sandbox = await require_usable_machine()
    local_address = f"http://{_local_host(arguments.host)}:{port}"
    previous = env_file.read(data)
    async with open_servers(data, _print) as servers:
        secret = previous.get("ITTYBIT_WEBHOOK_SECRET") or "whsec_" + b64encode(secrets.token_bytes(32)).decode()
        encryption_keys = merged_keys(os.environ.get("ENCRYPTION_KEYS"), previous.get("ENCRYPTION_KEYS"))
        overrides = _settings(arguments, data, servers, local_address, port, secret)
        overrides["encryption_keys"] = encryption_keys
        built = [build(service, overrides) for service in SERVICES]
        common: CommonSettings = built[0][1]
        logs.configure(common.log_format, common.log_level)
        values = {
            "ITTYBIT_API_URL": common.public_url,
            "ITTYBIT_API_KEY": await _usable_key(servers.database, previous.get("ITTYBIT_API_KEY")),
            "ITTYBIT_WEBHOOK_SECRET": secret,
            "ENCRYPTION_KEYS": encryption_keys,
            **{name.upper(): value for name, value in _kafka(servers).items() if isinstance(value, str)},
            "DATABASE_URL": servers.database,
            env_file.EMBEDDED: ",".join(servers.embedded),
        }
        env_file.write(data, values)
        if servers.kafka_login is not None:
            # Only faster: without it Kafka flushes committed offsets as well.
            with suppress(KafkaUnavailable, TopicCreationFailed):
                await create_offsets_topic(configured(common), partitions=OFFSETS_PARTITIONS)
        return await lifecycle.serve_until_signal(
            [app for app, _ in built],
            host=arguments.host,
            port=port,
            ready=lambda: print_banner(values, data, sandbox.summary(), sys.stderr),
            watch=servers.watchers(data, arguments.max_log_bytes),
            limits=HttpLimits.of(common),
            traces=common.traces_endpoint,
        )


def _check_addresses(arguments: argparse.Namespace) -> None:
    """Before anything is made or started. Raises `UsageError` with the name of the option."""
    parse_url = service_url("http", "https")
    for option, parse, text in (
        ("--allow-net", networks, ",".join(arguments.allow_net)),
        ("--public-url", parse_url, arguments.public_url),
    ):
        try:
            _ = text and parse(text)
        except ValueError as error:
            raise UsageError(f"{option} {error} (got {text!r})") from None


def merged_keys(given: str | None, previous: str | None) -> str:
    """ENCRYPTION_KEYS: those of the environment, then those of the folder, else a new one (pure but for that).

    A key that the folder has is never dropped, because its data is encrypted with it: a shell may have sourced the file
    of another folder.
    """
    keys = [key.strip() for keys in (given, previous) if keys for key in keys.split(",")]
    return ",".join(dict.fromkeys(keys)) or b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def _settings(
    arguments: argparse.Namespace, data: Path, servers: "Servers", local_address: str, port: int, secret: str
) -> dict[str, Any]:
    """The settings that `up` decides for all services; everything else comes from the environment."""
    (data / "files").mkdir(exist_ok=True)
    overrides = {
        **_kafka(servers),
        "database_url": servers.database,
        "storage_url": env_file.external(os.environ, "STORAGE_URL") or (data / "files").as_uri(),
        "public_url": (arguments.public_url or local_address).rstrip("/"),
        "work_dir": data / "work",
        "webhook_secret": secret,
        "http_host": arguments.host,
        "http_port": port,
    }
    if arguments.allow_net:
        overrides["allow_net"] = ",".join(arguments.allow_net)
    if arguments.log_format:
        overrides["log_format"] = arguments.log_format
    return overrides


def _kafka(servers: "Servers") -> dict[str, Any]:
    """The settings of the connection to Kafka that `up` decides: all of them, where Kafka is the embedded one."""
    if servers.kafka_login is None:
        return {"kafka_bootstrap_servers": servers.kafka}
    login = servers.kafka_login
    return {
        **dict.fromkeys(KafkaSettings.model_fields),
        "kafka_bootstrap_servers": servers.kafka,
        "kafka_security_protocol": login.protocol,
        "kafka_sasl_mechanism": login.mechanism,
        "kafka_sasl_username": login.username,
        "kafka_sasl_password": login.password,
        "kafka_ssl_check_hostname": True,
    }


async def _usable_key(database: str, previous: str | None) -> str:
    """The previous API key if it is still valid, otherwise a new one."""
    async with keys.database(database, migrate_first=True) as pool:
        if previous:
            hash = hash_key(previous)
            listed = await keys.list_keys(pool)
            if any(entry.key.hash == hash and entry.key.revoked_at is None for entry in listed):
                return previous
        return (await keys.create_key(pool, name="bitmill up")).text


def available_port(host: str, port: int) -> int:
    """`port` if it can be listened on, a free one for 0. Raises `UsageError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            option = "--port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "--host"
            raise UsageError(
                f"cannot listen on {host}:{port}: {error.strerror}; choose another with {option}"
            ) from None
        return int(probe.getsockname()[1])


def _local_host(host: str) -> str:
    """How this machine reaches a listening address, as a part of a URL."""
    match host:
        case "0.0.0.0":  # noqa: S104 - compared, not listened on
            return "127.0.0.1"
        case "::":
            return "[::1]"
        case _:
            return f"[{host}]" if ":" in host else host


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
