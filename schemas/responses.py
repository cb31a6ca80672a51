"""The shapes of answers, for the published API document. The answers themselves are made in `schemas.resources`.

Closed models, so that a test which holds a real answer against them finds every field that only one side has.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.faults import FaultKind, RequestFault
from schemas.files import MediaKind
from schemas.jobs import JobKind, Status, TaskKind, TaskStatus
from schemas.media import MediaStatus

Milliseconds = int
"""Unix milliseconds."""


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FaultBody(_Answer):
    """Why a job failed: a published code, and a sentence that can be shown to the uploader."""

    kind: FaultKind
    message: str


class OutputBody(_Answer):
    """The file that a job made. Sides in display pixels, `duration` in seconds, `filesize` in bytes."""

    url: str
    kind: MediaKind
    format: str
    width: int | None
    height: int | None
    duration: float | None
    filesize: int


class TaskBody(_Answer):
    """One step of a job. Times in Unix milliseconds; `progress` from 0 to 1."""

    id: str
    object: Literal["task"]
    kind: TaskKind
    status: TaskStatus
    progress: float | None
    options: dict[str, Any]
    error: FaultBody | None
    created_at: Milliseconds
    started_at: Milliseconds | None
    finished_at: Milliseconds | None
    updated_at: Milliseconds


class JobBody(_Answer):
    """A job, in answers and in webhooks alike. Times in Unix milliseconds; `output` is null until it succeeded.

    `object` is `task` for jobs that came by `POST /tasks`.
    """

    id: str
    object: Literal["job", "task"]
    kind: JobKind
    status: Status
    progress: float | None
    input: str
    options: dict[str, Any]
    metadata: dict[str, str]
    output: OutputBody | None
    error: FaultBody | None
    tasks: list[TaskBody]
    media_id: str | None
    webhook_url: str | None
    created_at: Milliseconds
    started_at: Milliseconds | None
    finished_at: Milliseconds | None
    updated_at: Milliseconds


class SourceBody(_Answer):
    """One file of a media item: the original, or what a job made from it (`label`)."""

    id: str
    object: Literal["source"]
    media_id: str
    kind: MediaKind
    format: str
    type: str
    codec: str | None
    width: int | None
    height: int | None
    orientation: Literal["landscape", "portrait", "square"] | None
    duration: float | None
    fps: float | None
    filesize: int
    original: bool
    label: str | None
    folder: str | None
    filename: str
    url: str
    created: str
    updated: str


class MediaBody(_Answer):
    """A media item. Each file that a job made stands once more under its label, as its address (`poster`)."""

    model_config = ConfigDict(extra="allow")
    # What is not declared is a label with the address of its file.
    __pydantic_extra__: dict[str, str]

    id: str
    object: Literal["media"]
    title: str | None
    folder: str | None
    filename: str | None
    kind: MediaKind | None
    width: int | None
    height: int | None
    duration: float | None
    fps: float | None
    filesize: int | None
    total_filesize: int
    sources: list[SourceBody]
    tracks: list[Any]
    intelligence: list[Any]
    original: str | None
    placeholder: str | None
    background: str | None
    metadata: dict[str, str]
    status: MediaStatus
    error: FaultBody | None
    created: str
    updated: str


class _Meta(_Answer):
    id: str
    org_id: str | None
    project_id: str | None
    method: str
    host: str
    path: str
    version: str
    status: int


class MetaBody(_Meta):
    """What the envelope of `/media` tells of the request."""

    type: Literal["object"] | None


class ListMetaBody(_Meta):
    """The same for one page of a list."""

    type: Literal["list"]
    query: dict[str, str]
    total: int
    limit: int
    page: int
    pages: int


class LinksBody(_Answer):
    """Where this item is, and what it lies in."""

    self: str | None = None
    parent: str


class PageLinksBody(_Answer):
    """This page and its neighbours; null where there is none."""

    self: str
    next: str | None
    prev: str | None


class FieldFaultBody(_Answer):
    """One refused field: the rule, and the value seen (shortened, as JSON)."""

    field: str
    rule: str
    value: str


class MediaErrorBody(_Answer):
    """Why a request to `/media` was refused."""

    kind: RequestFault
    message: str
    errors: list[FieldFaultBody] | None = None


class MediaEnvelope(_Answer):
    """One media item."""

    meta: MetaBody
    data: MediaBody
    links: LinksBody


class MediaListEnvelope(_Answer):
    """One page of media items."""

    meta: ListMetaBody
    data: list[MediaBody]
    links: PageLinksBody


class MediaErrorEnvelope(_Answer):
    """A refusal of a request to `/media`."""

    meta: MetaBody
    data: None
    error: MediaErrorBody
    links: LinksBody


class ErrorBody(_Answer):
    """A refusal, everywhere but under `/media`; `errors` where fields are at fault."""

    kind: RequestFault
    message: str
    errors: list[FieldFaultBody] | None = None
    request_id: str


class CheckBody(_Answer):
    """One thing that has to work."""

    name: str
    state: Literal["ok", "failed", "starting"]
    message: str | None = None


class ReadinessBody(_Answer):
    """Whether a request would truly work, and what holds it up."""

    status: Literal["ready", "not ready", "stopping"]
    checks: list[CheckBody] = Field(default_factory=list)


class LivenessBody(_Answer):
    """The process answers."""

    status: Literal["ok"]
