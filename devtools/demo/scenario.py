"""What the demo does: three jobs for each upload, all at once, then media items and queries of the catalog."""

import asyncio
from dataclasses import dataclass
from typing import Any

from rich.progress import Progress, TaskID

from devtools.demo.bitmill_process import Api
from devtools.demo.platform_server import PlatformServer

JOBS: dict[str, dict[str, Any]] = {
    "web": {"kind": "video", "options": {"width": 1920, "format": "mp4", "quality": "high"}},
    "thumbnail": {"kind": "image", "options": {"start": 2, "width": 640, "format": "webp"}},
    "preview": {"kind": "video", "options": {"width": 480, "quality": "low", "format": "mp4"}},
}
"""The jobs for each uploaded video: a full-size version, a thumbnail, a small preview."""
JOB_SECONDS = 120


@dataclass(frozen=True)
class Upload:
    """A file that a user of the platform uploaded, and the app it came from."""

    name: str
    user: str
    source: str


@dataclass(frozen=True)
class FinishedJob:
    """One job of one upload; `job` is the body of its webhook."""

    upload: Upload
    role: str
    job: dict[str, Any]

    @property
    def succeeded(self) -> bool:
        return bool(self.job["status"] == "succeeded")

    @property
    def seconds(self) -> float:
        """From the worker's start to the stored output."""
        return float(self.job["finished_at"] - self.job["started_at"]) / 1000


async def run_jobs(api: Api, platform: PlatformServer, uploads: list[Upload], bars: Progress) -> list[FinishedJob]:
    """Post every job of every upload at once; each is finished when its verified webhook has arrived."""
    jobs = [_run_job(api, platform, upload, role, bars) for upload in uploads for role in JOBS]
    return list(await asyncio.gather(*jobs))


async def _run_job(api: Api, platform: PlatformServer, upload: Upload, role: str, bars: Progress) -> FinishedJob:
    bar = bars.add_task(f"{upload.name} → {role}", total=1.0, state="posting")
    body = {
        "input": platform.upload_url(upload.name),
        **JOBS[role],
        "metadata": {"user_id": upload.user, "upload": upload.name, "role": role},
        "webhook_url": platform.webhook_url,
    }
    job = await api.post("/jobs", body)
    polling = asyncio.create_task(_show_progress(api, job["id"], bars, bar))
    try:
        async with asyncio.timeout(JOB_SECONDS):
            webhook = await platform.webhook(job["id"])
    finally:
        polling.cancel()
    completed = 1.0 if webhook["status"] == "succeeded" else None
    bars.update(bar, completed=completed, state=f"{webhook['status']}, webhook verified")
    return FinishedJob(upload, role, webhook)


async def _show_progress(api: Api, job_id: str, bars: Progress, bar: TaskID) -> None:
    while True:
        job = await api.get(f"/jobs/{job_id}")
        bars.update(bar, completed=job["progress"] or 0, state=job["status"])
        await asyncio.sleep(0.25)


async def create_media(api: Api, platform: PlatformServer, uploads: list[Upload]) -> list[dict[str, Any]]:
    """Make each upload a media item with the platform's own metadata."""

    async def create(upload: Upload) -> dict[str, Any]:
        body = {
            "url": platform.upload_url(upload.name),
            "filename": upload.name.replace(".", f"-{upload.user}.", 1),
            "folder": "uploads",
            "title": upload.name,
            "metadata": {"user_id": upload.user, "source": upload.source},
        }
        response = await api.post("/media", body)
        item: dict[str, Any] = response["data"]
        return item

    return list(await asyncio.gather(*(create(upload) for upload in uploads)))


async def wait_for_posters(api: Api, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The items again, once each has the poster that bitmill makes of every media item."""

    async def wait(item_id: str) -> dict[str, Any]:
        while True:
            response = await api.get(f"/media/{item_id}")
            item: dict[str, Any] = response["data"]
            if item.get("poster") or item["status"] == "failed":
                return item
            await asyncio.sleep(0.1)

    async with asyncio.timeout(JOB_SECONDS):
        return list(await asyncio.gather(*(wait(item["id"]) for item in items)))


async def find_media(api: Api, metadata: dict[str, str]) -> dict[str, Any]:
    """The catalog's list of items with this metadata."""
    query = {f"metadata.{key}": value for key, value in metadata.items()}
    response: dict[str, Any] = await api.get("/media", **query)
    return response
