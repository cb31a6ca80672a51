"""`bitmill jobs list`, `cancel` and `retry`: jobs of the API, by the key of a project."""

import argparse
import asyncio
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from cli.errors import UsageError
from cli.job_command import api_address
from cli.job_options import require_output
from cli.reporter import open_reporter
from cli.safe_text import printable, time
from schemas.ids import is_id

_FILTERS = ("kind", "status", "input", "after", "before", "order", "limit")


def list_(arguments: argparse.Namespace) -> int:
    """Print one page of the project's jobs, a line each."""
    from cli.api_client import list_jobs

    parameters = list(_parameters(arguments))
    base, key = api_address("jobs list")
    with open_reporter(arguments, sys.stdout, sys.stderr) as reporter:
        for job in asyncio.run(list_jobs(base, key, parameters)):
            reporter.result(job, _line(job))
    return 0


def cancel(arguments: argparse.Namespace) -> int:
    """Cancel a job of the API. Exit status: 0 if it is or will be cancelled, 1 if it has ended or is not known."""
    id = _job_id(arguments)
    from cli.api_client import cancel_job

    base, key = api_address("jobs cancel")
    with open_reporter(arguments, sys.stdout, sys.stderr) as reporter:
        return asyncio.run(cancel_job(base, key, id, reporter))


def retry(arguments: argparse.Namespace) -> int:
    """Run a job of the API again that failed or was cancelled, and wait for its end as `bitmill video` does."""
    id = _job_id(arguments)
    require_output(arguments.output)
    from cli.api_client import retry_job

    base, key = api_address("jobs retry")
    with open_reporter(arguments, sys.stdout, sys.stderr) as reporter:
        work = retry_job(base, key, id, reporter, output=arguments.output, wait=not arguments.detach)
        return asyncio.run(work)


def milliseconds(text: str) -> str:
    """A time in Unix milliseconds, or in ISO 8601 (local without an offset), as the API takes it."""
    if text.isascii() and text.isdecimal():
        return text
    try:
        return str(round(datetime.fromisoformat(text).timestamp() * 1000))
    except (ValueError, OverflowError, OSError):
        rule = "must be Unix milliseconds or a time such as 2026-11-27 or 2026-11-27T10:00:00Z"
        raise UsageError(f"{rule} (got {text[:60]!r})") from None


def _parameters(arguments: argparse.Namespace) -> Iterator[tuple[str, str]]:
    for name in _FILTERS:
        value = getattr(arguments, name)
        if value is not None:
            yield name, str(value)
    for name in ("created_after", "created_before"):
        value = getattr(arguments, name)
        if value is not None:
            try:
                yield name, milliseconds(value)
            except UsageError as error:
                raise UsageError(f"--{name.replace('_', '-')} {error}") from None
    for pair in arguments.metadata:
        name, separator, value = pair.partition("=")
        if not name or not separator:
            raise UsageError(f"--metadata must be KEY=VALUE (got {pair[:60]!r})")
        yield f"metadata.{name}", value


def _line(job: dict[str, Any]) -> str:
    # Fixed widths: a page may be printed while the next one is read, and ids can be copied.
    created = time(job["created_at"])
    return f"{printable(job['id']):31}  {job['status']:10}  {job['kind']:5}  {created}  {printable(job['input'])}"


def _job_id(arguments: argparse.Namespace) -> str:
    id: str = arguments.id
    if not is_id(id, "job", "task"):
        raise UsageError(f"JOB_ID must be the id of a job (job_… or task_…), not {id[:60]!r}")
    return id
