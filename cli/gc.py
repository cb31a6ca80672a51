"""`bitmill gc`: finds, and with `--delete` removes, what nobody refers to: stored objects, unfinished uploads, and the
scratch folders of killed workers on this machine. Safe while the services work.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from asyncpg import PostgresError as QueryError
from asyncpg import UndefinedColumnError, UndefinedTableError

from chassis.adapters.postgres import PostgresError
from chassis.adapters.storage import StorageError, open_storage
from chassis.core import logs, redact
from chassis.core.setting_types import duration, storage_address
from cli import env_file
from cli.args import default_data
from cli.errors import CliError, UsageError
from cli.jobs import address_of
from cli.safe_text import json_line, printable
from cli.storage_check import (
    ASKED,
    MAX_UNREFERENCED,
    StorageReport,
    check_storage,
    delete_unreferenced,
    open_references,
)
from schemas.topics import Service
from worker.settings import abandoned_folders, remove_abandoned_folders

_SHOWN_FOREIGN = 5


def run(arguments: argparse.Namespace) -> int:
    """Print what is unreferenced, one line each, and a summary; with `--delete` remove it."""
    age = older_than(arguments)
    address = storage_of(arguments, os.environ)
    work = work_folder_of(arguments, os.environ)
    addresses = {service: address_of(service, arguments, os.environ) for service in ASKED}
    logs.configure("auto", "error")
    try:
        return asyncio.run(_collect(arguments, address, addresses, work, age))
    except (UndefinedTableError, UndefinedColumnError):
        raise CliError("a schema is not of this release: run `bitmill migrate`; nothing was deleted") from None
    except StorageError as error:
        raise CliError(f"the storage failed: {error}") from None
    except (OSError, QueryError, PostgresError) as error:
        # Without the answer of one service everything that it refers to would count as unreferenced.
        raise CliError(f"a service's database could not be asked: {redact.text(str(error))}") from None


def older_than(arguments: argparse.Namespace) -> timedelta:
    """The least age of what is looked at (pure). Raises UsageError."""
    try:
        return duration(arguments.older_than)
    except ValueError as error:
        raise UsageError(f"--older-than {error}") from None


def storage_of(arguments: argparse.Namespace, environment: Mapping[str, str]) -> str:
    """The address of the storage: of `--storage`, of the environment, or that of the data folder. Raises UsageError."""
    given = arguments.storage or env_file.external(environment, "STORAGE_URL")
    if given:
        try:
            return storage_address(given)
        except ValueError as error:
            raise UsageError(f"the storage {error}") from None
    files = ((arguments.data or default_data()) / "files").absolute()
    if not files.is_dir():
        raise UsageError("no storage found: name the data folder with --data, or set STORAGE_URL")
    return files.as_uri()


def work_folder_of(arguments: argparse.Namespace, environment: Mapping[str, str]) -> Path | None:
    """The scratch folders' parent on this machine; None if there is none."""
    given = environment.get("WORK_DIR")
    folder = Path(given) if given and arguments.data is None else (arguments.data or default_data()) / "work"
    return folder if folder.is_dir() else None


async def _collect(
    arguments: argparse.Namespace,
    address: str,
    addresses: Mapping[Service, str],
    work: Path | None,
    age: timedelta,
) -> int:
    async with open_references(addresses) as references, open_storage(address) as storage:
        report = await check_storage(storage, references, time.time() - age.total_seconds())
        folders = abandoned_folders(work) if work is not None else []
        if not arguments.delete:
            for found in [*report.unreferenced, *report.unfinished]:
                _print(arguments, "found", found.key, found.size)
            for folder in folders:
                _print(arguments, "found", str(folder), None)
        else:
            if report.knows_nothing and not arguments.force:
                raise CliError(
                    f"no row refers to any of {len(report.unreferenced)} objects: is this the database of that "
                    "storage? Nothing was deleted; --force deletes them all the same"
                )
            async for deleted in delete_unreferenced(storage, references, report):
                _print(arguments, "deleted", deleted.key, deleted.size)
            for folder in remove_abandoned_folders(work) if work is not None else []:
                _print(arguments, "deleted", str(folder), None)
    _summary(arguments, report)
    return 0


def _print(arguments: argparse.Namespace, what: str, name: str, size: int | None) -> None:
    if arguments.json:
        print(json_line({"action": what, "name": name, "bytes": size}))
    else:
        print(f"{what}  {printable(name)}" + ("" if size is None else f"  {size} bytes"))


def _summary(arguments: argparse.Namespace, report: StorageReport) -> None:
    size = sum(each.size for each in report.unreferenced)
    lines = [
        f"{report.objects} objects ({report.bytes} bytes): {report.referenced} referred to, {report.young} younger "
        f"than {arguments.older_than}, {len(report.unreferenced)} unreferenced ({size} bytes), "
        f"{len(report.unfinished)} unfinished uploads"
    ]
    if report.foreign:
        names = ", ".join(printable(name) for name in report.foreign[:_SHOWN_FOREIGN])
        lines.append(f"{len(report.foreign)} objects are not bitmill's and are left alone, such as {names}")
    if not report.complete:
        lines.append(f"the listing stopped at {MAX_UNREFERENCED} unreferenced objects: run it again for the rest")
    if not arguments.delete and (report.unreferenced or report.unfinished):
        lines.append("nothing was deleted: --delete does")
    for line in lines:
        print(line, file=sys.stderr)
