"""Jobs of the API followed to their end: by polling, the download of the output, and cancelled by Ctrl-C."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cli.api_client import ApiClient, Refused
from cli.errors import CliError, Unreachable
from cli.job_events import NoEvents, job_events
from cli.parser import program
from cli.reporter import Reporter, summary
from cli.transfers import download

_POLL_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.0)
"""Delays between polls: short jobs end within the first ones; the last delay repeats."""
CANCEL_SECONDS = 10.0
"""For the request to cancel, after Ctrl-C."""
OUTAGE_SECONDS = 60.0
"""For so long the API may be away while a job is followed."""
_UNFINISHED = ("waiting", "queued", "processing")
Target = Callable[[dict[str, Any]], Path | None]
"""The file to which the output of a job is downloaded; None where it stays where it is. May raise `UsageError`."""


def no_file(_: dict[str, Any]) -> None:
    """For outputs that stay where they are."""


async def create_and_follow(
    client: ApiClient,
    body: Any,
    reporter: Reporter,
    *,
    target: Target,
    wait: bool,
    input_bytes: int | None = None,
    path: str = "/jobs",
) -> int:
    """Creates the job and follows it; with `wait=False` it is only created. Returns the exit status."""
    creation = asyncio.ensure_future(client.post(path, body))
    try:
        job = await asyncio.shield(creation)
    except asyncio.CancelledError:
        # The job may have been created: only its response says under which id.
        async with asyncio.timeout(CANCEL_SECONDS):
            await _cancel(client, await creation)
        raise
    return await follow(client, job, reporter, target=target, wait=wait, input_bytes=input_bytes)


async def follow(
    client: ApiClient,
    job: dict[str, Any],
    reporter: Reporter,
    *,
    target: Target = no_file,
    wait: bool = True,
    cancels: bool = True,
    input_bytes: int | None = None,
) -> int:
    """Reports the job until its end. Ctrl-C cancels it, if `cancels`."""
    if not wait:
        reporter.result(job, job["id"])
        return 0
    try:
        job = await (_poll(client, job, reporter) if cancels else _listen(client, job, reporter))
    except asyncio.CancelledError:
        if cancels:
            async with asyncio.timeout(CANCEL_SECONDS):
                await _cancel(client, job)
        raise
    return await _finish(client, job, reporter, target, input_bytes)


def path_of(job_id: str) -> str:
    """The path of a job, by its id."""
    return f"/{'tasks' if job_id.startswith('task_') else 'jobs'}/{job_id}"


async def _cancel(client: ApiClient, job: dict[str, Any]) -> None:
    print(f"{program()}: cancelling {job['id']}", file=sys.stderr, flush=True)
    try:
        await client.post(f"{path_of(job['id'])}/cancel")
    except CliError as error:
        print(f"{program()}: {job['id']} was not cancelled: {error}", file=sys.stderr, flush=True)


async def _poll(client: ApiClient, job: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    polls, away_since = 0, None
    loop = asyncio.get_running_loop()
    while job["status"] in _UNFINISHED:
        reporter.progress(job["status"], job.get("progress"))
        await asyncio.sleep(_POLL_SECONDS[min(polls, len(_POLL_SECONDS) - 1)])
        polls += 1
        try:
            job = await client.get(path_of(job["id"]))
            away_since = None
        except (Unreachable, Refused) as error:
            if isinstance(error, Refused) and error.http_status not in (429, 502, 503, 504):
                raise
            away_since = away_since or loop.time()
            if loop.time() - away_since > OUTAGE_SECONDS:
                raise
    return job


async def _listen(client: ApiClient, job: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """The job once it has ended, by its events; by polling where the API has none."""
    try:
        async for event in job_events(client, path_of(job["id"])):
            if event.name == "job.progress":
                job = {**job, "progress": event.data.get("progress")}
                reporter.progress(str(event.data.get("step") or "processing"), job["progress"])
            elif event.name.startswith("job."):
                job = dict(event.data)
                reporter.progress(job["status"], job.get("progress"))
    except NoEvents:
        return await _poll(client, job, reporter)
    return await client.get(path_of(job["id"])) if job["status"] in _UNFINISHED else job


async def _finish(
    client: ApiClient, job: dict[str, Any], reporter: Reporter, target: Target, input_bytes: int | None
) -> int:
    if job["status"] != "succeeded":
        error = job["error"] or {"kind": job["status"], "message": "The job was cancelled."}
        reporter.result(job, f"{job['id']} {job['status']}: {error['message']} [{error['kind']}]")
        return 1
    output = job["output"] or {}
    place = output.get("url") or job["id"]
    try:
        path = target(job)
    except CliError as error:
        raise type(error)(f"{error}; the result is at {place}") from None
    if path is not None:
        await download(client, place, path, reporter)
        place = str(path)
    reporter.result(job, f"{place}  ({summary(output, input_bytes)})")
    return 0
