"""The commands. A module that is imported for it declares what each takes, so that `--help` starts fast."""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from cli.parser import Parser, program

DESCRIPTION = "Web-ready outputs, thumbnails, a catalog and webhooks for your media, on your own machines."
STATUSES = """\
exit status:
  0    done
  1    a job failed, or the API or the system refused the request
  2    wrong command line, settings or installation: nothing was started
  3    the API cannot be reached
  130  interrupted (Ctrl-C)"""


@dataclass(frozen=True)
class Command:
    """`declare` adds its arguments: the name of a function of `module`, which takes the parser of the command."""

    name: str
    help: str
    module: str
    declare: str


COMMANDS = (
    Command("video", "make a web-ready video", "cli.job_args", "video"),
    Command("image", "make an image from an image or from a frame of a video", "cli.job_args", "image"),
    Command("audio", "make an audio file from audio or a video", "cli.job_args", "audio"),
    Command("animation", "make an animated image from a part of a video", "cli.job_args", "animation"),
    Command("adaptive", "make an adaptive stream (HLS) from a video", "cli.job_args", "adaptive"),
    Command("task", "run one step: its input and output are file objects, as JSON", "cli.job_args", "task"),
    Command("upload", "send files to the API's storage and print their addresses", "cli.api_args", "upload"),
    Command("jobs", "list, show, create, cancel, retry, watch jobs of the API; inspect one", "cli.api_args", "jobs"),
    Command("media", "list, show, create, update, delete media items of the API", "cli.api_args", "media"),
    Command("connections", "list, add, change, delete connections to S3-compatible stores", "cli.api_args", "stores"),
    Command("webhooks", "receive webhooks on this machine", "cli.api_args", "webhooks"),
    Command("health", "check this machine, and the API where one is set", "cli.api_args", "health"),
    Command("login", "save the API's address and key for this user", "cli.api_args", "login"),
    Command("logout", "remove what login saved", "cli.api_args", "logout"),
    Command("completion", "print the completion script of a shell", "cli.api_args", "completion"),
    Command("up", "run everything on this machine", "cli.system_args", "up"),
    Command("serve", "run one service, configured by its environment", "cli.system_args", "serve"),
    Command(
        "migrate", "create or update the services' schemas in Postgres, and their roles", "cli.system_args", "migrate"
    ),
    Command("gateway", "a proxy: one address for all services", "cli.system_args", "gateway"),
    Command("keys", "create, list and revoke API keys", "cli.system_args", "keys"),
    Command("kafka", "the login to Kafka for your programs, and ACLs for the services", "cli.system_args", "kafka"),
    Command(
        "projects",
        "list projects, set their delivery and limits, rotate webhook secrets",
        "cli.system_args",
        "projects",
    ),
    Command("dlq", "list, show, replay and drop dead letters: records that failed", "cli.operator_args", "dlq"),
    Command(
        "gc", "find, and with --delete remove, stored objects that nobody refers to", "cli.operator_args", "collect"
    ),
    Command("settings", "list every setting of every service", "cli.system_args", "settings"),
)
_DEFAULT_ACTIONS = {"jobs": "list", "connections": "list", "media": "list"}


def default_data() -> Path:
    """The folder of `bitmill up` where `--data` names none: `.bitmill` in the current folder."""
    return Path(".bitmill")


def parser(only: str | None = None) -> Parser:
    """The command line: one subparser for each command, each with `run` set. `only` leaves the others undeclared."""
    root = _Root(
        prog=program(),
        description=DESCRIPTION,
        epilog=STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action=_Version, help="show the version and end")
    commands = root.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    for command in COMMANDS:
        declared = commands.add_parser(command.name, help=command.help)
        if only is None or only == command.name:
            getattr(import_module(command.module), command.declare)(declared)
    return root


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The arguments of a command line. Ends the process with status 2 and a sentence where they are wrong."""
    command = next((word for word in words if not word.startswith("-")), "")
    return parser(only=command).parse_args(words)


def with_action(words: Sequence[str]) -> list[str]:
    """`ittybit jobs` lists, `ittybit jobs job_…` shows one; likewise for connections and media items (pure)."""
    given = list(words)
    if given and (action := _DEFAULT_ACTIONS.get(given[0])):
        following = given[1] if len(given) > 1 else ""
        if following.startswith(("job_", "task_", "med_", "conn_")):
            given.insert(1, "get")
        elif not following or (following.startswith("-") and following not in ("-h", "--help")):
            given.insert(1, action)
    return given


class _Root(Parser):
    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        words = sys.argv[1:] if args is None else list(args)
        # Of a line that is being completed the action may still follow.
        return super().parse_known_args(words if "_ARGCOMPLETE" in os.environ else with_action(words), namespace)


class _Version(argparse.Action):
    """Reads the version when it is asked for: that takes longer than the rest of the start."""

    def __init__(self, option_strings: Sequence[str], dest: str, **arguments: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **{**arguments, "default": argparse.SUPPRESS})

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        print(f"{parser.prog} {version('bitmill')}")
        parser.exit()
