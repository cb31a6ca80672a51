"""The command line of what works through the API: jobs, media items, uploads, connections, webhooks, login."""

import argparse
from pathlib import Path
from typing import get_args

from cli.operator_args import of_running_system
from cli.parser import count, lazy, output_form, port
from schemas.jobs import JobKind, Status

SHELLS = ("bash", "zsh", "fish")
MEDIA_SORTS = ("created", "updated", "filesize", "duration", "width", "height", "fps", "filename")
_JOB_ID = "job_… or task_…"


def upload(command: argparse.ArgumentParser) -> None:
    """`ittybit upload`."""
    command.add_argument("file", nargs="+", metavar="FILE", help="a file, or a pattern such as '*.mov'")
    output_form(command)
    command.set_defaults(run=lazy("cli.upload_command"))


def jobs(command: argparse.ArgumentParser) -> None:
    """`ittybit jobs`."""
    actions = command.add_subparsers(required=True)
    listing = actions.add_parser("list", help="list the jobs of a project (the default)")
    _job_filters(listing)
    listing.set_defaults(run=lazy("cli.job_actions", "list_"))
    get = actions.add_parser("get", help="show one job; also: ittybit jobs JOB_ID")
    get.set_defaults(run=lazy("cli.job_actions", "get"))
    create = actions.add_parser("create", help="create a job from a body of POST /jobs")
    create.add_argument("--body", required=True, metavar="JSON", help="the body, or - for standard input")
    create.set_defaults(run=lazy("cli.job_actions", "create"))
    cancel = actions.add_parser("cancel", help="cancel a job")
    cancel.set_defaults(run=lazy("cli.job_actions", "cancel"))
    retry = actions.add_parser("retry", help="run a job again that failed or was cancelled")
    retry.set_defaults(run=lazy("cli.job_actions", "retry"))
    watch = actions.add_parser("watch", help="show the progress of a job until its end")
    watch.set_defaults(run=lazy("cli.job_actions", "watch"))
    for action in (get, cancel, retry, watch):
        action.add_argument("id", metavar="JOB_ID", help=_JOB_ID)
    for action in (create, retry, watch):
        action.add_argument("-o", "--output", metavar="FILE", help="where the result goes")
        action.add_argument("--force", action="store_true", help="overwrite a file that is there")
    for action in (create, retry):
        action.add_argument("--async", action="store_true", dest="detach", help="do not wait for the end")
    for action in (listing, get, create, cancel, retry, watch):
        output_form(action)
    inspect = actions.add_parser("inspect", help="for operators: what each service knows of a job")
    inspect.add_argument("id", metavar="JOB_ID", help=_JOB_ID)
    inspect.set_defaults(run=lazy("cli.jobs", "inspect"))
    of_running_system(inspect)


def media(command: argparse.ArgumentParser) -> None:
    """`ittybit media`."""
    actions = command.add_subparsers(required=True)
    listing = actions.add_parser("list", help="list media items (the default)")
    listing.add_argument("--kind", choices=("image", "video", "audio"))
    listing.add_argument("--metadata", action="append", default=[], metavar="KEY=VALUE", help="which has this value")
    listing.add_argument("--sort", choices=MEDIA_SORTS, help="by this field (created)")
    listing.add_argument("--order", choices=("asc", "desc"), help="ascending or descending (desc)")
    listing.add_argument("--limit", type=count, default=10, metavar="COUNT", help="at most so many (%(default)s)")
    listing.add_argument("--page", type=count, metavar="NUMBER", help="the page (1)")
    listing.set_defaults(run=lazy("cli.media_actions", "list_"))
    get = actions.add_parser("get", help="show one media item; also: ittybit media MEDIA_ID")
    get.set_defaults(run=lazy("cli.media_actions", "get"))
    create = actions.add_parser("create", help="make a media item from a file or an address")
    create.add_argument("-i", "--input", required=True, metavar="FILE|URL", help="a file is uploaded first")
    create.add_argument("--filename", metavar="NAME", help="its name at the delivery address")
    create.set_defaults(run=lazy("cli.media_actions", "create"))
    update = actions.add_parser("update", help="change a media item")
    update.add_argument("--clear-metadata", action="store_true", help="remove all metadata")
    update.set_defaults(run=lazy("cli.media_actions", "update"))
    delete = actions.add_parser("delete", help="delete a media item")
    delete.set_defaults(run=lazy("cli.media_actions", "delete"))
    for action in (get, update, delete):
        action.add_argument("id", metavar="MEDIA_ID", help="med_…")
    for action in (create, update):
        action.add_argument("--title", metavar="TEXT")
        action.add_argument("--folder", metavar="FOLDER", help="the folder of its files")
        pair = "your own; KEY= removes the key in an update"
        action.add_argument("--metadata", action="append", default=[], metavar="KEY=VALUE", help=pair)
        action.add_argument("--overwrite", action="store_true", help="take the name from an item that has it")
    for action in (listing, get, create, update, delete):
        output_form(action)


