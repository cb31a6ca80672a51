"""One job through the API: post, follow, fetch the result when `-o` names a file."""

import argparse
import asyncio
import os
from pathlib import Path
from typing import Any

import aiohttp

from cli.errors import CliError, UsageError
from cli.jobs import is_url
from cli.show import Show

DEFAULT_URL = "http://127.0.0.1:8080"
_POLL_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.0)
"""Short jobs end within the first polls; long ones are asked after once a second."""
_TIMEOUT = aiohttp.ClientTimeout(total=60)


class Api:
    """The few calls that the shell makes."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session = session
        self._base = base.rstrip("/")

    async def create(self, body: dict[str, Any]) -> dict[str, Any]:
        return await self._call("POST", "/jobs", json=body)

    async def get(self, job_id: str) -> dict[str, Any]:
        return await self._call("GET", f"/jobs/{job_id}")

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

    async def _call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        async with self._session.request(method, self._base + path, timeout=_TIMEOUT, **arguments) as response:
            try:
                answer: dict[str, Any] = await response.json()
            except (aiohttp.ContentTypeError, ValueError):
                raise CliError(f"{self._base} answered {response.status} and no JSON: is it bitmill's API?") from None
            if response.status >= 400:
                raise CliError(f"{answer.get('message', 'refused')} [{answer.get('kind', response.status)}]")
            return answer


def body(arguments: argparse.Namespace, options: dict[str, Any]) -> dict[str, Any]:
    """The body of `POST /jobs` for this command line."""
    if not is_url(arguments.input):
        raise UsageError(f"--cloud needs a URL as --input; {arguments.input} is a file of this machine (use --local)")
    request: dict[str, Any] = {"input": arguments.input, "kind": arguments.kind, "options": options}
    if arguments.webhook_url:
        request["webhook_url"] = arguments.webhook_url
    return request


async def run_job(arguments: argparse.Namespace, options: dict[str, Any], show: Show) -> int:
    key = os.environ.get("ITTYBIT_API_KEY")
    if not key:
        raise UsageError("--cloud needs a key in ITTYBIT_API_KEY (`bitmill up` writes one into its folder's env file)")
    request = body(arguments, options)
    base = os.environ.get("ITTYBIT_API_URL") or DEFAULT_URL
    try:
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
            return await _follow(Api(session, base), request, arguments, show)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise CliError(f"the API at {base} does not answer: {error or 'timed out'}") from None


async def _follow(api: Api, request: dict[str, Any], arguments: argparse.Namespace, show: Show) -> int:
    job = await api.create(request)
    if arguments.detach:
        show.result(job, job["id"])
        return 0
    polls = 0
    while job["status"] in ("queued", "processing"):
        show.progress(job["status"], job["progress"])
        await asyncio.sleep(_POLL_SECONDS[min(polls, len(_POLL_SECONDS) - 1)])
        job = await api.get(job["id"])
        polls += 1
    if job["status"] != "succeeded":
        error = job["error"] or {"kind": job["status"], "message": "The job was cancelled."}
        show.result(job, f"{job['id']} {job['status']}: {error['message']} [{error['kind']}]")
        return 1
    place = job["output"]["url"]
    if arguments.output:
        await api.download(place, Path(arguments.output))
        place = arguments.output
    show.result(job, f"{place}  ({summary(job['output'])})")
    return 0


def summary(output: dict[str, Any]) -> str:
    """Size, dimensions and duration in one phrase."""
    parts = []
    if output.get("width"):
        parts.append(f"{output['width']}x{output['height']}")
    if output.get("duration"):
        parts.append(f"{output['duration']:.1f} s")
    parts.append(f"{output['filesize'] / 1000:,.0f} kB")
    return ", ".join(parts)
