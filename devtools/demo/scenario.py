"""What the demo does: three jobs for each upload, all at once, then media items and queries of the catalog."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rich.progress import Progress

from devtools.demo.bitmill_process import Api
from devtools.demo.failures import DemoFailed, all_or_first_failure
from devtools.demo.platform_server import PlatformServer

JOBS: dict[str, dict[str, Any]] = {
    "web": {"kind": "video", "options": {"width": 1920, "format": "mp4", "quality": "high"}},
    "thumbnail": {"kind": "image", "options": {"start": 2, "width": 640, "format": "webp"}},
    "preview": {"kind": "video", "options": {"width": 480, "quality": "low", "format": "mp4"}},
}
"""The jobs for each uploaded video: a full-size version, a thumbnail, a small preview."""
SILENT_SECONDS = 120
_POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Upload:
    """A file that a user of the platform uploaded, and the app it came from."""

    name: str
    user: str
    source: str


@dataclass(frozen=True)
class FinishedJob:
    """One job of one upload, which succeeded; `job` is the body of its webhook."""

    upload: Upload
    role: str
    job: dict[str, Any]

    @property
    def seconds(self) -> float:
        """From the worker's start to the stored output."""
        return float(self.job["finished_at"] - self.job["started_at"]) / 1000


async def run_jobs(
    api: Api, platform: PlatformServer, uploads: list[Upload], bars: Progress, *, silent_s: float = SILENT_SECONDS
) -> list[FinishedJob]:
    """Post every job of every upload at once; each is finished when its verified webhook has arrived.

    Raises `DemoFailed` as soon as one of them fails, or none has changed for `silent_s` seconds: a busy machine is no
    failure.
    """
    loop = asyncio.get_running_loop()
    unfinished: set[str] = set()
    try:
        async with asyncio.timeout(silent_s) as limit:

            def changed() -> None:
                limit.reschedule(loop.time() + silent_s)

            jobs = [
                _run_job(api, platform, upload, role, bars, changed, unfinished) for upload in uploads for role in JOBS
            ]
            return await all_or_first_failure(jobs)
    except TimeoutError:
        raise DemoFailed(f"no job has made any progress for {silent_s:g} s", *sorted(unfinished)) from None


async def _run_job(
    api: Api,
    platform: PlatformServer,
    upload: Upload,
    role: str,
    bars: Progress,
    changed: Callable[[], None],
    unfinished: set[str],
) -> FinishedJob:
    bar = bars.add_task(f"{upload.name} → {role}", total=1.0, state="posting")
    body = {
        "input": platform.upload_url(upload.name),
        **JOBS[role],
        "metadata": {"user_id": upload.user, "upload": upload.name, "role": role},
        "webhook_url": platform.webhook_url,
    }
    job = await api.post("/jobs", body)
    unfinished.add(job["id"])

    def show(shown: dict[str, Any]) -> None:
        bars.update(bar, completed=shown["progress"] or 0, state=shown["status"])
        changed()

    polled = _until_succeeded(api, job["id"], f"the job {role!r} of {upload.name}", show)
    _, webhook = await all_or_first_failure([polled, platform.webhook(job["id"])])
    changed()
    unfinished.discard(job["id"])
    bars.update(bar, completed=1.0, state="succeeded, webhook verified")
    return FinishedJob(upload, role, webhook)


async def _until_succeeded(api: Api, job_id: str, what: str, show: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """`show` is called with the job whenever it has changed."""
    shown = None
    while True:
        job: dict[str, Any] = await api.get(f"/jobs/{job_id}")
        if (job["status"], job["progress"]) != shown:
            shown = (job["status"], job["progress"])
            show(job)
        if job["status"] == "succeeded":
            return job
        _fail_if_ended(job, what)
        await asyncio.sleep(_POLL_SECONDS)


def _fail_if_ended(resource: dict[str, Any], what: str, *ids: str) -> None:
    """Raises `DemoFailed` with the reason of a job or a media item that failed or was cancelled."""
    if resource["status"] in ("failed", "cancelled"):
        error = resource["error"] or {"message": "no reason given", "kind": resource["status"]}
        raise DemoFailed(f"{what} {resource['status']}: {error['message']} [{error['kind']}]", resource["id"], *ids)


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

    return await all_or_first_failure([create(upload) for upload in uploads])


async def wait_for_posters(api: Api, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The items again, once each has the poster that bitmill makes of every media item.

    Raises `DemoFailed` as soon as an item, or a job for one, fails.
    """

    async def wait(item_id: str, title: str) -> dict[str, Any]:
        while True:
            response = await api.get(f"/media/{item_id}")
            item: dict[str, Any] = response["data"]
            if item.get("poster"):
                return item
            _fail_if_ended(item, f"the media item {title}")
            # The item stays as it is if its poster cannot be made.
            for job in await api.get("/jobs", status="failed"):
                if job["media_id"] == item_id:
                    _fail_if_ended(job, f"a job for the media item {title}", item_id)
            await asyncio.sleep(_POLL_SECONDS)

    try:
        async with asyncio.timeout(SILENT_SECONDS):
            return await all_or_first_failure([wait(item["id"], item["title"]) for item in items])
    except TimeoutError:
        raise DemoFailed(f"the posters took longer than {SILENT_SECONDS} s", *(item["id"] for item in items)) from None


async def find_media(api: Api, metadata: dict[str, str]) -> dict[str, Any]:
    """The catalog's list of items with this metadata. Raises `DemoFailed` if there is none."""
    query = {f"metadata.{key}": value for key, value in metadata.items()}
    response: dict[str, Any] = await api.get("/media", **query)
    if not response["meta"]["total"]:
        raise DemoFailed(f"the catalog has no media item with {metadata}")
    return response
