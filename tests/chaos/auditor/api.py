"""HTTP: what customers see of their work, and whether the files that they get can be decoded."""

import asyncio
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import imageio_ffmpeg

from tests.chaos.auditor.records import Audit, Customers, Request, Target

AT_ONCE = 8
BLAMELESS = frozenset({"poisoned", "internal_error"})
"""Codes of faults that no input has caused: not even one that is broken on purpose."""
DECODED_TOGETHER = 16
"""Files of one ffmpeg; where one of them fails they are decoded one by one."""
AGAIN_SECONDS = 45.0
"""After the last fault no request may be answered with 503 for longer."""
_TIMEOUT = aiohttp.ClientTimeout(total=60)


async def check_api(target: Target, customers: Customers, audit: Audit) -> None:
    """Each accepted request ended as its input deserves, is shown with its metadata, and its files decode."""
    limit = asyncio.Semaphore(AT_ONCE)
    with TemporaryDirectory(prefix="chaos-audit-") as name:
        folder = Path(name)
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:

            async def check(request: Request) -> None:
                async with limit:
                    await _check(target, session, request, audit, folder)

            await asyncio.gather(*[check(request) for request in customers.accepted])
        broken = await undecodable(sorted(folder.iterdir()), limit)
    audit.report("undecodable", list(broken), f"outputs that ffmpeg cannot decode: {list(broken.values())[:3]}")


async def _check(target: Target, session: aiohttp.ClientSession, request: Request, audit: Audit, folder: Path) -> None:
    id = str(request.id)
    headers = {"Authorization": f"Bearer {target.keys[request.project]}"}
    catalog = target.catalogs[request.number % len(target.catalogs)]
    try:
        status, content = await _get(session, f"{catalog}{request.path}/{id}", headers)
        if status != 200:
            kind = "lost" if status == 404 else "unreadable"
            audit.report(kind, [id], f"GET {request.path}/{id}: {status} {content[:200]!r}")
            return
        body: dict[str, Any] = json.loads(content)
        shown = body["data"] if request.path == "/media" else body
        urls = _media_files(request, shown, audit) if request.path == "/media" else _job_files(request, shown, audit)
        if shown["metadata"] != request.metadata:
            audit.report("wrong end", [id], f"shown with the metadata {shown['metadata']}")
        for number, url in enumerate(urls):
            status, content = await _get(session, f"{catalog}{urlsplit(url).path}", headers)
            if status != 200 or not content:
                audit.report("undecodable", [id], f"GET {url}: {status} {content[:200]!r}")
                continue
            (folder / f"{id}.{number}{Path(urlsplit(url).path).suffix}").write_bytes(content)
    except (aiohttp.ClientError, TimeoutError) as error:
        audit.report("unreadable", [id], f"GET {request.path}/{id}: {type(error).__name__} {error}")


async def _get(session: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """Status and body. A 503 asks to come again: it is the answer only where it lasts."""
    deadline = time.monotonic() + AGAIN_SECONDS
    while True:
        async with session.get(url, headers=headers) as response:
            content = await response.read()
            if response.status != 503 or time.monotonic() > deadline:
                return response.status, content
        await asyncio.sleep(1)


def _job_files(request: Request, job: dict[str, Any], audit: Audit) -> list[str]:
    id, status = str(request.id), job["status"]
    if status in ("queued", "processing"):
        audit.report("stuck", [id], f"{status}, retry at {job.get('retry_at')}")
    elif status != request.expected:
        audit.report("wrong end", [id], f"{status} instead of {request.expected}: {job.get('error')}")
    elif status == "failed" and job["error"]["kind"] in BLAMELESS:
        audit.report("wrong end", [id], f"failed without a cause of its own: {job['error']}")
    else:
        audit.counts["succeeded" if status == "succeeded" else "failed for cause"] += 1
    return [job["output"]["url"]] if status == "succeeded" else []


def _media_files(request: Request, item: dict[str, Any], audit: Audit) -> list[str]:
    id, status = str(request.id), item["status"]
    if status == "processing":
        audit.report("stuck", [id], "the media item is still processing")
    elif (status == "active") != (request.expected == "succeeded"):
        audit.report("wrong end", [id], f"{status}, expected {request.expected}: {item.get('error')}")
    elif status == "active" and not item.get("poster"):
        audit.report("stuck", [id], f"no poster: {sorted(item)}")
    else:
        audit.counts["succeeded" if status == "active" else "failed for cause"] += 1
    return [item["poster"]] if status == "active" and item.get("poster") else []


async def undecodable(files: list[Path], limit: asyncio.Semaphore) -> dict[str, str]:
    """The names of files that ffmpeg cannot decode completely, with what it says."""
    groups = [files[begin : begin + DECODED_TOGETHER] for begin in range(0, len(files), DECODED_TOGETHER)]
    found: dict[str, str] = {}

    async def check(group: list[Path]) -> None:
        async with limit:
            if await _decode(group) is None:
                return
            for file in group:
                if error := await _decode([file]):
                    found[file.name] = error

    await asyncio.gather(*[check(group) for group in groups])
    return found


async def _decode(files: list[Path]) -> str | None:
    """What is wrong; None if nothing is."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-xerror", "-nostdin", "-threads", "1"]
    for file in files:
        command += ["-i", str(file)]
    for number in range(len(files)):
        command += ["-map", f"{number}:v"]
    process = await asyncio.create_subprocess_exec(
        *command, "-f", "null", "-", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, error = await process.communicate()
    text = error.decode(errors="replace").strip()
    return None if process.returncode == 0 and not text else text[-500:] or f"status {process.returncode}"
