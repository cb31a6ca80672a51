"""`ittybit task KIND`: one step, whose input and output are file objects: the output of one is the input of the next.

Through the API by `POST /tasks`. On this machine `url` is `file://`: probe describes a file, import fetches or copies
it into the current folder, video and image encode it, export copies it to `--output`.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from cli.api_address import api_address, uses_api
from cli.api_client import open_client
from cli.connection_names import connection_id
from cli.errors import UsageError, missing_package
from cli.job_follow import Target, create_and_follow, no_file
from cli.job_lines import JobLine, free_target, require_output
from cli.job_options import is_s3, is_url, option_values
from cli.json_argument import json_object
from cli.parallel import run_loop
from cli.reporter import Reporter, open_reporter

_WITHOUT_OPTIONS = ("probe", "import", "export")


def run(arguments: argparse.Namespace) -> int:
    """Exit status: 0 if the task succeeded (or was accepted, with `--async`), 1 if it failed."""
    file = json_object(arguments.input, "--input")
    options = json_object(arguments.options, "--options") if arguments.options else {}
    if arguments.kind not in _WITHOUT_OPTIONS:
        options = {**option_values(arguments), **options}
    if uses_api(arguments):
        with open_reporter(arguments, sys.stdout, sys.stderr) as reporter:
            return run_loop(_in_cloud(arguments, file, options, reporter))
    if not isinstance(file.get("url"), str):
        raise UsageError("--input must be an object with a url")
    try:
        from cli.local_task import run_task
    except ModuleNotFoundError as error:
        raise missing_package("ittybit task on this machine", "cli", error) from None
    with open_reporter(arguments, sys.stdout, sys.stderr) as reporter:
        return run_loop(run_task(arguments, file, options, reporter))


async def _in_cloud(
    arguments: argparse.Namespace, file: dict[str, Any], options: dict[str, Any], reporter: Reporter
) -> int:
    output: str | None = arguments.output
    async with open_client(api_address("a task of the API"), debug=arguments.debug) as client:
        if connection := await connection_id(client, arguments.connection):
            options = {**options, "connection_id": connection}
        if is_s3(output):
            options = {**options, "url": output}
        body = {"kind": arguments.kind, "input": file, "options": options}
        target = _target(arguments)
        return await create_and_follow(client, body, reporter, target=target, wait=not arguments.detach, path="/tasks")


def _target(arguments: argparse.Namespace) -> Target:
    name: str | None = arguments.output
    if name is None or is_url(name):
        return no_file
    require_output(name)
    path = free_target(Path(name), JobLine(arguments.kind, "", force=arguments.force))
    return lambda _: path
