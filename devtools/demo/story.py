"""What happens in the demonstration: three jobs for each upload, all at once, then the catalog."""

import asyncio
from dataclasses import dataclass
from typing import Any

from rich.progress import Progress, TaskID

from devtools.demo.darkroom import Darkroom
from devtools.demo.system import System

JOBS: dict[str, dict[str, Any]] = {
    "web": {"kind": "video", "options": {"width": 1920, "format": "mp4", "quality": "high"}},
    "thumbnail": {"kind": "image", "options": {"start": 2, "width": 640, "format": "webp"}},
    "preview": {"kind": "video", "options": {"width": 480, "quality": "low", "format": "mp4"}},
}
"""The pipeline of a platform that takes uploads: a full-size version, a thumbnail, a small preview."""
JOB_SECONDS = 120


@dataclass(frozen=True)
class Upload:
    """A file that one of Darkroom's users uploaded."""

    name: str
    user: str
    source: str


@dataclass(frozen=True)
class Made:
    """One finished job of one upload: the job as its webhook brought it."""

    upload: Upload
    role: str
    job: dict[str, Any]

    @property
    def seconds(self) -> float:
        """From the worker's start to the stored result."""
        return float(self.job["finished_at"] - self.job["started_at"]) / 1000


async def transform(system: System, darkroom: Darkroom, uploads: list[Upload], bars: Progress) -> list[Made]:
    """Fire every job of every upload in parallel; each is over when its webhook has come and was genuine."""

    async def one(upload: Upload, role: str, template: dict[str, Any]) -> Made:
        bar = bars.add_task(f"{upload.name} → {role}", total=1.0, state="posting")
        body = {
            "input": darkroom.upload_url(upload.name),
            **template,
            "metadata": {"user_id": upload.user, "upload": upload.name, "role": role},
            "webhook_url": darkroom.webhook_url,
        }
        job = await system.post("/jobs", body)
        follow = asyncio.create_task(_follow(system, job["id"], bars, bar))
        try:
            async with asyncio.timeout(JOB_SECONDS):
                done = await darkroom.webhook(job["id"])
        finally:
            follow.cancel()
        share = 1.0 if done["status"] == "succeeded" else None
        bars.update(bar, completed=share, state=f"{done['status']}, webhook verified")
        return Made(upload, role, done)

    wanted = [one(upload, role, template) for upload in uploads for role, template in JOBS.items()]
    return list(await asyncio.gather(*wanted))


async def _follow(system: System, job_id: str, bars: Progress, bar: TaskID) -> None:
    while True:
        job = await system.get(f"/jobs/{job_id}")
        bars.update(bar, completed=job["progress"] or 0, state=job["status"])
        await asyncio.sleep(0.25)


async def collect(system: System, darkroom: Darkroom, uploads: list[Upload]) -> list[dict[str, Any]]:
    """Put the uploads into the catalog with Darkroom's own metadata."""

    async def one(upload: Upload) -> dict[str, Any]:
        body = {
            "url": darkroom.upload_url(upload.name),
            "filename": upload.name.replace(".", f"-{upload.user}.", 1),
            "folder": "uploads",
            "title": upload.name,
            "metadata": {"user_id": upload.user, "source": upload.source},
        }
        answer = await system.post("/media", body)
        item: dict[str, Any] = answer["data"]
        return item

    return list(await asyncio.gather(*(one(upload) for upload in uploads)))


async def find(system: System, **metadata: str) -> dict[str, Any]:
    """The catalog's list of what carries this metadata."""
    query = {f"metadata.{key}": value for key, value in metadata.items()}
    answer: dict[str, Any] = await system.get("/media", **query)
    return answer


async def with_posters(system: System, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The items again, once each has the poster that bitmill makes by itself."""

    async def one(item_id: str) -> dict[str, Any]:
        while True:
            answer = await system.get(f"/media/{item_id}")
            item: dict[str, Any] = answer["data"]
            if item.get("poster") or item["status"] == "failed":
                return item
            await asyncio.sleep(0.1)

    async with asyncio.timeout(JOB_SECONDS):
        return list(await asyncio.gather(*(one(item["id"]) for item in items)))
