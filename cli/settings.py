"""`bitmill settings`: every setting with its title, type and default."""

import argparse

from rich.console import Console
from rich.table import Table

from chassis.settings import SettingInfo, describe
from cli.serve import settings_class
from schemas.topics import SERVICES, Service


def collect(services: tuple[Service, ...]) -> dict[str, tuple[SettingInfo, list[Service]]]:
    """Each setting once, with the services that read it."""
    found: dict[str, tuple[SettingInfo, list[Service]]] = {}
    for service in services:
        for info in describe(settings_class(service)):
            found.setdefault(info.env, (info, []))[1].append(service)
    return found


def run(arguments: argparse.Namespace) -> int:
    services = (arguments.service,) if arguments.service else SERVICES
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("Variable", "Type", "Default", "Read by", "What it is"):
        table.add_column(column, overflow="fold")
    for env, (info, readers) in sorted(collect(services).items()):
        by = "all" if len(readers) == len(SERVICES) else ", ".join(readers)
        default = "(required)" if info.default is None else str(info.default)
        table.add_row(env, info.type, default, by, f"{info.title}. {info.description}")
    console = Console()
    # A pipe has no width: long rows stay on one line there, so that grep finds them whole.
    console.print(table, width=None if console.is_terminal else 400)
    return 0
