"""Jobs, media items and keys as other services publish them."""

import os
from collections.abc import Iterable
from typing import Any

from chassis.core.ids import new_id, now_ms
from schemas.events import Event, JobEvent, MediaCreated, MediaEvent
from schemas.faults import Fault
from schemas.files import File, MediaKind, Output
from schemas.ids import Prefix, derived, typeid, uuid7
from schemas.jobs import Job
from schemas.keys import ApiKey
from schemas.media import MediaItem
from services.catalog.snapshots import job_snapshot, media_snapshot, new_media

OLD_MS = 1_700_000_000_000
"""Long ago: ids of this time need no watermark."""


def prepared(events: Iterable[Event]) -> list[Any]:
    """The events of one topic as the handlers of the catalog get them."""
    return [prepare(event, event.model_dump_json().encode()) for event in events]


def prepare(event: Event, json: bytes) -> Any:
    match event:
        case JobEvent():
            return job_snapshot(event, json)
        case MediaCreated():
            return new_media(event, json)
        case MediaEvent():
            return media_snapshot(event, json)
        case _:
            return event


def old_id(prefix: Prefix, after_ms: int = 0) -> str:
    return typeid(prefix, uuid7(OLD_MS + after_ms, os.urandom(10)))


def queued(project: str, **fields: Any) -> Job:
    given: dict[str, Any] = {
        "id": new_id("job"),
        "kind": "video",
        "input": "https://example.com/clip.mov",
        "options": {"width": 320, "format": "mp4"},
        "metadata": {"user_id": "123", "a": "z"},
        "at": now_ms(),
    }
    return Job.queued(project=project, **(given | fields))


def output(job: Job, key: str | None = None) -> Output:
    file_id = derived("file", job.id, "output")
    return Output(
        id=file_id,
        key=key or f"{job.project}/jobs/{job.id}/{file_id}.mp4",
        kind="video",
        format="mp4",
        content_type="video/mp4",
        filesize=1000,
        width=320,
        height=240,
        duration=2.5,
        fps=25.0,
        path=f"{job.id}/video.mp4",
    )


def snapshots(job: Job) -> list[Job]:
    """Every snapshot of a job that succeeds on its second attempt, oldest first."""
    at = job.created_at
    first = job.start(at + 1)
    probing = first.step("probe", at + 2)
    again = probing.start(at + 3)
    half = again.step(job.kind, at + 4, progress=0.5)
    return [job, first, probing, again, half, half.succeed(output(job), at + 5)]


def failed(job: Job) -> Job:
    return job.start(job.created_at + 1).fail(Fault(kind="input_empty", message="no bytes"), job.created_at + 2)


def original(media_id: str, **fields: Any) -> File:
    given: dict[str, Any] = {
        "id": derived("file", media_id, "original"),
        "key": f"originals/{media_id}.mp4",
        "kind": "video",
        "format": "mp4",
        "content_type": "video/mp4",
        "filesize": 1000,
        "width": 1920,
        "height": 1080,
        "duration": 60.0,
        "fps": 30.0,
    }
    return File(**(given | fields))


def item(project: str, *, kind: MediaKind = "video", file: dict[str, Any] | None = None, **fields: Any) -> MediaItem:
    id = fields.pop("id", None) or old_id("med")
    given: dict[str, Any] = {
        "version": 1,
        "status": "active",
        "title": "A clip",
        "folder": "clips",
        "filename": f"{id}.mp4",
        "original_path": f"clips/{id}.mp4",
        "original": original(id, kind=kind, **({"key": f"{project}/media/{id}/original.mp4"} | (file or {}))),
        "metadata": {"user_id": "123", "source": "YourApp/iOS"},
        "created_at": OLD_MS,
        "updated_at": OLD_MS,
    }
    return MediaItem(id=id, project=project, **(given | fields))


def key(project: str, hash: str, **fields: Any) -> ApiKey:
    given: dict[str, Any] = {"id": new_id("key"), "name": "test", "hint": "abcd", "created_at": now_ms()}
    return ApiKey(project=project, hash=hash, **(given | fields))
