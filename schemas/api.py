"""The bodies of requests: `POST /jobs`, `POST /media`, over HTTP and over Kafka. Of tasks: `schemas.task_api`.

An error names the field, the rule and the value: see `schemas.explain`.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    TypeAdapter,
    model_validator,
)

from schemas.base import RequestModel, Text
from schemas.connections import ConnectionId
from schemas.ids import is_id
from schemas.jobs import Priority
from schemas.media_resource import MediaResource
from schemas.options import ImageOptions, VideoOptions
from schemas.s3_addresses import input_address, is_s3, output_address

MAX_BODY_BYTES = 1024 * 1024
MAX_METADATA_KEYS = 64
MAX_METADATA_KEY_CHARS = 128
MAX_METADATA_VALUE_CHARS = 1024
MAX_METADATA_BYTES = 16 * 1024
"""All keys and values of one object together, as UTF-8: an event has to stay well below 64 KiB."""
_FILENAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9]{1,10})?")
_NOT_IN_URLS = re.compile(r"[\x00- \\\x7f]")
_LABEL = re.compile(r"[a-z][a-z0-9_]{0,39}")
_FOLDER_PART = re.compile(r"[A-Za-z0-9_-]+")


def _http_url(url: str) -> str:
    if _NOT_IN_URLS.search(url):
        raise ValueError("must be a URL without spaces, control characters or backslashes")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"must be a URL: {error}") from None
    if parts.scheme not in ("http", "https") or not url.lower().startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    if not parts.hostname or port == 0:
        raise ValueError("must name a host, and a port from 1 to 65535 where one is given")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not carry a user name or password")
    return url


def _input_address(text: str) -> str:
    if text.startswith(("med_", "file_")):
        if not is_id(text, "med", "file"):
            raise ValueError("must be a URL, or the id of a media item (med_…) or file (file_…) of the project")
        return text
    if is_s3(text):
        return str(input_address(text))
    if not text.lower().startswith(("http://", "https://")):
        raise ValueError("must start with http://, https:// or s3://")
    return _http_url(text)


def _output_address(text: str) -> str:
    return str(output_address(text))


def _media_id(text: str) -> str:
    if not is_id(text, "med"):
        raise ValueError("must be the id of a media item (med_…)")
    return text


def _label(label: str) -> str:
    if not _LABEL.fullmatch(label):
        raise ValueError("must be a lower-case letter, then at most 39 lower-case letters, digits and _")
    if is_id(label, "file", "job", "task", "med"):
        raise ValueError("must not be an id")
    if label in MediaResource.__annotations__:
        raise ValueError("must not be the name of another field of a media item")
    return label


def _filename(name: str) -> str:
    if not _FILENAME.fullmatch(name):
        raise ValueError("must be letters, digits, _ and -, with at most one extension behind a dot")
    return name


def _folder(folder: str) -> str:
    if not all(_FOLDER_PART.fullmatch(part) for part in folder.split("/")):
        raise ValueError("must be names of letters, digits, _ and -, separated by single slashes")
    return folder


def _within_bounds(metadata: Mapping[str, str]) -> Mapping[str, str]:
    if len(metadata) > MAX_METADATA_KEYS:
        raise ValueError(f"must have at most {MAX_METADATA_KEYS} keys, has {len(metadata)}")
    size = sum(len(key.encode()) + len(value.encode()) for key, value in metadata.items())
    if size > MAX_METADATA_BYTES:
        raise ValueError(f"must be at most {MAX_METADATA_BYTES} bytes in all, is {size}")
    return metadata


_MetadataKey = Annotated[Text, StringConstraints(min_length=1, max_length=MAX_METADATA_KEY_CHARS)]
_MetadataValue = Annotated[Text, StringConstraints(max_length=MAX_METADATA_VALUE_CHARS)]
_METADATA_EXAMPLE: dict[str, JsonValue] = {"user_id": "usr_abc123"}
Metadata = Annotated[
    dict[_MetadataKey, _MetadataValue], AfterValidator(_within_bounds), Field(examples=[_METADATA_EXAMPLE])
]
"""The customer's own metadata: flat, string to string, bounded. Its order is kept everywhere."""
MAX_URL_CHARS = 8192
MAX_WEBHOOK_URL_CHARS = 2048
"""Inputs may be signed addresses of any storage; the address of a webhook is chosen by its owner, and stored once
for each job."""
HttpUrl = Annotated[
    Text,
    StringConstraints(min_length=1, max_length=MAX_URL_CHARS),
    AfterValidator(_http_url),
    Field(examples=["https://example.com/clip.mov"]),
]
InputAddress = Annotated[
    Text,
    StringConstraints(min_length=1, max_length=MAX_URL_CHARS),
    AfterValidator(_input_address),
    Field(examples=["https://example.com/clip.mov", "s3://uploads/clip.mov", "med_01h455vb4pex5vsknk084sn02q"]),
]
"""A URL, also of a file that is stored here, or the id of a media item or file of the project."""
MediaId = Annotated[Text, AfterValidator(_media_id), Field(examples=["med_01h455vb4pex5vsknk084sn02q"])]
Label = Annotated[Text, AfterValidator(_label), Field(examples=["preview"])]
"""The name of a file in its media item, under which the item has the file's address."""
OutputAddress = Annotated[
    Text,
    StringConstraints(min_length=1, max_length=MAX_URL_CHARS),
    AfterValidator(_output_address),
    Field(examples=["s3://processed/clip-hd.mp4", "s3://processed/{date}/{filename}-{width}.{ext}"]),
]
"""Where an output is stored: `s3://bucket/key`, or a folder that ends in `/`. Templates: see `schemas.s3_addresses`."""
WebhookUrl = Annotated[
    Text,
    StringConstraints(min_length=1, max_length=MAX_WEBHOOK_URL_CHARS),
    AfterValidator(_http_url),
    Field(examples=["https://example.com/webhooks"]),
]
Filename = Annotated[
    Text,
    StringConstraints(min_length=1, max_length=200),
    AfterValidator(_filename),
    Field(examples=["our-filename.mp4"]),
]
Folder = Annotated[
    Text,
    StringConstraints(min_length=1, max_length=500),
    AfterValidator(_folder),
    Field(examples=["our/folder/path"]),
]
Alt = Annotated[Text, StringConstraints(max_length=1000), Field(examples=["A tapestry of a deer"])]
Title = Annotated[Text, StringConstraints(max_length=500), Field(examples=["Our Video Upload"])]