def stores(command: argparse.ArgumentParser) -> None:
    """`ittybit connections`."""
    actions = command.add_subparsers(required=True)
    listing = actions.add_parser("list", help="list connections, without their secrets (the default)")
    listing.set_defaults(run=lazy("cli.connections", "list_"))
    get = actions.add_parser("get", help="show one connection")
    get.set_defaults(run=lazy("cli.connections", "get"))
    add = actions.add_parser("add", help="add a connection; the secret key is asked for where it is not given")
    add.add_argument("kind", choices=("s3",))
    add.set_defaults(run=lazy("cli.connections", "add"))
    update = actions.add_parser("update", help="change a connection")
    update.set_defaults(run=lazy("cli.connections", "update"))
    delete = actions.add_parser("delete", help="delete a connection")
    delete.set_defaults(run=lazy("cli.connections", "delete"))
    for action in (get, update, delete):
        action.add_argument("connection", metavar="NAME", help="its name or id")
    for action in (add, update):
        action.add_argument("--name", required=action is add, help="how commands and jobs name it")
        action.add_argument("--endpoint", metavar="URL", help="of a store that is not AWS")
        action.add_argument("--region", help="such as eu-west-1")
        action.add_argument("--access-key-id", required=action is add, metavar="ID")
        action.add_argument("--secret-access-key", metavar="SECRET", help="- reads it from standard input")
        action.add_argument("--default", action="store_true", help="for s3:// addresses without a connection")
    for action in (listing, get, add, update, delete):
        place = action.add_mutually_exclusive_group()
        place.add_argument("--cloud", action="store_true", help="of the API: the default where one is set, or saved")
        place.add_argument("--local", action="store_true", help="of this user, for jobs on this machine")
        output_form(action)


def webhooks(command: argparse.ArgumentParser) -> None:
    """`ittybit webhooks`."""
    actions = command.add_subparsers(required=True)
    listen = actions.add_parser("listen", help="receive webhooks on this machine, verify and print them")
    listen.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    listen.add_argument("--port", type=port, default=8989, help="port to listen on; 0 takes a free one (%(default)s)")
    listen.add_argument("--secret", help="whsec_…, to verify signatures (ITTYBIT_WEBHOOK_SECRET)")
    listen.add_argument("--count", type=count, metavar="COUNT", help="end after so many webhooks")
    output_form(listen)
    listen.set_defaults(run=lazy("cli.webhooks"))


def health(command: argparse.ArgumentParser) -> None:
    """`ittybit health`."""
    output_form(command)
    command.set_defaults(run=lazy("cli.health"))


def login(command: argparse.ArgumentParser) -> None:
    """`ittybit login`."""
    command.add_argument("--url", metavar="URL", help="the API's address (http://127.0.0.1:8080)")
    command.add_argument("--key", help="the API key; - reads it from standard input, without it you are asked")
    command.set_defaults(run=lazy("cli.login"))


def logout(command: argparse.ArgumentParser) -> None:
    """`ittybit logout`."""
    command.set_defaults(run=lazy("cli.login", "logout"))


def completion(command: argparse.ArgumentParser) -> None:
    """`ittybit completion`."""
    command.add_argument("shell", choices=SHELLS)
    command.add_argument("--install", type=Path, metavar="FILE", help="write the script to this file")
    command.set_defaults(run=lazy("cli.completion"))


def _job_filters(command: argparse.ArgumentParser) -> None:
    command.add_argument("--kind", choices=get_args(JobKind))
    command.add_argument("--status", choices=get_args(Status))
    command.add_argument("--input", metavar="URL", help="of exactly this input")
    for name, when in (("created-after", "after"), ("created-before", "before")):
        command.add_argument(f"--{name}", metavar="TIME", help=f"created {when} it; Unix milliseconds or ISO 8601")
    pair = "whose metadata has this value; several: all of them"
    command.add_argument("--metadata", action="append", default=[], metavar="KEY=VALUE", help=pair)
    command.add_argument("--limit", type=count, default=10, metavar="COUNT", help="at most so many (%(default)s)")
    command.add_argument("--after", metavar="JOB_ID", help="the id that ends the page before")
    command.add_argument("--before", metavar="JOB_ID", help="the id that begins the page after")
    command.add_argument("--order", choices=("asc", "desc"), help="oldest or newest first (desc)")
