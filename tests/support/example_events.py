"""One event of each type with a value in every field, as JSON documents."""

import json
from typing import Any

from schemas.events import (
    EVENTS,
    CancelRequested,
    Event,
    JobEvent,
    JobPurged,
    KeyChanged,
    MediaCreated,
    MediaEvent,
    OutboxAdvanced,
    ProjectChanged,
    QueueOrdered,
)
from schemas.faults import Fault
from schemas.files import Codecs, File, FileFacts, Output
from schemas.ids import derived
from schemas.jobs import Job
from schemas.keys import ApiKey
from schemas.media import Derived, MediaItem
from schemas.projects import Project

PROJECT = "prj_01h455vb4pex5vsknk084sn02q"
MEDIA_ID = "med_01h455vb4pex5vsknk084sn02q"
JOB_ID = "job_01h455vb4pex5vsknk084sn02q"
AT = 1_700_000_000_000
FAULT = Fault(kind="input_empty", message="The input has no bytes.")


def _file() -> dict[str, Any]:
    return {
        "id": derived("file", MEDIA_ID, "original"),
        "key": f"{PROJECT}/media/{MEDIA_ID}/clip.mp4",
        "kind": "video",
        "format": "mp4",
        "content_type": "video/mp4",
        "filesize": 1000,
        "width": 1920,
        "height": 1080,
        "duration": 60.0,
        "fps": 30.0,
        "codecs": Codecs(video="h264", audio="aac"),
        "placeholder": "data:image/jpeg;base64,AA==",
        "background": "#AABBCC",
    }


def job(id: str = JOB_ID, **changes: Any) -> Job:
    """A job with every field set, of which some belong to different stages of its life."""
    made = Job.queued(
        id=id,
        project=PROJECT,
        kind="video",
        input="https://example.com/clip.mov",
        options={"width": 320, "start": 0.5, "end": 2, "format": "mp4"},
        metadata={"user_id": "usr_1", "b": "ü"},
        at=AT,
        webhook_url="https://example.com/webhooks?token=a",
        media_id=MEDIA_ID,
        ref="small",
        source=File(**_file()),
        input_fault=FAULT,
    )
    output = Output(path=f"{id}/video.mp4", **_file())
    probed = FileFacts.model_validate(output.model_dump())
    return made.start(AT + 1).fail(FAULT, AT + 2).model_copy(update={"output": output, "probed": probed, **changes})


def item(id: str = MEDIA_ID) -> MediaItem:
    return MediaItem(
        id=id,
        project=PROJECT,
        version=3,
        status="active",
        url="https://example.com/clip.mov",
        title="A clip",
        folder="clips",
        filename="clip.mp4",
        original_path="clips/clip.mp4",
        original=File(**_file()),
        files=[Derived(ref="poster", path=f"clips/{id}/poster.jpg", file=File(**_file()))],
        placeholder="data:image/jpeg;base64,AA==",
        background="#AABBCC",
        metadata={"user_id": "usr_1"},
        error=FAULT,
        created_at=AT,
        updated_at=AT + 1,
    )


def _key() -> ApiKey:
    return ApiKey(
        id="key_01h455vb4pex5vsknk084sn02q",
        project=PROJECT,
        name="a",
        hash="0" * 64,
        hint="abcd",
        created_at=AT,
        revoked_at=AT + 1,
    )


def full_event(type_: type[Event]) -> Event:
    """An event of this type with a value in every field."""
    if issubclass(type_, JobEvent):
        return type_(job=job())
    if issubclass(type_, MediaCreated):
        return type_(media=item(), jobs=[job()])
    if issubclass(type_, MediaEvent):
        return type_(media=item())
    if type_ is JobPurged:
        return JobPurged(job_id=JOB_ID, project=PROJECT, at=AT)
    if type_ is CancelRequested:
        return CancelRequested(job_id=JOB_ID, project=PROJECT, at=AT)
    if type_ is ProjectChanged:
        return ProjectChanged(project=Project(id=PROJECT, name="a", delivery="signed", version=2))
    if type_ is OutboxAdvanced:
        return OutboxAdvanced(service="ingest", at=AT, published_through=AT, after_offset=4)
    if type_ is QueueOrdered:
        return QueueOrdered(service="transcoder", at=AT, job_ids=[JOB_ID])
    return KeyChanged(key=_key())


def full_events() -> dict[str, Any]:
    """Every event as a document of its own, by `ce_type`."""
    return {name: json.loads(full_event(type_).model_dump_json()) for name, type_ in EVENTS.items()}
