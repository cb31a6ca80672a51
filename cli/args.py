"""The command line. The module of a command is imported when that command runs, so that each one starts fast."""

import argparse
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import get_args

from cli import operator_args
from schemas.acls import roles as acl_roles
from schemas.jobs import Priority
from schemas.options import ImageFormat, Quality, VideoFormat
from schemas.projects import DeliveryMode
from schemas.topics import SERVICES

_LAST_PORT = 65535
_LEAST_LOG_BYTES = 64 * 1024
Run = Callable[[argparse.Namespace], int]


def default_data() -> Path:
    """The folder of `bitmill up` where `--data` names none: `.bitmill` in the current folder."""
    return Path(".bitmill")


def _lazy(module: str, function: str = "run") -> Run:
    def run(arguments: argparse.Namespace) -> int:
        return int(getattr(import_module(module), function)(arguments))

    return run


def parser() -> argparse.ArgumentParser:
    """The command line: one subparser for each command, each with `run` set."""
    root = argparse.ArgumentParser(
        prog="bitmill",
        description="Web-ready outputs, thumbnails, a catalog and webhooks for your media, on your own machines.",
    )
    root.add_argument("--version", action="version", version=f"bitmill {version('bitmill')}")
    commands = root.add_subparsers(metavar="COMMAND", required=True)
    _video(commands.add_parser("video", help="make a web-ready video"))
    _image(commands.add_parser("image", help="make an image from an image or from a frame of a video"))
    _up(commands.add_parser("up", help="run everything on this machine"))
    _serve(commands.add_parser("serve", help="run one service, configured by its environment"))
    _migrate(commands.add_parser("migrate", help="create or update the services' schemas in Postgres, and their roles"))
    _gateway(commands.add_parser("gateway", help="a proxy: one address for all services"))
    _keys(commands.add_parser("keys", help="create, list and revoke API keys"))
    _kafka(commands.add_parser("kafka", help="the login to Kafka for your programs, and ACLs for the services"))
    _projects(commands.add_parser("projects", help="list projects, set their delivery, rotate their webhook secrets"))
    dead_letters = commands.add_parser("dlq", help="list, show, replay and drop dead letters: records that failed")
    _of_running_system(*operator_args.dlq(dead_letters, _lazy))
    jobs = commands.add_parser("jobs", help="list, cancel and retry jobs; the way of one job through all services")
    _of_running_system(*operator_args.jobs(jobs, _lazy))
    collect = commands.add_parser("gc", help="find, and with --delete remove, stored objects that nobody refers to")
    _of_running_system(*operator_args.gc(collect, _lazy))
    settings = commands.add_parser("settings", help="list every setting of every service")
    settings.add_argument("service", nargs="?", choices=SERVICES)
    settings.set_defaults(run=_lazy("cli.service_commands", "list_settings"))
    return root


def _job(command: argparse.ArgumentParser, formats: tuple[str, ...]) -> None:
    command.add_argument("-i", "--input", required=True, metavar="FILE|URL", help="what to work on")
    command.add_argument("-o", "--output", metavar="FILE", help="where the result goes; its extension sets the format")
    command.add_argument("--format", help=", ".join(formats))
    command.add_argument("--quality", help=", ".join(get_args(Quality)))
    command.add_argument("--width", type=_number, metavar="PIXELS")
    command.add_argument("--height", type=_number, metavar="PIXELS")
    command.add_argument("--background", metavar="#RRGGBB", help="put behind transparent pixels")
    command.add_argument("--start", type=_number, metavar="SECONDS", help="where in the input to start")
    location = command.add_mutually_exclusive_group()
    location.add_argument("--cloud", action="store_true", help="through the API (ITTYBIT_API_URL, ITTYBIT_API_KEY)")
    location.add_argument("--local", action="store_true", help="in this process, without any service")
    command.add_argument("--async", action="store_true", dest="detach", help="with the API: do not wait for the end")
    webhook_help = "with the API: receives a webhook when the job ends"
    command.add_argument("--webhook-url", "--webhook_url", metavar="URL", help=webhook_help)
    command.add_argument("--priority", choices=get_args(Priority), help="with the API: before or after your other jobs")
    output = command.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="JSON lines on standard output (as when piped)")
    output.add_argument("--tty", action="store_true", help="text, even when piped")
    command.add_argument("--debug", action="store_true", help="show the commands that run and their output")


def _number(text: str) -> float | int | str:
    # The options' model checks the value, so that the command line and the API refuse it with the same message.
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _video(command: argparse.ArgumentParser) -> None:
    _job(command, get_args(VideoFormat))
    command.add_argument("--end", type=_number, metavar="SECONDS", help="where in the input to stop")
    command.set_defaults(run=_lazy("cli.job_command"), kind="video")


