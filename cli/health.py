"""`ittybit health`: whether this machine can make videos and images, and whether the API answers."""

import argparse
import sys
from typing import Any

from cli.api_address import api_address, uses_api
from cli.api_client import open_client
from cli.errors import CliError, Unreachable
from cli.login import check_key
from cli.parallel import run_loop
from cli.reporter import Reporter, open_reporter


def run(arguments: argparse.Namespace) -> int:
    """Exit status: 0 all is well, 1 something is not, 3 only the API cannot be reached."""
    arguments.cloud = arguments.local = False
    with open_reporter(arguments, sys.stdout, sys.stderr, bars=False) as reporter:
        return run_loop(_check(arguments, reporter))


async def _check(arguments: argparse.Namespace, reporter: Reporter) -> int:
    machine = await _machine(reporter)
    if not uses_api(arguments):
        _report(reporter, "api", None, "none is set: jobs run on this machine")
        return machine
    try:
        address = api_address("the API")
        async with open_client(address) as client:
            await check_key(client)
    except CliError as error:
        _report(reporter, "api", False, str(error))
        return machine or (error.status if isinstance(error, Unreachable) else 1)
    _report(reporter, "api", True, f"{address.base} takes the key")
    return machine


async def _machine(reporter: Reporter) -> int:
    try:
        from chassis.core import logs
        from chassis.core.settings import StartRefused
        from cli.machine_check import require_usable_machine
        from media.ffmpeg import binary
    except ModuleNotFoundError as error:
        _report(reporter, "machine", None, f"jobs need the API: the package {error.name} is not installed")
        return 0
    logs.configure("text", "error")
    try:
        sandbox = await require_usable_machine()
    except StartRefused as error:
        _report(reporter, "machine", False, str(error))
        return 1
    _report(reporter, "ffmpeg", True, str(binary()))
    _report(reporter, "sandbox", True, sandbox.summary())
    return 0


def _report(reporter: Reporter, name: str, ok: bool | None, detail: str) -> None:
    resource: dict[str, Any] = {"object": "check", "name": name, "ok": ok, "detail": detail}
    reporter.result(resource, f"{name:<8} {'-' if ok is None else 'ok' if ok else 'not ok'}  {detail}")
