"""The command line of the operator's tools: `bitmill dlq` and `bitmill jobs`."""

import argparse
from collections.abc import Callable
from typing import get_args

from schemas.jobs import JobKind, Status

Lazy = Callable[[str, str], Callable[[argparse.Namespace], int]]
_POSITION = "TOPIC/PARTITION/OFFSET"


def dlq(command: argparse.ArgumentParser, lazy: Lazy) -> list[argparse.ArgumentParser]:
    """The actions of `bitmill dlq`, which get the options of a running system from the caller."""
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
    return [listing, show, replay, drop]


def jobs(command: argparse.ArgumentParser, lazy: Lazy) -> list[argparse.ArgumentParser]:
    """The actions of `bitmill jobs`, as `dlq`."""
    actions = command.add_subparsers(required=True)
    inspect = actions.add_parser("inspect", help="what each service knows of a job: states, attempts, workers, times")
    inspect.add_argument("id", metavar="JOB_ID", help="job_… or task_…")
    inspect.set_defaults(run=lazy("cli.jobs", "inspect"))
    api = "through the API (ITTYBIT_API_URL, ITTYBIT_API_KEY)"
    listing = actions.add_parser("list", help=f"list the jobs of a project, {api}")
    _job_filters(listing)
    listing.set_defaults(run=lazy("cli.job_actions", "list_"))
    cancel = actions.add_parser("cancel", help=f"cancel a job, {api}")
    cancel.add_argument("id", metavar="JOB_ID", help="job_… or task_…")
    cancel.set_defaults(run=lazy("cli.job_actions", "cancel"))
    retry = actions.add_parser("retry", help=f"run a job again that failed or was cancelled, {api}")
    retry.add_argument("id", metavar="JOB_ID", help="job_… or task_…")
    retry.add_argument("-o", "--output", metavar="FILE", help="where the result goes")
    retry.add_argument("--async", action="store_true", dest="detach", help="do not wait for the end")
    retry.set_defaults(run=lazy("cli.job_actions", "retry"))
    for action in (listing, cancel, retry):
        action.add_argument("--json", action="store_true", help="JSON lines on standard output (as when piped)")
        action.add_argument("--tty", action="store_true", help="text, even when piped")
    return [inspect]


def _job_filters(command: argparse.ArgumentParser) -> None:
    command.add_argument("--kind", choices=get_args(JobKind))
    command.add_argument("--status", choices=get_args(Status))
    command.add_argument("--input", metavar="URL", help="of exactly this input")
    for name, when in (("created-after", "after"), ("created-before", "before")):
        names = dict.fromkeys((f"--{name}", f"--{name.replace('-', '_')}"))
        command.add_argument(*names, metavar="TIME", help=f"created {when} it; Unix milliseconds or ISO 8601")
    pair = "whose metadata has this value; several: all of them"
    command.add_argument("--metadata", action="append", default=[], metavar="KEY=VALUE", help=pair)
    command.add_argument("--limit", type=count, default=10, metavar="COUNT", help="at most so many (%(default)s)")
    command.add_argument("--after", metavar="JOB_ID", help="the id that ends the page before")
    command.add_argument("--before", metavar="JOB_ID", help="the id that begins the page after")
    command.add_argument("--order", choices=("asc", "desc"), help="oldest or newest first (desc)")


def gc(command: argparse.ArgumentParser, lazy: Lazy) -> list[argparse.ArgumentParser]:
    """`bitmill gc`, as `dlq`."""
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
    return [command]


def count(text: str) -> int:
    """A number from 1 to 100,000."""
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= 100_000):
        raise argparse.ArgumentTypeError(f"must be a number from 1 to 100000, not {text[:40]!r}")
    return int(text[:9])


def _one_or_all(command: argparse.ArgumentParser) -> None:
    command.add_argument("position", nargs="?", metavar=_POSITION)
    command.add_argument("--topic", metavar="TOPIC", help="with --all: the topic, such as job.created")
    command.add_argument("--all", action="store_true", help="all dead letters of --topic")
    command.add_argument("--yes", action="store_true", help="do not ask")
