"""`ittybit video`, `image` and so on: a job for each input, through the API or in this process."""

import argparse
import sys

from cli.api_address import api_address, uses_api
from cli.errors import UsageError, missing_package
from cli.job_lines import job_lines
from cli.job_options import option_values, pairs, validated
from cli.parallel import run_loop
from cli.reporter import open_reporter
from schemas.options import OPTIONS


def run(arguments: argparse.Namespace) -> int:
    """Exit status: 0 if every job succeeded (or was accepted, with `--async`), 1 if one failed."""
    values = option_values(arguments)
    # Before anything is uploaded. Kinds and options of a newer API are for the API to judge.
    options = validated(arguments.kind, values) if arguments.kind in OPTIONS else None
    list(pairs(arguments.metadata))
    lines = job_lines(arguments)
    if uses_api(arguments):
        from cli.cloud_run import run_in_cloud

        address = api_address("a job of the API")
        with open_reporter(arguments, sys.stdout, sys.stderr) as reporter:
            return run_loop(run_in_cloud(arguments, lines, values, address, reporter))
    if options is None:
        options = validated(arguments.kind, values)
    for option, given in (
        ("--async", arguments.detach),
        ("--webhook-url", arguments.webhook_url),
        ("--priority", arguments.priority),
        ("--metadata", arguments.metadata),
    ):
        if given:
            raise UsageError(f"{option} needs the API, and this job runs on this machine; leave it out")
    try:
        from cli.local_run import run_locally
    except ModuleNotFoundError as error:
        raise missing_package(f"bitmill {arguments.kind} on this machine", "cli", error) from None
    with open_reporter(arguments, sys.stdout, sys.stderr) as reporter:
        return run_loop(run_locally(lines, options, reporter, connection=arguments.connection, debug=arguments.debug))
