"""The bodies of `POST /tasks` whose `input` is an object: one task by itself, whose output can be the next one's input.

Where `input` is a string, the body is that of `POST /jobs`: see `schemas.api`.
"""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, JsonValue, TypeAdapter

from schemas.api import FileReference, WorkRequest
from schemas.base import RequestModel
from schemas.options import ImageOptions, VideoOptions


def _example(kind: str, **fields: JsonValue) -> ConfigDict:
    body: dict[str, JsonValue] = {"input": {"url": "https://example.com/clip.mov"}, "kind": kind, **fields}
    return ConfigDict(json_schema_extra={"examples": [body]})


class NoOptions(RequestModel):
    """This kind of task has no options."""


class _TaskRequest(WorkRequest):
    input: FileReference


class ProbeTaskRequest(_TaskRequest):
    """A task that finds the facts of a file. Nothing is stored: its output has the address of the input."""

    model_config = _example("probe")

    kind: Literal["probe"]
    options: NoOptions = Field(default_factory=NoOptions)


class ImportTaskRequest(_TaskRequest):
    """A task that copies a file into the storage of this installation."""

    model_config = _example("import")

    kind: Literal["import"]
    options: NoOptions = Field(default_factory=NoOptions)


class VideoTaskRequest(_TaskRequest):
    """A task that makes a video."""

    model_config = _example("video", options={"width": 1280, "format": "mp4"})

    kind: Literal["video"]
    options: VideoOptions = Field(default_factory=VideoOptions)


class ImageTaskRequest(_TaskRequest):
    """A task that makes an image, of an image or of one frame of a video."""

    model_config = _example("image", options={"start": 2, "width": 640, "format": "webp"})

    kind: Literal["image"]
    options: ImageOptions = Field(default_factory=ImageOptions)


AtomicTask = ProbeTaskRequest | ImportTaskRequest | VideoTaskRequest | ImageTaskRequest
TASK_KINDS = ("probe", "import", "video", "image")
TASK_REQUEST: TypeAdapter[AtomicTask] = TypeAdapter(Annotated[AtomicTask, Field(discriminator="kind")])
"""Validates the body of `POST /tasks` where `input` is an object."""