class FileReference(BaseModel):
    """The file that a task works on: `url` says where it is.

    It may be the `output` of another task as it is. What else that says of the file is ignored: the file is probed.
    """

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    url: InputAddress


class WorkRequest(RequestModel):
    """What the bodies of jobs and tasks have in common.

    The output becomes a file of the media item `media_id`, under the `label`, if there is one: it needs the item.
    `connection_id` says how addresses with `s3://` are reached, and may be in `options` as well.
    """

    input: InputAddress | FileReference
    """Where the file is fetched from."""
    output: OutputAddress | None = None
    """Where the output is stored: in a bucket of yours."""
    connection_id: ConnectionId | None = None
    """The connection for `s3://` addresses. Default: that of the project."""
    metadata: Metadata = Field(default_factory=dict)
    """Your own keys and values: they come back in responses and webhooks, and lists are filtered by them."""
    webhook_url: WebhookUrl | None = None
    """Where the finished job is sent to."""
    priority: Priority = "normal"
    """Which of the project's own queued jobs come first."""
    media_id: MediaId | None = None
    """The media item that the output becomes a file of."""
    label: Label | None = None
    """The name of the output in that item."""

    @model_validator(mode="before")
    @classmethod
    def _connection_of_options(cls, data: Any) -> Any:
        options = data.get("options") if isinstance(data, dict) else None
        if not isinstance(options, dict) or "connection_id" not in options:
            return data
        given = options["connection_id"]
        if data.get("connection_id") not in (None, given):
            raise ValueError("connection_id must be the same in options as beside them")
        others = {name: value for name, value in options.items() if name != "connection_id"}
        return {**data, "options": others, "connection_id": given}


class _JobRequest(WorkRequest):
    input: InputAddress
    """Where the file is fetched from."""


