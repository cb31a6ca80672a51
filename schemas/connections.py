"""Connections: how a project's stores with the API of S3 are reached. Requests, responses, and what workers get."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field, SecretStr, StringConstraints
from typing_extensions import TypedDict

from schemas.base import EventModel, RequestModel, Text
from schemas.ids import is_id
from schemas.storable import IdText, StoredText

DEFAULT_REGION = "us-east-1"
MAX_NAME_CHARS = 64
_REGION = re.compile(r"(?![0-9]+$)[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_KEY_ID = re.compile(r"[!-~]{1,256}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def _connection_id(text: str) -> str:
    if not is_id(text, "conn"):
        raise ValueError("must be the id of a connection (conn_…), as GET /connections lists them")
    return text


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("must be letters, digits, dots, hyphens and _, and begin with a letter or digit")
    return name


def _region(region: str) -> str:
    if not _REGION.fullmatch(region):
        raise ValueError("must be a region such as eu-west-1, in lower-case letters, digits and hyphens")
    return region


def _bucket(bucket: str) -> str:
    if not _BUCKET.fullmatch(bucket):
        raise ValueError("must be 3 to 63 lower-case letters, digits, dots and hyphens")
    return bucket


def _key_id(key: str) -> str:
    if not _KEY_ID.fullmatch(key):
        raise ValueError("must be 1 to 256 visible ASCII characters")
    return key


def _endpoint(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"must be a URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError("must be the address of a server: https://host or https://host:port")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not carry a user name or password")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("must be the address of a server alone; the bucket belongs into s3://bucket/key")
    return f"{parts.scheme}://{parts.netloc}"


ConnectionId = Annotated[Text, AfterValidator(_connection_id), Field(examples=["conn_01h455vb4pex5vsknk084sn02q"])]
Name = Annotated[
    Text,
    StringConstraints(min_length=1, max_length=MAX_NAME_CHARS),
    AfterValidator(_name),
    Field(examples=["uploads"]),
]
Endpoint = Annotated[
    Text,
    StringConstraints(min_length=1, max_length=512),
    AfterValidator(_endpoint),
    Field(examples=["https://account.r2.cloudflarestorage.com"]),
]
Region = Annotated[Text, AfterValidator(_region), Field(examples=["eu-west-1"])]
AccessKeyId = Annotated[Text, AfterValidator(_key_id), Field(examples=["AKIAIOSFODNN7EXAMPLE"])]
Secret = Annotated[SecretStr, Field(min_length=1, max_length=1024, examples=["wJalrXUtnFEMI/K7MDENG/EXAMPLEKEY"])]
Bucket = Annotated[Text, AfterValidator(_bucket), Field(examples=["uploads"])]


class ConnectionRequest(RequestModel):
    """Body of `POST /connections`. Without `endpoint` the store is AWS.

    The credentials are tried before they are stored, with `bucket` on that bucket; `check: false` leaves that out. The
    connection that `is_default` is used where a job has none. Without the field, the first one of a project is.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "kind": "s3",
                    "name": "uploads",
                    "endpoint": "https://account.r2.cloudflarestorage.com",
                    "region": "auto",
                    "access_key_id": "AKIAIOSFODNN7EXAMPLE",
                    "secret_access_key": "wJalrXUtnFEMI/K7MDENG/EXAMPLEKEY",
                }
            ]
        }
    )

    kind: Literal["s3"] = "s3"
    name: Name
    endpoint: Endpoint | None = None
    region: Region = DEFAULT_REGION
    access_key_id: AccessKeyId
    secret_access_key: Secret
    bucket: Bucket | None = None
    is_default: bool | None = None
    check: bool = True


class ConnectionPatch(RequestModel):
    """Body of `PATCH /connections/{id}`. What is left out stays; null for `endpoint` stands for AWS.

    Where how the store is reached changes, it is tried as at creation. Jobs that are queued keep what they were given.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"is_default": True}]})

    name: Name | None = None
    endpoint: Endpoint | None = None
    region: Region | None = None
    access_key_id: AccessKeyId | None = None
    secret_access_key: Secret | None = None
    bucket: Bucket | None = None
    is_default: bool | None = None
    check: bool = True


class ConnectionAccess(EventModel):
    """What a worker needs to reach a job's store. Only a process with the installation's keys can read the secret."""

    endpoint: StoredText | None = None
    region: IdText
    access_key_id: StoredText
    encrypted_secret: StoredText


class ConnectionResource(TypedDict):
    """A connection, in responses. The secret is never shown again. Times in Unix milliseconds."""

    id: str
    object: Literal["connection"]
    kind: Literal["s3"]
    name: str
    endpoint: str | None
    region: str
    access_key_id: str
    is_default: bool
    created_at: int
    updated_at: int


class DeletedConnectionResource(TypedDict):
    """The response to `DELETE /connections/{id}`."""

    id: str
    object: Literal["connection"]
    deleted: Literal[True]


def secret_context(project: str, connection: str) -> str:
    """What an encrypted secret is bound to: it cannot be decrypted as that of another connection."""
    return f"{project}:secret of the connection {connection}"
