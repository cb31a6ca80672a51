"""The operations of the OpenAPI document below /media."""

from typing import Any, get_args

from devtools.contracts.components import BODY, JSON, ORDER, content, either, errors, integer, query, response, shared
from schemas.files import MediaKind
from schemas.versions import NEWEST, VERSION_HEADER

_SORT = ["created", "updated", "filesize", "duration", "width", "height", "fps", "filename"]
_MEDIA_FILTERS = [
    query("page", integer(1), "Which page."),
    query("limit", integer(12, 100), "How many items a page."),
    query("sort", {"type": "string", "enum": _SORT, "default": "created"}, "What to sort by."),
    query("order", ORDER, "Which way."),
    query("kind", {"type": "string", "enum": [*get_args(MediaKind)]}, "Only items of this kind."),
    # OpenAPI cannot express parameters that share a prefix, so that the description has to.
    query(
        "metadata.{key}",
        {"type": "string"},
        "`metadata.user_id=123`: only items whose metadata has exactly this value; several are joined by AND.",
        "usr_abc123",
    ),
]
_LIST_MEDIA: dict[str, Any] = {
    "operationId": "list_media",
    "summary": "List media items",
    "tags": ["media"],
    "parameters": _MEDIA_FILTERS,
    "responses": {
        "200": response("One page of the project's items.", "MediaListEnvelope"),
        **errors("Media", "InvalidInput"),
    },
}
_CREATE_MEDIA: dict[str, Any] = {
    "operationId": "create_media",
    "summary": "Add a file to the catalog",
    "description": (
        "Responds once the file is stored, or after MEDIA_WAIT with status `processing`. If the file cannot be fetched "
        "or read, the response is also 200: status `failed`, and the reason in `error`."
    ),
    "tags": ["media"],
    "parameters": [shared("IdempotencyKey")],
    "requestBody": {"required": True, "content": content("MediaRequest")},
    "responses": {
        "200": response("The item.", "MediaEnvelope", "Idempotent-Replayed"),
        **errors("Media", "InvalidInput", *BODY, "Conflict", "IdempotencyMismatch", "QueueFull"),
    },
}
_GET_MEDIA: dict[str, Any] = {
    "operationId": "get_media",
    "summary": "Read a media item",
    "tags": ["media"],
    "parameters": [shared("MediaId"), shared("IfNoneMatch")],
    "responses": {
        "200": response("The item.", "MediaEnvelope", "ETag"),
        "304": {"description": "It has the version that `If-None-Match` names."},
        **errors("Media", "InvalidInput", "NotFound"),
    },
}

_EDIT_MEDIA: dict[str, Any] = {
    "operationId": "edit_media",
    "summary": "Change title, folder or metadata",
    "description": (
        "What is left out stays. With a new `folder` all files of the item have new addresses, instead of the former "
        "ones. Metadata is merged: null removes a value, an empty object all of them."
    ),
    "tags": ["media"],
    "parameters": [shared("MediaId"), shared("IfMatch")],
    "requestBody": {"required": True, "content": content("MediaPatch")},
    "responses": {
        "200": response("The item after the change.", "MediaEnvelope", "ETag"),
        **errors("Media", "InvalidInput", *BODY, "NotFound", "Conflict", "VersionMismatch"),
    },
}
_DELETE_MEDIA: dict[str, Any] = {
    "operationId": "delete_media",
    "summary": "Delete a media item and its files",
    "description": (
        "It is hidden at once and its names are free. For RETAIN_DELETED_FILES (24 hours) it can be restored; then its "
        "stored files are removed."
    ),
    "tags": ["media"],
    "parameters": [shared("MediaId"), shared("IfMatch")],
    "responses": {
        "200": response("It is deleted.", "EmptyEnvelope"),
        **errors("Media", "InvalidInput", "NotFound", "VersionMismatch"),
    },
}
_RESTORE_MEDIA: dict[str, Any] = {
    "operationId": "restore_media",
    "summary": "Restore a deleted media item",
    "description": "409 where another item has its name by now, or where its files have been removed.",
    "tags": ["media"],
    "parameters": [shared("MediaId")],
    "responses": {
        "200": response("The item, with its files.", "MediaEnvelope", "ETag"),
        **errors("Media", "InvalidInput", "NotFound", "Conflict"),
    },
}


def _versioned(operation: dict[str, Any], schema: str = "Media20250820") -> dict[str, Any]:
    """With version 2025-08-20 the response is one of that version."""
    parameters = [shared("AcceptVersion"), *operation["parameters"]]
    responses = {**operation["responses"], "200": either(operation["responses"]["200"], schema)}
    return {**operation, "parameters": parameters, "responses": responses}


def _list_media() -> dict[str, Any]:
    operation = _versioned(_LIST_MEDIA)
    answer = operation["responses"]["200"]
    envelope, item = answer["content"][JSON]["schema"]["anyOf"]
    content = {JSON: {"schema": {"anyOf": [envelope, {"type": "array", "items": item}]}}}
    names = ("Link", "Links", "Has-More", "Limit")
    headers = answer["headers"] | {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    return {
        **operation,
        "description": f"With {VERSION_HEADER}: {NEWEST} only `page` and `limit`, which is 20 without it.",
        "responses": {**operation["responses"], "200": {**answer, "headers": headers, "content": content}},
    }


def _create_media() -> dict[str, Any]:
    operation = _versioned(_CREATE_MEDIA)
    return {**operation, "requestBody": either(operation["requestBody"], "EmptyMediaRequest")}


MEDIA_PATHS: dict[str, Any] = {
    "/media": {"get": _list_media(), "post": _create_media()},
    "/media/{id}": {
        "get": _versioned(_GET_MEDIA),
        "patch": _versioned(_EDIT_MEDIA),
        "delete": _versioned(_DELETE_MEDIA, "Deleted20250820"),
    },
    "/media/{id}/restore": {"post": _versioned(_RESTORE_MEDIA)},
}
