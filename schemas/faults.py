"""The published error codes of jobs and requests, and how responses show them.

Codes are stable; sentences may improve.
"""

from collections.abc import Sequence
from typing import Literal, NotRequired

from typing_extensions import TypedDict

from schemas.base import EventModel, OpenEnum
from schemas.storable import StoredText

FaultKind = Literal[
    "input_forbidden",
    "input_not_found",
    "input_gone",
    "input_denied",
    "input_unreachable",
    "input_timeout",
    "input_too_large",
    "input_empty",
    "input_unreadable",
    "input_damaged",
    "input_truncated",
    "input_kind_mismatch",
    "input_codec_unsupported",
    "input_limits_exceeded",
    "input_strip_unsupported",
    "start_out_of_range",
    "output_too_large",
    "storage_forbidden",
    "storage_unreachable",
    "storage_bucket_not_found",
    "storage_object_not_found",
    "storage_object_vanished",
    "storage_object_changed",
    "storage_object_archived",
    "storage_denied",
    "storage_credentials_invalid",
    "storage_wrong_region",
    "storage_clock_skew",
    "storage_conflict",
    "storage_full",
    "storage_refused",
    "connection_missing",
    "poisoned",
    "internal_error",
]
FAULTS: dict[FaultKind, str] = {
    "input_forbidden": "The input's address may not be fetched: it is a private or reserved one, or not http(s).",
    "input_not_found": "The server that holds the input says that it is not there (404 or 410).",
    "input_gone": "The stored file that is the input was deleted, or was never made.",
    "input_denied": "The server that holds the input asks for permission (401 or 403): sign the URL or make it public.",
    "input_unreachable": "The input could not be fetched: no such public host, refused, or an error each time.",
    "input_timeout": "The input did not arrive in the time allowed.",
    "input_too_large": "The input is larger than the limit.",
    "input_empty": "The input has no bytes.",
    "input_unreadable": "The input is not a media file that can be read (a web page, for example).",
    "input_damaged": "The input is a media file, but nothing of it that is needed can be decoded: it is damaged.",
    "input_truncated": "The input ends too early: the upload was probably interrupted.",
    "input_kind_mismatch": "The input is of a kind that this job cannot use (audio without a picture, for example).",
    "input_codec_unsupported": "The input's picture or sound is in a codec that is not supported.",
    "input_limits_exceeded": "The input is beyond a limit on pixels, streams, frames, duration or processor time.",
    "input_strip_unsupported": "Tags of place and device are to be removed, which this file does not allow.",
    "start_out_of_range": "The requested start or end lies outside the input.",
    "output_too_large": "The output would be larger than the limit.",
    "storage_forbidden": "The endpoint of the connection may not be contacted: its address is private or reserved.",
    "storage_unreachable": "The store could not be reached, or failed each time.",
    "storage_bucket_not_found": "The store has no bucket of this name.",
    "storage_object_not_found": "The bucket has no object with the key of the input.",
    "storage_object_vanished": "The input was deleted while it was read.",
    "storage_object_changed": "The input was replaced by another object while it was read.",
    "storage_object_archived": "The input is in an archive of the store, and has to be restored first.",
    "storage_denied": "The credentials of the connection have no right to read the input, or to write the output.",
    "storage_credentials_invalid": "The store does not know the access key, or the secret is not that of the key.",
    "storage_wrong_region": "The bucket is in another region than the connection says.",
    "storage_clock_skew": "The store refuses the time of the request: its clock and that of this server differ.",
    "storage_conflict": "Others wrote the object of the output at the same time, each time that it was tried.",
    "storage_full": "The store has no space left for the output.",
    "storage_refused": "The store refused the request for a reason of its own, which the sentence has.",
    "connection_missing": "The job has no connection: it was deleted, or there is none that may be used without one.",
    "poisoned": "The input stopped its worker each time it was tried, and was set aside.",
    "internal_error": "Something on our side failed each time it was tried.",
}

WarningKind = Literal["damage_skipped", "end_missing", "empty_sound_track"]
WARNINGS: dict[WarningKind, str] = {
    "damage_skipped": "Parts of the input are damaged and could not be decoded; the output has the rest.",
    "end_missing": "The end of the input is missing; the output has everything that is there.",
    "empty_sound_track": "The input declares a sound track that holds no sound; the output has none.",
}
"""What was rescued, or left out, in a job that succeeded."""

RequestFault = Literal[
    "invalid_input",
    "token_missing",
    "token_invalid",
    "signature_missing",
    "signature_invalid",
    "signature_expired",
    "not_found",
    "job_not_found",
    "task_not_found",
    "media_not_found",
    "upload_not_found",
    "upload_used",
    "upload_expired",
    "connection_not_found",
    "connection_name_taken",
    "connection_check_failed",
    "connection_missing",
    "connection_limit",
    "connections_disabled",
    "file_not_found",
    "file_gone",
    "method_not_allowed",
    "request_timeout",
    "invalid_http",
    "conflict",
    "request_in_progress",
    "job_ended",
    "job_not_failed",
    "job_not_ended",
    "version_mismatch",
    "idempotency_mismatch",
    "payload_too_large",
    "unsupported_media_type",
    "rate_limited",
    "queue_full",
    "too_many_listeners",
    "range_not_satisfiable",
    "unavailable",
    "internal_error",
]


class Fault(EventModel):
    """Why a job or an import failed: a published code and a sentence that can be shown to the uploader."""

    kind: OpenEnum[FaultKind]
    message: StoredText


class OutputWarning(EventModel):
    """What of a damaged input is not in the output: a published code and a sentence that may be shown."""

    kind: OpenEnum[WarningKind]
    message: StoredText


def output_warning(kind: WarningKind, message: str | None = None) -> OutputWarning:
    """A warning with the published sentence of its code, or with one that says more."""
    return OutputWarning(kind=kind, message=message or WARNINGS[kind])


class FieldFault(EventModel):
    """One refused field: its path, the rule that it breaks, and the value seen (shortened, as JSON)."""

    field: str
    rule: str
    value: str


class FaultResource(TypedDict):
    """Why a job or an import failed: a published code, and a sentence that can be shown to the uploader."""

    kind: OpenEnum[FaultKind]
    message: StoredText


class WarningResource(TypedDict):
    """What of a damaged input is not in the output: a published code, and a sentence for the uploader."""

    kind: OpenEnum[WarningKind]
    message: StoredText


class FieldFaultResource(TypedDict):
    """One refused field: its path, the rule that it breaks, and the value seen (shortened, as JSON)."""

    field: str
    rule: str
    value: str


class ErrorResource(TypedDict):
    """A refused request; `errors` name the fields at fault. Under `/media` it is `error` of the envelope."""

    kind: RequestFault
    message: str
    errors: NotRequired[list[FieldFaultResource]]
    request_id: str


def fault_resource(fault: Fault) -> FaultResource:
    return {"kind": fault.kind, "message": fault.message}


def warning_resource(warning: OutputWarning) -> WarningResource:
    return {"kind": warning.kind, "message": warning.message}


def field_fault_resource(fault: FieldFault) -> FieldFaultResource:
    return {"field": fault.field, "rule": fault.rule, "value": fault.value}


def error_resource(kind: RequestFault, message: str, errors: Sequence[FieldFault], request_id: str) -> ErrorResource:
    """The body of a refused request. Without `errors` where none is given."""
    if not errors:
        return {"kind": kind, "message": message, "request_id": request_id}
    listed = [field_fault_resource(fault) for fault in errors]
    return {"kind": kind, "message": message, "errors": listed, "request_id": request_id}