def _image(command: argparse.ArgumentParser) -> None:
    _job(command, get_args(ImageFormat))
    command.set_defaults(run=_lazy("cli.job_command"), kind="image", end=None)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to {_LAST_PORT}, not {text!r}")
    return int(text)


def _size(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 16 and int(text) >= _LEAST_LOG_BYTES):
        raise argparse.ArgumentTypeError(f"must be a number of bytes, at least {_LEAST_LOG_BYTES}, not {text[:40]!r}")
    return int(text)


def _log_format(command: argparse.ArgumentParser) -> None:
    command.add_argument("--log-format", choices=("text", "json"), help="default: text on a terminal, JSON otherwise")


def _up(command: argparse.ArgumentParser) -> None:
    command.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    command.add_argument("--port", type=_port, default=8080, help="port to listen on; 0 takes a free one (%(default)s)")
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
    command.set_defaults(run=_lazy("cli.up"))


def _serve(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Until SIGINT or SIGTERM. `bitmill settings SERVICE` lists the environment variables it reads."
    )
    command.add_argument("service", choices=SERVICES)
    command.set_defaults(run=_lazy("cli.service_commands", "serve"))


def _migrate(command: argparse.ArgumentParser) -> None:
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
    command.set_defaults(run=_lazy("cli.migrate"))


def _gateway(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Configured by its environment: INGEST_URL, CATALOG_URL and NOTIFIER_URL (http://host:port of each service), "
        "HTTP_HOST and HTTP_PORT; with TRANSCODER_URL and THUMBNAILER_URL these count for /readyz."
    )
    command.set_defaults(run=_lazy("cli.gateway"))


def _kafka(command: argparse.ArgumentParser) -> None:
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
    client.set_defaults(run=_lazy("cli.kafka_client"))
    acls = actions.add_parser("acls", help="the commands that grant each service what it needs in your Kafka")
    acls.add_argument("role", nargs="?", choices=acl_roles(), help="of this one only")
    acls.add_argument(
        "--principal",
        default="User:bitmill-{role}",
        help="how your Kafka names them, for example User:CN={role} with certificates (default: %(default)s)",
    )
    acls.set_defaults(run=_lazy("cli.kafka_acls"))


def _keys(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(required=True)
    create = actions.add_parser("create", help="create a key; it is shown once")
    create.add_argument("--name", default="", help="what the key is for")
    create.add_argument("--project", default="default", metavar="NAME", help="created if it does not exist yet")
    create.set_defaults(run=_lazy("cli.keys", "create"))
    listing = actions.add_parser("list", help="all keys, without their secrets")
    listing.add_argument("--project", metavar="NAME", help="of this project only")
    listing.set_defaults(run=_lazy("cli.keys", "list_"))
    revoke = actions.add_parser("revoke", help="revoke a key; on a healthy system it is refused within a second")
    revoke.add_argument("key", metavar="KEY_ID")
    revoke.set_defaults(run=_lazy("cli.keys", "revoke"))
    _of_running_system(create, listing, revoke)


def _projects(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(required=True)
    listing = actions.add_parser("list", help="list projects")
    listing.set_defaults(run=_lazy("cli.projects", "list_"))
    change = actions.add_parser("set", help="set how the files of a project are delivered, and what is removed of them")
    change.add_argument("project", metavar="PROJECT", help="its name or id")
    change.add_argument("--delivery", choices=get_args(DeliveryMode), help="signed: 403 without a signature")
    strip_help = "on: remove tags of place and device from new media items (POST /media) before they are stored"
    change.add_argument("--strip", choices=("on", "off"), help=strip_help)
    change.set_defaults(run=_lazy("cli.projects", "set_"))
    rotate = actions.add_parser("rotate-secret", help="give a project a new webhook secret; it is shown once")
    rotate.add_argument("project", metavar="PROJECT", help="its name or id")
    overlap_help = "how long the secrets before it sign as well: 500ms, 8s, 2m, 1h or 1d (default: %(default)s)"
    rotate.add_argument("--overlap", default="24h", metavar="DURATION", help=overlap_help)
    rotate.set_defaults(run=_lazy("cli.projects", "rotate_secret"))
    _of_running_system(listing, change, rotate)


def _of_running_system(*commands: argparse.ArgumentParser) -> None:
    for action in commands:
        action.add_argument("--data", type=Path, metavar="DIR", help="folder of the running system")
        action.add_argument("--json", action="store_true", help="JSON lines")
