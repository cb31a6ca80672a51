"""Uploads: a file that a customer sends by itself. The body of `POST /uploads`, and the resource."""

from typing import Annotated, Literal, NotRequired

from pydantic import ConfigDict, Field, StringConstraints
from typing_extensions import TypedDict

from schemas.base import RequestModel, Text

MAX_NAME_CHARS = 255


class UploadRequest(RequestModel):
    """Body of `POST /uploads`. `size` in bytes: where it is given, a file of another size is refused."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"filename": "clip.mov", "size": 1048576}, {}]})

    filename: (
        Annotated[Text, StringConstraints(min_length=1, max_length=MAX_NAME_CHARS), Field(examples=["clip.mov"])] | None
    ) = None
    """What the customer calls it. It names nothing here."""
    size: Annotated[int, Field(ge=1, examples=[1048576])] | None = None


class UploadResource(TypedDict):
    """An upload. Times in Unix milliseconds, `size` in bytes.

    While its `status` is `waiting` the file is sent to `url` by the `method` PUT, once and without a key: the address
    is its own permission. A file that did not arrive completely may be sent again. Once it is `stored`, `address` can
    be the `input` of jobs and the `url` of media items of the project until `expires_at`; then the file is removed.
    """

    id: str
    object: Literal["upload"]
    status: Literal["waiting", "stored"]
    address: str
    filename: str | None
    size: int | None
    created_at: int
    expires_at: int
    url: NotRequired[str]
    method: NotRequired[Literal["PUT"]]
    max_bytes: NotRequired[int]
