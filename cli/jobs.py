"""`bitmill jobs inspect`: the way of one job through all services, for operators.

Each service is asked at its own address (INGEST_DATABASE_URL and so on), or at that of the whole system.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping

from chassis.core import logs
from cli.database import database_of
from cli.errors import CliError, UsageError
from cli.job_inspection import collect
from cli.jobs_text import job_fields, job_text
from cli.safe_text import json_line
from schemas.ids import is_id
from schemas.topics import SERVICES, Service


def inspect(arguments: argparse.Namespace) -> int:
    """Print what is known of the job; status 1 if no service knows it, or one could not be asked."""
    id = arguments.id
    if not is_id(id, "job", "task"):
        raise UsageError(f"JOB_ID must be the id of a job (job_… or task_… and 26 characters), not {id[:60]!r}")
    addresses = {service: address_of(service, arguments, os.environ) for service in SERVICES}
    logs.configure("auto", "error")
    found = asyncio.run(collect(id, addresses))
    if not found.known:
        missing = "".join(f"\n{service} could not be asked: {why}" for service, why in found.unavailable.items())
        raise CliError(f"no service knows the job {id}: it was never accepted here, or was purged{missing}")
    print(json_line(job_fields(found)) if arguments.json else job_text(found))
    for service, why in found.unavailable.items():
        print(f"bitmill: {service} could not be asked: {why}", file=sys.stderr)
    return 1 if found.unavailable else 0


def address_of(service: Service, arguments: argparse.Namespace, environment: Mapping[str, str]) -> str:
    """The address of a service's database: of `--data`, its own of the environment, or that of the whole system."""
    own = environment.get(f"{service.upper()}_DATABASE_URL")
    return own if own and arguments.data is None else database_of(arguments)