class VideoJobRequest(_JobRequest):
    """Body of `POST /jobs` for a video: the input is a video."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "input": "https://example.com/clip.mov",
                    "kind": "video",
                    "options": {"width": 1280, "format": "mp4"},
                    "metadata": {"user_id": "usr_abc123"},
                    "webhook_url": "https://example.com/webhooks",
                }
            ]
        }
    )

    kind: Literal["video"]
    options: VideoOptions = Field(default_factory=VideoOptions)


class ImageJobRequest(_JobRequest):
    """Body of `POST /jobs` for an image: the input is an image, or a video of which one frame is taken."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "input": "https://example.com/clip.mov",
                    "kind": "image",
                    "options": {"start": 2, "width": 640, "format": "webp"},
                }
            ]
        }
    )

    kind: Literal["image"]
    options: ImageOptions = Field(default_factory=ImageOptions)


JobRequest = Annotated[VideoJobRequest | ImageJobRequest, Field(discriminator="kind")]
JOB_REQUEST: TypeAdapter[VideoJobRequest | ImageJobRequest] = TypeAdapter(JobRequest)
"""Validates the body of `POST /jobs`; also of `POST /tasks` where `input` is a string."""


class JobAction(RequestModel):
    """What a producer asks for of a job over Kafka: as `POST /jobs/{id}/cancel`, `POST /jobs/{id}/retry`, or
    `DELETE /jobs/{id}?purge=true`."""

    action: Literal["cancel", "retry", "purge"]
    job_id: Text


class MetadataOutOfBounds(ValueError):
    """The metadata of an item would have too many keys, or be too large. The message is the rule."""


class MediaPatch(RequestModel):
    """Body of `PATCH /media/{id}`. What is left out stays; null removes a text, a folder, or a value of `metadata`.

    Metadata is merged with what is there, and an empty object removes all of it. With `overwrite`, an item that has the
    name in the new folder gets its file's default name instead.
    """

    title: Title | None = None
    """Shown to people."""
    alt: Alt | None = None
    """What stands for the item where it cannot be seen; shown in version 2025-08-20."""
    folder: Folder | None = None
    """Where all files of the item are from now on."""
    overwrite: bool = False
    """Whether the name may be taken from another item."""
    metadata: Annotated[
        dict[_MetadataKey, _MetadataValue | None] | None, Field(examples=[{"user_id": "usr_abc123", "draft": None}])
    ] = None
    """Merged with what is there; null removes a value, an empty object all of them."""

    def merged(self, metadata: Mapping[str, str]) -> dict[str, str]:
        """The item's metadata afterwards, in the order in which the keys came. Raises MetadataOutOfBounds."""
        if self.metadata is None:
            return dict(metadata)
        if not self.metadata:
            return {}
        both: dict[str, str | None] = {**metadata, **self.metadata}
        try:
            return dict(_within_bounds({key: value for key, value in both.items() if value is not None}))
        except ValueError as error:
            raise MetadataOutOfBounds(str(error)) from None


class MediaRequest(RequestModel):
    """Body of `POST /media`. A signed `url` has to work for 10 more minutes, where its query string shows its end.

    `strip`: whether tags of place and device are removed from the file before it is stored; without it the setting of
    the project decides. With `overwrite`, an item that has the name gets its file's default name instead.
    """

    url: HttpUrl
    """Where the file is fetched from."""
    title: Title | None = None
    """Shown to people. Default: the filename."""
    filename: Filename | None = None
    """Letters, digits, `_` and `-`, with at most one extension. Default: `file_<id>.<ext>`."""
    folder: Folder | None = None
    """Names separated by slashes. Default: none."""
    overwrite: bool = False
    """Whether the name may be taken from another item."""
    metadata: Metadata = Field(default_factory=dict)
    """Your own keys and values: they come back in responses, and lists are filtered by them."""
    strip: bool | None = None
    """Whether tags of place and device are removed from the file before it is stored."""


class EmptyMediaRequest(RequestModel):
    """Body of `POST /media` of version 2025-08-20 for an item without a file."""

    title: Title | None = None
    """Shown to people."""
    alt: Alt | None = None
    """What stands for the item where it cannot be seen."""
    metadata: Metadata = Field(default_factory=dict)
    """Your own keys and values: they come back in responses, and lists are filtered by them."""
