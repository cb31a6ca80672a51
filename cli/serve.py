"""`bitmill serve SERVICE`: one service, configured by its environment."""

import argparse
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from chassis.core.settings import CommonSettings, SettingsError, load
from chassis.runtime import lifecycle
from chassis.runtime.lifecycle import App
from cli.errors import UsageError
from schemas.topics import Service


def settings_class(service: Service) -> type[CommonSettings]:
    """The settings of one service."""
    found: type[CommonSettings] = import_module(f"services.{service}.settings").Settings
    return found


def build(service: Service, overrides: Mapping[str, Any] | None = None) -> tuple[App, CommonSettings]:
    """One service, wired but not started, and its settings from the environment and `overrides`."""
    settings = load(settings_class(service), **(overrides or {}))
    app: App = getattr(import_module(f"services.{service}.app"), service.capitalize())(settings)
    return app, settings


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM."""
    try:
        app, settings = build(arguments.service)
    except SettingsError as error:
        raise UsageError(str(error)) from None
    return lifecycle.run_main([app], settings)
