"""`bitmill settings`: every setting with its title, type and default."""

import argparse
import textwrap

from chassis.core.settings import SettingInfo, describe
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
    for env, (info, readers) in sorted(collect(services).items()):
        by = "" if arguments.service else f", read by {'all' if len(readers) == len(SERVICES) else ', '.join(readers)}"
        default = "required" if info.default is None else f"default {info.default}" if info.default else "not set"
        print(f"{env}  ({info.type}, {default}{by})")
        print(textwrap.indent(textwrap.fill(f"{info.title}: {info.description}", 100), "    "))
    return 0
