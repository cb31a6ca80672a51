"""`bitmill video` and `bitmill image`: one job, through the API or in this process."""

import argparse
import asyncio
import os
import sys

from cli.errors import UsageError, missing_package
from cli.job_options import option_values, request_body, require_output, uses_api, validated
from cli.reporter import open_reporter

DEFAULT_API_URL = "http://127.0.0.1:8080"


def run(arguments: argparse.Namespace) -> int:
    """Exit status: 0 if the job succeeded (or was accepted, with `--async`), 1 if it failed."""
    values = option_values(arguments)
    options = validated(arguments.kind, values)
    key = os.environ.get("ITTYBIT_API_KEY")
    with open_reporter(arguments, sys.stdout, sys.stderr) as reporter:
        if uses_api(arguments, has_key=bool(key)):
            from cli.api_client import run_job

            base, key = api_address("--cloud")
            body = request_body(arguments, values)
            require_output(arguments.output)
            return asyncio.run(run_job(base, key, body, reporter, output=arguments.output, wait=not arguments.detach))
        for option, given in (
            ("--async", arguments.detach),
            ("--webhook-url", arguments.webhook_url),
            ("--priority", arguments.priority),
        ):
            if given:
                raise UsageError(f"{option} needs the API, and this job runs on this machine; leave it out")
        try:
            from cli.local_run import run_locally
        except ModuleNotFoundError as error:
            raise missing_package(f"bitmill {arguments.kind} on this machine", "cli", error) from None
        return asyncio.run(run_locally(arguments, options, reporter))


def api_address(used_by: str) -> tuple[str, str]:
    """The address of the API and the key, from the environment."""
    key = os.environ.get("ITTYBIT_API_KEY")
    if not key:
        raise UsageError(f"{used_by} needs a key in ITTYBIT_API_KEY (`bitmill up` writes one to its env file)")
    base = os.environ.get("ITTYBIT_API_URL") or DEFAULT_API_URL
    if not base.startswith(("http://", "https://")):
        raise UsageError(f"ITTYBIT_API_URL must start with http:// or https:// (it is {base!r})")
    return base, key
