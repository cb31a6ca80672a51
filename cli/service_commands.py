"""`bitmill serve SERVICE` runs one service by its environment; `bitmill settings` lists the settings of all."""

import argparse
import textwrap
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from chassis.core.settings import CommonSettings, SettingInfo, SettingsError, describe, load
from chassis.runtime import lifecycle
from chassis.runtime.lifecycle import App
from cli.errors import UsageError, missing_package
from schemas.topics import SERVICES, Service


def settings_class(service: Service) -> type[CommonSettings]:
    """The settings of one service."""
    found: type[CommonSettings] = import_module(f"services.{service}.settings").Settings
    return found


def app_class(service: Service) -> Any:
    """The class of the service's App. Raises `UsageError` if a package of the service's extra is not installed."""
    try:
        module = import_module(f"services.{service}.app")
    except ModuleNotFoundError as error:
        raise missing_package(f"The service {service}", service, error) from None
    return getattr(module, service.capitalize())


def build(service: Service, overrides: Mapping[str, Any] | None = None) -> tuple[App, CommonSettings]:
    """One service, constructed but not started, and its settings from the environment and `overrides`.

    Raises `SettingsError`, and `UsageError` if a package of the service's extra is not installed.
    """
    settings = load(settings_class(service), **(overrides or {}))
    app: App = app_class(service)(settings)
    return app, settings


def serve(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM."""
    try:
        app, settings = build(arguments.service)
    except SettingsError as error:
        raise UsageError(str(error)) from None
    return lifecycle.run_main([app], settings)


def list_settings(arguments: argparse.Namespace) -> int:
    """Print every setting with its type, its default, who reads it, and what it is for."""
    services = (arguments.service,) if arguments.service else SERVICES
    for env, (info, readers) in sorted(collect_settings(services).items()):
        by = "" if arguments.service else f", read by {'all' if len(readers) == len(SERVICES) else ', '.join(readers)}"
        default = "required" if info.default is None else f"default {info.default}" if info.default else "not set"
        print(f"{env}  ({info.type}, {default}{by})")
        print(textwrap.indent(textwrap.fill(f"{info.title}: {info.description}", 100), "    "))
    return 0


def collect_settings(services: tuple[Service, ...]) -> dict[str, tuple[SettingInfo, list[Service]]]:
    """Each setting once, by its environment variable, with the services that read it."""
    found: dict[str, tuple[SettingInfo, list[Service]]] = {}
    for service in services:
        for info in describe(settings_class(service)):
            found.setdefault(info.env, (info, []))[1].append(service)
    return found
