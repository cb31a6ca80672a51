"""`ittybit jobs list`, `get`, `create`, `cancel`, `retry` and `watch`: jobs of the API, by the key of a project."""

import argparse
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from cli.api_client import ApiClient
from cli.api_command import through_api
from cli.errors import UsageError
from cli.job_follow import Target, create_and_follow, follow, no_file, path_of
from cli.job_lines import JobLine, free_target, require_output
from cli.job_options import pairs
from cli.json_argument import json_object
from cli.reporter import Reporter, summary
from cli.safe_text import printable, time
from schemas.ids import is_id

_FILTERS = ("kind", "status", "input", "after", "before", "order", "limit")


def list_(arguments: argparse.Namespace) -> int:
    """Print one page of the project's jobs, a line each."""
    parameters = list(_parameters(arguments))

    async def work(client: ApiClient, reporter: Reporter) -> int:
        for job in await client.get("/jobs", parameters):
            reporter.result(job, _line(job))
        return 0

    return through_api(arguments, "jobs list", work)


def get(arguments: argparse.Namespace) -> int:
    """Show one job."""
    id = _job_id(arguments)

    async def work(client: ApiClient, reporter: Reporter) -> int:
        job = await client.get(path_of(id))
        reporter.result(job, _text(job))
        return 0

    return through_api(arguments, "jobs get", work)


def create(arguments: argparse.Namespace) -> int:
    """Create a job from a body of POST /jobs, and wait for its end."""
    body, target = json_object(arguments.body, "--body"), _target(arguments)

    async def work(client: ApiClient, reporter: Reporter) -> int:
        return await create_and_follow(client, body, reporter, target=target, wait=not arguments.detach)

    return through_api(arguments, "jobs create", work, bars=True)


def cancel(arguments: argparse.Namespace) -> int:
    """Cancel a job of the API. Exit status: 0 if it is or will be cancelled, 1 if it has ended or is not known."""
    id = _job_id(arguments)

    async def work(client: ApiClient, reporter: Reporter) -> int:
        cancellation = await client.post(f"{path_of(id)}/cancel")
        reporter.result(cancellation, f"{cancellation['id']} {cancellation['status']}")
        return 0

    return through_api(arguments, "jobs cancel", work)


def retry(arguments: argparse.Namespace) -> int:
    """Run a job of the API again that failed or was cancelled, and wait for its end as `ittybit video` does."""
    id, target = _job_id(arguments), _target(arguments)

    async def work(client: ApiClient, reporter: Reporter) -> int:
        job = await client.post(f"{path_of(id)}/retry")
        return await follow(client, job, reporter, target=target, wait=not arguments.detach)

    return through_api(arguments, "jobs retry", work, bars=True)


def watch(arguments: argparse.Namespace) -> int:
    """Show the progress of a job until its end. Ctrl-C ends the command, and not the job."""
    id, target = _job_id(arguments), _target(arguments)

    async def work(client: ApiClient, reporter: Reporter) -> int:
        return await follow(client, await client.get(path_of(id)), reporter, target=target, cancels=False)

    return through_api(arguments, "jobs watch", work, bars=True)


def milliseconds(text: str) -> str:
    """A time in Unix milliseconds, or in ISO 8601 (local without an offset), as the API takes it."""
    if text.isascii() and text.isdecimal():
        return text
    try:
        return str(round(datetime.fromisoformat(text).timestamp() * 1000))
    except (ValueError, OverflowError, OSError):
        rule = "must be Unix milliseconds or a time such as 2026-11-27 or 2026-11-27T10:00:00Z"
        raise UsageError(f"{rule} (got {text[:60]!r})") from None


def _target(arguments: argparse.Namespace) -> Target:
    """Where `--output` says; nothing that is there is overwritten without `--force`."""
    name: str | None = arguments.output
    if name is None:
        return no_file
    require_output(name)
    path = free_target(Path(name), JobLine("job", "", force=arguments.force))
    return lambda _: path


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
    for key, value in pairs(arguments.metadata):
        yield f"metadata.{key}", value


def _line(job: dict[str, Any]) -> str:
    # Fixed widths: a page may be printed while the next one is read, and ids can be copied.
    created = time(job["created_at"])
    return f"{printable(job['id']):31}  {job['status']:10}  {job['kind']:5}  {created}  {printable(job['input'])}"


def _text(job: dict[str, Any]) -> str:
    """A line for each fact of a job that people ask for first."""
    error, output = job.get("error"), job.get("output")
    facts = [
        ("status", job["status"]),
        ("kind", job["kind"]),
        ("input", str(job["input"])),
        ("created", time(job["created_at"])),
        ("ended", time(job.get("finished_at"))),
        ("error", f"{error['message']} [{error['kind']}]" if error else ""),
        ("output", f"{output['url']}  ({summary(output)})" if output else ""),
        *((f"metadata {key}", value) for key, value in job.get("metadata", {}).items()),
    ]
    return "\n".join([job["id"], *(f"  {name:<10} {printable(str(value))}" for name, value in facts if value)])


def _job_id(arguments: argparse.Namespace) -> str:
    id: str = arguments.id
    if not is_id(id, "job", "task"):
        raise UsageError(f"JOB_ID must be the id of a job (job_… or task_…), not {id[:60]!r}")
    return id
