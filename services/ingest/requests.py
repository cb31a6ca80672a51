"""From the plain data of a body to a validated request, or a refusal that names every field at fault.

On top of the schemas it says clearly what is known to the API but not offered here, and refuses addresses that can be
seen to be forbidden without asking anybody.
"""

from typing import Any

from chassis.adapters.egress.policy import AddressForbidden, EgressPolicy
from chassis.adapters.http.errors import ApiError, invalid_input
from chassis.adapters.http.json_body import parse
from schemas.api import JOB_REQUEST, ImageJobRequest, MediaRequest, VideoJobRequest
from schemas.explain import render_value
from schemas.faults import FieldFault
from services.ingest import names

JobBody = VideoJobRequest | ImageJobRequest

ATOMIC_KINDS = frozenset({"probe", "import", "export", "ingest", "upload"})
"""Kinds of the atomic `POST /tasks`, under both of their names."""

_NO_ATOMIC_TASKS = "atomic tasks are not available here"
_NO_S3 = "must start with http:// or https://; s3:// is not available here"
_NO_OUTPUT = "is not available here: outputs are stored by this server and get a delivery address"


def job_request(data: Any, guard: EgressPolicy) -> JobBody:
    """The body of `POST /jobs`, validated."""
    unavailable = _unavailable_in_job(data)
    try:
        request = parse(JOB_REQUEST, data, tagged=True)
    except ApiError as refusal:
        raise _with(refusal, unavailable) from None
    _refuse([*unavailable, *job_addresses(request, guard)])
    return request


def task_request(data: Any, guard: EgressPolicy) -> JobBody:
    """The body of `POST /tasks`: a job's body; atomic tasks, which the route also knows elsewhere, are refused."""
    if isinstance(data, dict):
        faults = []
        if isinstance(data.get("input"), dict):
            faults.append(_fault("input", f"must be a string: {_NO_ATOMIC_TASKS}", data["input"]))
        if isinstance(data.get("kind"), str) and data["kind"] in ATOMIC_KINDS:
            faults.append(_fault("kind", f"must be one of 'video', 'image': {_NO_ATOMIC_TASKS}", data["kind"]))
        _refuse(faults)
    return job_request(data, guard)


def media_request(data: Any, guard: EgressPolicy) -> MediaRequest:
    """The body of `POST /media`, validated."""
    request = parse(MediaRequest, data)
    _refuse(media_faults(request, guard))
    return request


def job_addresses(request: JobBody, guard: EgressPolicy) -> list[FieldFault]:
    """The addresses of a job that may not be dialled, as far as can be seen without asking anybody."""
    named = {"input": request.input, "webhook_url": request.webhook_url}
    return [fault for field, url in named.items() if url is not None for fault in _address(field, url, guard)]


def media_faults(request: MediaRequest, guard: EgressPolicy) -> list[FieldFault]:
    """What is wrong with a media request that its schema cannot see."""
    faults = _address("url", request.url, guard)
    taken = names.reserved_part(request.folder) if request.folder else None
    if taken is not None:
        faults.append(_fault("folder", f"must not hold the id of a job or media item ({taken})", request.folder))
    return faults


def _address(field: str, url: str, guard: EgressPolicy) -> list[FieldFault]:
    try:
        guard.check_url(url)
    except AddressForbidden as forbidden:
        reason = forbidden.reason.rstrip(".")
        return [_fault(field, f"is refused: {reason[:1].lower()}{reason[1:]}", url)]
    return []


def _unavailable_in_job(data: Any) -> list[FieldFault]:
    if not isinstance(data, dict):
        return []
    faults = []
    address = data.get("input")
    if isinstance(address, str) and address.lower().startswith("s3://"):
        faults.append(_fault("input", _NO_S3, address))
    if "output" in data:
        faults.append(_fault("output", _NO_OUTPUT, data["output"]))
    return faults


def _with(refusal: ApiError, better: list[FieldFault]) -> ApiError:
    replaced = {fault.field for fault in better}
    return invalid_input(better + [fault for fault in refusal.faults if fault.field not in replaced])


def _refuse(faults: list[FieldFault]) -> None:
    if faults:
        raise invalid_input(faults)


def _fault(field: str, rule: str, value: Any) -> FieldFault:
    return FieldFault(field=field, rule=rule, value=render_value(value))
