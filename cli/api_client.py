"""Jobs through the API: create one, poll it until it ends, download the output when `-o` names a file; cancel, list.

Ctrl-C while it is waited for cancels the job.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from cli.errors import CliError
from cli.reporter import Reporter, summary

_POLL_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.0)
"""Delays between polls: short jobs end within the first ones; the last delay repeats."""
CANCEL_SECONDS = 10.0
"""For the request to cancel, after Ctrl-C."""
_TIMEOUT = aiohttp.ClientTimeout(total=60)


class ApiClient:
    """The API calls that the command line makes. They raise `CliError` with the API's sentence."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session = session
        self._base = base.rstrip("/")

    async def create_job(self, body: dict[str, Any]) -> dict[str, Any]:
        return await self._object("POST", "/jobs", json=body)

    async def get_job(self, job_id: str) -> dict[str, Any]:
        return await self._object("GET", f"/jobs/{job_id}")

    async def list_jobs(self, parameters: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
        jobs: list[dict[str, Any]] = await self._call("GET", "/jobs", params=parameters)
        return jobs

    async def cancel_job(self, job_id: str) -> dict[str, Any]:
        return await self._object("POST", f"/{'tasks' if job_id.startswith('task_') else 'jobs'}/{job_id}/cancel")

    async def retry_job(self, job_id: str) -> dict[str, Any]:
        return await self._object("POST", f"/{'tasks' if job_id.startswith('task_') else 'jobs'}/{job_id}/retry")

    async def download(self, url: str, target: Path) -> None:
        """Fetch `url` under a temporary name beside `target`, then move it into place."""
        partial = target.with_name(f".{target.name}.part")
        try:
            async with self._session.get(url, timeout=aiohttp.ClientTimeout(total=None, sock_read=60)) as response:
                response.raise_for_status()
                with partial.open("wb") as file:
                    async for chunk in response.content.iter_chunked(1 << 20):
                        file.write(chunk)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    async def _object(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        data: dict[str, Any] = await self._call(method, path, **arguments)
        return data

    async def _call(self, method: str, path: str, **arguments: Any) -> Any:
        async with self._session.request(method, self._base + path, timeout=_TIMEOUT, **arguments) as response:
            try:
                data = await response.json()
            except (aiohttp.ContentTypeError, ValueError):
                raise CliError(
                    f"{self._base} responded with {response.status} and no JSON: is it bitmill's API?"
                ) from None
            if response.status >= 400:
                raise CliError(f"{data.get('message', 'refused')} [{data.get('kind', response.status)}]")
            return data


async def run_job(
    base: str, key: str, body: dict[str, Any], reporter: Reporter, *, output: str | None = None, wait: bool = True
) -> int:
    """Create the job and report on it; returns the exit status. With `wait=False` it ends once the job is accepted."""
    async with _client(base, key) as client:
        return await _follow(client, await client.create_job(body), reporter, output, wait)


async def list_jobs(base: str, key: str, parameters: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """One page of jobs, by the parameters of `GET /jobs`."""
    async with _client(base, key) as client:
        return await client.list_jobs(parameters)


async def cancel_job(base: str, key: str, job_id: str, reporter: Reporter) -> int:
    """Cancel the job; status 0 also while it is still being stopped."""
    async with _client(base, key) as client:
        cancellation = await client.cancel_job(job_id)
        reporter.result(cancellation, f"{cancellation['id']} {cancellation['status']}")
        return 0


async def retry_job(
    base: str, key: str, job_id: str, reporter: Reporter, *, output: str | None = None, wait: bool = True
) -> int:
    """Have the job run again, and report on it as `run_job` does."""
    async with _client(base, key) as client:
        return await _follow(client, await client.retry_job(job_id), reporter, output, wait)


@asynccontextmanager
async def _client(base: str, key: str) -> AsyncIterator[ApiClient]:
    try:
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
            yield ApiClient(session, base)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise CliError(f"the API at {base} does not respond: {error or 'timed out'}") from None


async def _follow(client: ApiClient, job: dict[str, Any], reporter: Reporter, output: str | None, wait: bool) -> int:
    if not wait:
        reporter.result(job, job["id"])
        return 0
    try:
        job = await _poll(client, job, reporter)
    except asyncio.CancelledError:
        print(f"bitmill: cancelling {job['id']}", file=sys.stderr, flush=True)
        async with asyncio.timeout(CANCEL_SECONDS):
            await client.cancel_job(job["id"])
        raise
    return await _finish(client, job, reporter, output)


async def _poll(client: ApiClient, job: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    polls = 0
    while job["status"] in ("queued", "processing"):
        reporter.progress(job["status"], job["progress"])
        await asyncio.sleep(_POLL_SECONDS[min(polls, len(_POLL_SECONDS) - 1)])
        job = await client.get_job(job["id"])
        polls += 1
    return job


async def _finish(client: ApiClient, job: dict[str, Any], reporter: Reporter, output: str | None) -> int:
    if job["status"] != "succeeded":
        error = job["error"] or {"kind": job["status"], "message": "The job was cancelled."}
        reporter.result(job, f"{job['id']} {job['status']}: {error['message']} [{error['kind']}]")
        return 1
    place = job["output"]["url"]
    if output:
        try:
            await client.download(place, Path(output))
        except OSError as error:
            if isinstance(error, (aiohttp.ClientError, TimeoutError)):
                raise
            raise CliError(f"--output {output}: {error.strerror}; the result is at {place}") from None
        place = output
    reporter.result(job, f"{place}  ({summary(job['output'])})")
    return 0
