"""The command line of a system: `up`, `serve`, `migrate`, `gateway`, `kafka`, `keys`, `projects`, `settings`."""

import argparse
from pathlib import Path
from typing import get_args

from cli.args import default_data
from cli.operator_args import of_running_system
from cli.parser import lazy, port
from schemas.acls import roles as acl_roles
from schemas.projects import DeliveryMode
from schemas.topics import SERVICES

_LEAST_LOG_BYTES = 64 * 1024


def _size(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 16 and int(text) >= _LEAST_LOG_BYTES):
        raise argparse.ArgumentTypeError(f"must be a number of bytes, at least {_LEAST_LOG_BYTES}, not {text[:40]!r}")
    return int(text)


def _log_format(command: argparse.ArgumentParser) -> None:
    command.add_argument("--log-format", choices=("text", "json"), help="default: text on a terminal, JSON otherwise")


def up(command: argparse.ArgumentParser) -> None:
    """`bitmill up`."""
    command.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    command.add_argument("--port", type=port, default=8080, help="port to listen on; 0 takes a free one (%(default)s)")
    command.add_argument("--data", type=Path, default=default_data(), metavar="DIR", help="default: %(default)s")
    command.add_argument("--public-url", metavar="URL", help="where customers reach this address, behind a proxy")
    command.add_argument(
        "--allow-net",
        action="append",
        default=[],
        metavar="CIDR",
        help="a private network from which inputs may be fetched and to which webhooks may go; may be repeated",
    )
    command.add_argument(
        "--max-log-bytes",
        type=_size,
        default=16 * 1024 * 1024,
        metavar="BYTES",
        help="the log of an embedded server begins anew at this size; the one before it is kept (%(default)s)",
    )
    _log_format(command)
    command.set_defaults(run=lazy("cli.up"))


def serve(command: argparse.ArgumentParser) -> None:
    """`bitmill serve`."""
    command.description = (
        "Until SIGINT or SIGTERM. `bitmill settings SERVICE` lists the environment variables it reads."
    )
    command.add_argument("service", choices=SERVICES)
    command.set_defaults(run=lazy("cli.service_commands", "serve"))


def migrate(command: argparse.ArgumentParser) -> None:
    """`bitmill migrate`."""
    command.add_argument("service", nargs="*", metavar="SERVICE", help=f"{', '.join(SERVICES)} (default: all)")
    what = command.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="change nothing; status 1 if a migration is missing")
    what.add_argument(
        "--roles",
        action="store_true",
        help="also create the role of each service, with user and password of INGEST_DATABASE_URL and so on",
    )
    command.add_argument("--data", type=Path, metavar="DIR", help="folder of the running system")
    command.add_argument(
        "--wait", metavar="DURATION", help="for a Postgres that does not respond yet (default: 60s; with --check: 3s)"
    )
    command.set_defaults(run=lazy("cli.migrate"))


def gateway(command: argparse.ArgumentParser) -> None:
    """`bitmill gateway`."""
    command.description = (
        "Configured by its environment: INGEST_URL, CATALOG_URL and NOTIFIER_URL (http://host:port of each service), "
        "HTTP_HOST and HTTP_PORT; with TRANSCODER_URL and THUMBNAILER_URL these count for /readyz."
    )
    command.set_defaults(run=lazy("cli.gateway"))


def kafka(command: argparse.ArgumentParser) -> None:
    """`bitmill kafka`."""
    actions = command.add_subparsers(required=True)
    client = actions.add_parser("client", help="address and login of the running system's Kafka; it shows a password")
    client.add_argument("--data", type=Path, metavar="DIR", help="folder of the running system")
    client.add_argument(
        "--format",
        choices=("env", "java", "librdkafka", "aiokafka"),
        default="env",
        help="env: for a shell; java: a properties file, also of Kafka's own tools; librdkafka: kcat, Go, Node; "
        "aiokafka: JSON of keyword arguments (default: %(default)s)",
    )
    client.set_defaults(run=lazy("cli.kafka_client"))
    acls = actions.add_parser("acls", help="the commands that grant each service what it needs in your Kafka")
    acls.add_argument("role", nargs="?", choices=acl_roles(), help="of this one only")
    acls.add_argument(
        "--principal",
        default="User:bitmill-{role}",
        help="how your Kafka names them, for example User:CN={role} with certificates (default: %(default)s)",
    )
    acls.set_defaults(run=lazy("cli.kafka_acls"))


def keys(command: argparse.ArgumentParser) -> None:
    """`bitmill keys`."""
    actions = command.add_subparsers(required=True)
    create = actions.add_parser("create", help="create a key; it is shown once")
    create.add_argument("--name", default="", help="what the key is for")
    create.add_argument("--project", default="default", metavar="NAME", help="created if it does not exist yet")
    create.set_defaults(run=lazy("cli.keys", "create"))
    listing = actions.add_parser("list", help="all keys, without their secrets")
    listing.add_argument("--project", metavar="NAME", help="of this project only")
    listing.set_defaults(run=lazy("cli.keys", "list_"))
    revoke = actions.add_parser("revoke", help="revoke a key; on a healthy system it is refused within a second")
    revoke.add_argument("key", metavar="KEY_ID")
    revoke.set_defaults(run=lazy("cli.keys", "revoke"))
    of_running_system(create, listing, revoke)


_PROJECT_LIMITS = (
    ("--rate-limit", "N", "requests a minute, those that read and those that change something apart; 0: no limit"),
    ("--key-rate-limit", "N", "the same for each API key of the project"),
    ("--max-unfinished-jobs", "N", "jobs that have not ended: with more, POST /jobs responds with 429"),
    ("--max-unfinished-imports", "N", "media items in processing: with more, POST /media responds with 429"),
    ("--retain-jobs", "DURATION", "how long ended jobs are kept with their outputs, where RETAIN_JOBS is longer: 7d"),
)


def projects(command: argparse.ArgumentParser) -> None:
    """`bitmill projects`."""
    actions = command.add_subparsers(required=True)
    listing = actions.add_parser("list", help="list projects")
    listing.set_defaults(run=lazy("cli.projects", "list_"))
    change = actions.add_parser("set", help="set how the files of a project are delivered, its limits and retention")
    change.add_argument("project", metavar="PROJECT", help="its name or id")
    change.add_argument("--delivery", choices=get_args(DeliveryMode), help="signed: 403 without a signature")
    strip_help = "on: remove tags of place and device from new media items (POST /media) before they are stored"
    change.add_argument("--strip", choices=("on", "off"), help=strip_help)
    for name, metavar, text in _PROJECT_LIMITS:
        change.add_argument(name, metavar=metavar, help=f"{text}; default: as the installation's settings say")
    change.set_defaults(run=lazy("cli.projects", "set_"))
    rotate = actions.add_parser("rotate-secret", help="give a project a new webhook secret; it is shown once")
    rotate.add_argument("project", metavar="PROJECT", help="its name or id")
    overlap_help = "how long the secrets before it sign as well: 500ms, 8s, 2m, 1h or 1d (default: %(default)s)"
    rotate.add_argument("--overlap", default="24h", metavar="DURATION", help=overlap_help)
    rotate.set_defaults(run=lazy("cli.projects", "rotate_secret"))
    of_running_system(listing, change, rotate)


def settings(command: argparse.ArgumentParser) -> None:
    """`bitmill settings`."""
    command.add_argument("service", nargs="?", choices=SERVICES)
    command.set_defaults(run=lazy("cli.service_commands", "list_settings"))
