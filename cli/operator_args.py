"""The command line of the operator's tools: `bitmill dlq` and `bitmill gc`, and what commands of a system share."""

import argparse
from pathlib import Path

from cli.parser import count, lazy

_POSITION = "TOPIC/PARTITION/OFFSET"


def dlq(command: argparse.ArgumentParser) -> None:
    """`bitmill dlq`."""
    actions = command.add_subparsers(required=True)
    listing = actions.add_parser("list", help="list the newest dead letters of all topics")
    listing.add_argument("--topic", metavar="TOPIC", help="of this topic only, such as job.created")
    listing.add_argument("--since", metavar="DURATION", help="given up within this time, such as 24h")
    listing.add_argument("--limit", type=count, default=100, metavar="COUNT", help="the newest so many (%(default)s)")
    listing.set_defaults(run=lazy("cli.dlq", "list_"))
    show = actions.add_parser("show", help="show one dead letter: reason, headers, value")
    show.add_argument("position", metavar=_POSITION)
    show.add_argument("--unmasked", action="store_true", help="with secrets and the query strings of addresses")
    show.set_defaults(run=lazy("cli.dlq", "show"))
    replay = actions.add_parser("replay", help="send the original record to its topic again")
    _one_or_all(replay)
    replay.add_argument("--limit", type=count, metavar="COUNT", help="with --all: only the oldest so many")
    replay.add_argument("--again", action="store_true", help="also a dead letter that was replayed before")
    replay.set_defaults(run=lazy("cli.dlq_changes", "replay"))
    drop = actions.add_parser("drop", help="delete a dead letter and all before it in its partition")
    _one_or_all(drop)
    drop.set_defaults(run=lazy("cli.dlq_changes", "drop"))
    of_running_system(listing, show, replay, drop)


def collect(command: argparse.ArgumentParser) -> None:
    """`bitmill gc`."""
    command.description = (
        "Lists the storage, and asks the database of each service what it refers to (INGEST_DATABASE_URL and so on, "
        "or that of the whole system). Also unfinished uploads, and scratch folders of killed processes on this "
        "machine. Safe while the services work; unfinished uploads are removed after a day."
    )
    command.add_argument("--delete", action="store_true", help="remove what was found; without it nothing is changed")
    command.add_argument("--force", action="store_true", help="delete although no row refers to any object")
    command.add_argument("--older-than", default="24h", metavar="DURATION", help="only what is older (%(default)s)")
    command.add_argument("--storage", metavar="URL", help="default: STORAGE_URL, or that of the data folder")
    command.set_defaults(run=lazy("cli.gc", "run"))
    of_running_system(command)


def of_running_system(*commands: argparse.ArgumentParser) -> None:
    """`--data` and `--json` of commands that work on a running system."""
    for action in commands:
        action.add_argument("--data", type=Path, metavar="DIR", help="folder of the running system")
        action.add_argument("--json", action="store_true", help="JSON lines")


def _one_or_all(command: argparse.ArgumentParser) -> None:
    command.add_argument("position", nargs="?", metavar=_POSITION)
    command.add_argument("--topic", metavar="TOPIC", help="with --all: the topic, such as job.created")
    command.add_argument("--all", action="store_true", help="all dead letters of --topic")
    command.add_argument("--yes", action="store_true", help="do not ask")
