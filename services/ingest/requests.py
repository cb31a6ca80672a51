"""Validates request bodies; an invalid one raises ApiError 400 that names every field at fault.

Beyond the schemas it explains what the API has elsewhere and is not offered here, and refuses addresses that are
forbidden as far as their text shows.
"""

from datetime import UTC, timedelta
from typing import Any, TypeAlias

from chassis.adapters.egress.policy import AddressForbidden, EgressPolicy
from chassis.adapters.http.errors import invalid_input
from chassis.adapters.http.json_body import parse
from chassis.core.redact import masked_url
from schemas.api import JOB_REQUEST, EmptyMediaRequest, ImageJobRequest, MediaPatch, MediaRequest, VideoJobRequest
from schemas.explain import render_value
from schemas.faults import FieldFault
from schemas.options import OPTIONS
from schemas.s3_addresses import is_s3
from schemas.task_api import TASK_KINDS, TASK_REQUEST, AtomicTask
from services.ingest import names
from services.ingest.own_addresses import own_input, upload_of
from services.ingest.signed_urls import expires_at

JobRequest: TypeAlias = VideoJobRequest | ImageJobRequest
WorkRequest: TypeAlias = JobRequest | AtomicTask

OTHER_NAMES = {"ingest": "import", "upload": "export"}
"""What kinds of tasks are called in an older generation of the API."""

SHORTEST_EXPIRY = timedelta(minutes=10)
"""A signed address has to work so much longer: an import can wait for its turn, and is retried."""


def job_request(data: Any, egress: EgressPolicy, base: str = "") -> JobRequest:
    """The body of `POST /jobs`, validated. Addresses below `base`, that of delivered files, are not contacted."""
    request = parse(JOB_REQUEST, data, tagged=True)
    _raise_if_any(job_request_faults(request, egress, base))
    return request


def task_request(data: Any, egress: EgressPolicy, base: str = "") -> WorkRequest:
    """The body of `POST /tasks`: that of a job, where its input is a string, or one task by itself."""
    if not isinstance(data, dict):
        return job_request(data, egress, base)
    kind, atomic = data.get("kind"), isinstance(data.get("input"), dict)
    other = OTHER_NAMES.get(kind) if isinstance(kind, str) else None
    if other is not None:
        raise invalid_input([_fault("kind", f"must be {other!r}, which is what it is called here", kind)])
    if not atomic and kind in TASK_KINDS and kind not in OPTIONS:
        rule = "must be an object with the field url: this kind of task is no job"
        raise invalid_input([_fault("input", rule, data.get("input"))])
    if not atomic:
        return job_request(data, egress, base)
    request = parse(TASK_REQUEST, data, tagged=True)
    _raise_if_any(job_request_faults(request, egress, base))
    return request


def address_of(request: WorkRequest) -> str:
    """The input of a job, or of a task by itself."""
    return request.input if isinstance(request.input, str) else request.input.url


def media_request(data: Any, egress: EgressPolicy, at: int, base: str = "") -> MediaRequest:
    """The body of `POST /media` at this time (Unix milliseconds), validated. `base` as in `job_request`."""
    request = parse(MediaRequest, data)
    _raise_if_any(media_request_faults(request, egress, at, base))
    return request


def empty_media_request(data: Any) -> EmptyMediaRequest:
    """The body of a `POST /media` for an item without a file, validated."""
    return parse(EmptyMediaRequest, data)


def media_patch(data: Any) -> MediaPatch:
    """The body of `PATCH /media/{id}`, validated."""
    patch = parse(MediaPatch, data)
    _raise_if_any(_folder_faults(patch.folder))
    return patch


def job_request_faults(request: WorkRequest, egress: EgressPolicy, base: str = "") -> list[FieldFault]:
    """What the schema of a job or task cannot see: addresses that are forbidden as far as their text shows."""
    address, field = address_of(request), "input" if isinstance(request.input, str) else "input.url"
    faults = [] if own_input(address, base) is not None or is_s3(address) else address_faults(field, address, egress)
    if request.webhook_url is not None:
        faults += address_faults("webhook_url", request.webhook_url, egress)
    if request.label is not None and request.media_id is None:
        faults.append(_fault("label", "needs media_id, the item in which the output gets it", request.label))
    if request.output is not None and (request.kind == "probe" or request.media_id is not None):
        rule = "is not for this kind of task" if request.kind == "probe" else "must not be combined with media_id"
        faults.append(_fault("output", rule, request.output))
    if request.kind == "probe" and request.media_id is not None:
        faults.append(_fault("media_id", "is not for this kind of task, which stores no file", request.media_id))
    return faults


def media_request_faults(request: MediaRequest, egress: EgressPolicy, at: int, base: str = "") -> list[FieldFault]:
    """What the schema of a media request cannot see."""
    return [
        *([] if upload_of(request.url, base) else address_faults("url", request.url, egress)),
        *_expiry_faults(request.url, at),
        *_folder_faults(request.folder),
    ]


def _expiry_faults(url: str, at: int) -> list[FieldFault]:
    end = expires_at(url)
    if end is None or end.timestamp() * 1000 > at + SHORTEST_EXPIRY.total_seconds() * 1000:
        return []
    minutes, shown = SHORTEST_EXPIRY.total_seconds() / 60, f"{end.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return [_fault("url", f"must not expire within {minutes:g} minutes, and expires at {shown}", masked_url(url))]


def _folder_faults(folder: str | None) -> list[FieldFault]:
    reserved = names.reserved_part(folder) if folder else None
    if reserved is None:
        return []
    return [_fault("folder", f"must not hold the id of a job or media item ({reserved})", folder)]


def address_faults(field: str, url: str, egress: EgressPolicy) -> list[FieldFault]:
    """Nothing, or that the address is forbidden as far as its text shows."""
    try:
        egress.check_url(url)
    except AddressForbidden as forbidden:
        reason = forbidden.reason.rstrip(".")
        return [_fault(field, f"is refused: {reason[:1].lower()}{reason[1:]}", url)]
    return []


def _raise_if_any(faults: list[FieldFault]) -> None:
    if faults:
        raise invalid_input(faults)


def _fault(field: str, rule: str, value: Any) -> FieldFault:
    return FieldFault(field=field, rule=rule, value=render_value(value))
