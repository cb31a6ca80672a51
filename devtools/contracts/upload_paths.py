"""The operations of the OpenAPI document below /uploads."""

from typing import Any

from devtools.contracts.components import BODY, content, errors, parameter, response

_ERROR = "ErrorResource"
_CREATE: dict[str, Any] = {
    "operationId": "create_upload",
    "summary": "Get an address to which a file can be sent",
    "description": (
        "The address works without a key, for UPLOAD_LIFETIME (1 hour), and stores one file. Afterwards the upload's "
        "`address` can be the `input` of jobs and the `url` of media items, for RETAIN_UPLOADS (24 hours)."
    ),
    "tags": ["uploads"],
    "requestBody": {"required": True, "content": content("UploadRequest")},
    "responses": {
        "201": response("The upload, with its `url`.", "UploadResource"),
        **errors("", "InvalidInput", *BODY, "QueueFull"),
    },
}
_RECEIVE: dict[str, Any] = {
    "operationId": "receive_upload",
    "summary": "Send the file of an upload",
    "description": (
        "To the `url` as it is. A file that did not arrive completely is not stored, and may be sent again; one that "
        "sends nothing for 30 seconds, or fewer than 16 KiB a second, is refused."
    ),
    "tags": ["uploads"],
    "security": [],
    "parameters": [
        parameter("id", "path", {"type": "string"}, "`upl_…`", "upl_01h455vb4pex5vsknk084sn02q"),
        {**parameter("token", "query", {"type": "string"}, "The permission: as in `url`.", "TOKEN"), "required": True},
    ],
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
    "responses": {
        "201": response("Stored.", "UploadResource"),
        "400": response("`invalid_input`: it is empty, or has another size than was announced.", _ERROR),
        "404": response("`upload_not_found`: there is no upload of this id and token.", _ERROR),
        "408": response("`request_timeout`: the file came too slowly.", _ERROR),
        "409": response("`upload_used`: the upload has its file, or it was sent too often.", _ERROR),
        "410": response("`upload_expired`: the address works no longer.", _ERROR),
        "413": response("`payload_too_large`: the file is larger than UPLOAD_MAX_BYTES.", _ERROR),
        "503": response("`unavailable`: nothing was stored; send it again later.", _ERROR, "Retry-After"),
    },
}
UPLOAD_PATHS: dict[str, Any] = {"/uploads": {"post": _CREATE}, "/uploads/{id}": {"put": _RECEIVE}}
